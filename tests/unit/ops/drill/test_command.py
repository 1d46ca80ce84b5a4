"""The command before it breaks anything."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from failover.control import Phase
from ops.cli import main
from ops.directory import Rejected
from ops.drill.drills import built, unready
from ops.observation import Observation
from tests.unit.ops.observations import DNS, HEALTHY, LEDGER, RECORD, SILENT, THERE, both, secondary

ON_AWS = ("--scenario", "region-loss", "--yes")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere: what is refused is refused before anybody is asked."""
    for name in ("PAYMENTS_LAB_DIRECTORY", "PAYMENTS_LAB_CA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scenario", "unheard-of"), "unheard-of"),
        (("--target", "eu-west-1"), "never active"),
        (("--rate", "0"), "--rate"),
        (("--scenario", "step-killed-halfway", "--ledger", "postgresql://"), "only a lab can"),
        (
            ("--scenario", "random", "--seed", "5", "--seeds", "2", "--ledger", "postgresql://"),
            "only a lab can",  # of the second of them
        ),
        (ON_AWS, "reads the surviving ledger by SQL"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_what_cannot_be_drilled_is_bad_usage(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drill", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_the_templates_promise_is_read_from_the_build(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"run `python build\.py`"):
        built(tmp_path / "build.json")
    (tmp_path / "build.json").write_text("[]")
    with pytest.raises(Rejected, match="not what"):
        built(tmp_path / "build.json")
    (tmp_path / "build.json").write_text(json.dumps({"objectives": {}}))
    assert built(tmp_path / "build.json") == {"objectives": {}}


MOVED = replace(RECORD, active=THERE)
RECOVERING = replace(RECORD, phase=Phase.RECOVERING)
LEFT = replace(LEDGER, members=(LEDGER.members[0], replace(LEDGER.members[1], connected=False)))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (both(control=SILENT), "active is unknown"),
        (both(control=RECOVERING), "us-east-1 is recovering"),
        (both(control=MOVED), "the writer is us-east-1"),
        (secondary(health=SILENT), "us-east-2: health is unknown"),
        (both(ledger=LEFT), "not attached"),
        (replace(HEALTHY, dns=replace(DNS, region=THERE)), "DNS leads to us-east-2"),
    ],
)
def test_only_a_system_that_is_well_is_drilled(seen: Observation, why: str) -> None:
    assert unready(HEALTHY) is None
    assert why in str(unready(seen))
