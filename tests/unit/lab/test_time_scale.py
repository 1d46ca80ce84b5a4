"""What AWS does every so often is multiplied, everywhere by one number; a lease or a timeout never is."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ministack.services import eventbridge

from failover.control import LEASE_SECONDS
from lab.cli import main
from lab.embedded.functions import with_intervals
from lab.embedded.region_switch_state import Execution
from lab.embedded.region_switch_steps import Block, Cancelled, invoke
from lab.embedded.schedules import scaled
from lab.plan import LabPlan, plan_lab, read_plan
from lab.zone import scaled_ttl

REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}
scales = st.floats(0.001, 1)


def plan(directory: Path, scale: float = 1.0) -> LabPlan:
    return plan_lab(directory=directory, regions=REGIONS, domain="payments.test", time_scale=scale)


def test_a_lab_runs_at_aws_s_pace_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    assert plan(tmp_path).scaled(60) == 60
    written = plan(tmp_path, 0.25)
    written.write()
    assert read_plan(written.file).scaled(60) == 15
    assert LEASE_SECONDS == 3.0  # known to no part of the lab


@pytest.mark.parametrize("scale", ["0", "-1", "1.5", "fast"])
def test_time_goes_neither_backwards_nor_slower(scale: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["up", "--directory", str(tmp_path / "lab"), "--time-scale", scale])
    assert done.exit_code == 2
    assert "--time-scale" in done.output
    assert not (tmp_path / "lab").exists()


@given(scales)
def test_a_ttl_is_the_whole_seconds_next_to_it_and_never_none(scale: float) -> None:
    ttl = scaled_ttl(scale)
    assert ttl >= 1
    assert abs(ttl - 60 * scale) <= 0.5 or ttl == 1


@given(scales, st.sampled_from([("rate(1 minute)", 60), ("rate(15 minutes)", 900), ("rate(1 hour)", 3600)]))
def test_a_rate_is_multiplied(scale: float, rate: tuple[str, int]) -> None:
    expression, seconds = rate
    here = replace(plan(Path()), time_scale=scale)
    assert scaled(eventbridge._parse_rate_seconds, here)(expression) == pytest.approx(seconds * scale)


def test_what_is_no_rate_stays_none(tmp_path: Path) -> None:
    assert scaled(eventbridge._parse_rate_seconds, plan(tmp_path, 0.1))("cron(0 3 * * ? *)") is None


@given(scales)
def test_of_a_function_s_environment_only_intervals_are_multiplied(scale: float) -> None:
    own = {"PROBE_INTERVAL_SECONDS": "10", "PROBE_TIMEOUT_SECONDS": "3", "PROBE_LOOKS": "15", "TABLE": "t"}
    config = {"FunctionName": "probe", "Timeout": 180, "Environment": {"Variables": own}}
    given_to_it: Any = with_intervals(config, scale)
    told = given_to_it["Environment"]["Variables"]
    assert float(told["PROBE_INTERVAL_SECONDS"]) == pytest.approx(10 * scale, rel=1e-5)
    assert {**told, "PROBE_INTERVAL_SECONDS": "10"} == own
    assert {**given_to_it, "Environment": None} == {**config, "Environment": None}
    assert config["Environment"] == {"Variables": own}  # what is deployed is not touched


class Failing:
    """A function that fails; `tried` counts how often it was asked."""

    tried = 0

    def get_function(self, **_: str) -> None:
        return None

    def invoke(self, **_: str) -> dict[str, Any]:
        self.tried += 1

        class Said:
            def read(self) -> bytes:
                return b"no"

        return {"FunctionError": "Unhandled", "Payload": Said()}


def test_region_switch_tries_again_so_much_sooner_and_gives_up_no_earlier() -> None:
    waited: list[float] = []

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return len(waited) == 3

    execution = Execution(
        plan={}, plan_arn="arn", version=1, region="us-east-2", action="activate", mode="graceful"
    )
    execution.cancelled = Waiting()
    function = {"arn": "arn:aws:lambda:us-east-2:000000000000:function:fence"}
    config = {"lambdas": [function], "retryIntervalMinutes": 0.5, "timeoutMinutes": 1}
    lambdas = Failing()
    with pytest.raises(Cancelled):
        invoke(Block(execution, "fence", config, lambda _: lambdas, 0.1))
    assert waited == pytest.approx([3.0] * 3)
    assert lambdas.tried == 3
    assert Block(execution, "fence", config, lambda _: lambdas, 0.1).deadline() - time.monotonic() > 59
