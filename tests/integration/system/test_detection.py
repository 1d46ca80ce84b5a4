"""A region dies, and nobody is asked: two of three regions agree, and the standby takes over."""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from failover.decision import REASON
from lab.control import Control
from tests.integration.system.comparison import only
from tests.integration.system.deployment import Client, System, deployed, eventually
from tests.integration.system.test_failover import assert_posted, status, steady

_PROBED_SECONDS = 120.0  # a probe is started within a minute, and may have begun before there was an answer
_TAKEN_OVER_SECONDS = 100.0


@pytest.fixture(scope="module")
def system(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Not the one the other tests share: it loses a region."""
    with deployed(workspace, tmp_path_factory.mktemp("detection")) as system:
        yield system


def votes(system: System, region: str, about: str, voter: str, statistic: str) -> float | None:
    """Of the last half minute."""
    dimensions = {"Region": about, "Voter": voter}
    points = system.aws("cloudwatch", region).get_metric_statistics(
        Namespace="payments/lab",
        MetricName="ActiveRegionUnreachable",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=datetime.now(UTC) - timedelta(seconds=60),
        EndTime=datetime.now(UTC) + timedelta(seconds=60),
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return float(max(point[statistic] for point in points)) if points else None


def alarm(system: System, region: str, name: str) -> str:
    found = system.aws("cloudwatch", region).describe_alarms(
        AlarmNames=[name], AlarmTypes=["CompositeAlarm", "MetricAlarm"]
    )
    state: str = only([*found["CompositeAlarms"], *found["MetricAlarms"]])["StateValue"]
    return state


@pytest.mark.parametrize("voter", ["own", "witness"])
def test_both_others_find_the_active_region_well(system: System, voter: str) -> None:
    here, there = system.regions

    def well() -> bool | None:
        return votes(system, there, here, voter, "Maximum") == 0 or None

    eventually(well, f"{voter} votes 0", _PROBED_SECONDS)
    assert votes(system, here, there, voter, "Maximum") is None  # nobody votes on a standby
    assert alarm(system, there, "payments-peer-unreachable-secondary-lab") == "OK"


def test_a_region_that_dies_is_taken_over_from_without_a_person(system: System) -> None:
    here, there = system.regions
    control = Control(system.plan.control_socket)
    acknowledged: dict[str, int] = {}
    with Client(system, there) as client:
        client.sign_in()
        for amount in range(1, 6):
            acknowledged[client.pay(amount=amount).json()["payment_id"]] = amount
        control.kill_region(here)
        died = time.monotonic()
        key = secrets.token_hex(16)

        def accepted() -> Any:
            answer = client.pay(key, amount=6)
            return answer if answer.status_code in (201, 202) else time.sleep(0.5)

        answer = eventually(accepted, "a payment is accepted by the other region", _TAKEN_OVER_SECONDS)
        print(f"accepted again after {time.monotonic() - died:.0f} s")  # noqa: T201 - with -s
        acknowledged[answer.json()["payment_id"]] = 6
    record = status(system)["control"]
    assert (record["active"], record["epoch"], record["reason"]) == (there, 2, REASON)
    history = system.aws("cloudwatch", there).describe_alarm_history(
        AlarmName="payments-peer-unreachable-secondary-lab",
        AlarmTypes=["CompositeAlarm"],
        HistoryItemType="Action",
    )["AlarmHistoryItems"]
    done = {item["HistorySummary"].rpartition(":")[2] for item in history}
    assert {"payments-decide-secondary-lab", "payments-alerts-secondary-lab"} <= done
    assert all(item["HistorySummary"].startswith("Successfully") for item in history)

    switch = system.aws("arc-region-switch", there)
    plan = only(
        [one for one in switch.list_plans_in_region()["plans"] if one["name"] == "payments-failover-lab"]
    )

    def ended() -> Any:
        execution = only(switch.list_plan_executions(planArn=plan["arn"])["items"])
        return execution if execution["executionState"].startswith("completed") else None

    execution = eventually(ended, "the plan is carried out", 180)
    assert (execution["mode"], execution["comment"]) == ("ungraceful", REASON)
    assert_posted(system, there, acknowledged)

    control.restore_region(here)
    seen = steady(system, there)
    assert seen["control"]["epoch"] == 2
