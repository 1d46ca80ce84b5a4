"""What works behind the API, as Lambda runs it: it reports, ends in time, and fails only for mistakes."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from failover.control import Phase
from handlers.runs import NothingDone, sweeps_seconds
from payments.audit import Auditor
from payments.errors import LedgerUnavailable, Unavailable
from payments.settle import Settler
from payments.standby import Standby
from payments.sweep import Sweeper
from tests.unit.handlers.test_api import CurrentOutput
from tests.unit.payments.fakes import HERE, THERE, FakeProgress, World, journalled, record
from tests.unit.payments.test_settle import MINE, FakeClusters, FakeReplica

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "JOURNAL_TABLE": "journal",
    "CONTROL_TABLE": "control",
    "PROGRESS_TABLE": "progress",
    "DATABASE_HOST": "writer",
    "DATABASE_READER_HOST": "readers",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "ledger",
    "DATABASE_SECRET": "application",
    "GLOBAL_CLUSTER": "ledger",
    "DATABASE_CLUSTER": "ledger-primary",
    "RETENTION_DAYS": "400",
}
WORKS = sweeps_seconds({"SWEEP_INTERVAL_SECONDS": "60"})
NEEDED = {
    "sweep": ENVIRONMENT.keys()
    - {"DATABASE_READER_HOST", "GLOBAL_CLUSTER", "DATABASE_CLUSTER", "RETENTION_DAYS"},
    "settle": ENVIRONMENT.keys() - {"DATABASE_HOST", "PROGRESS_TABLE", "RETENTION_DAYS"},
    "audit": ENVIRONMENT.keys() - {"DATABASE_READER_HOST", "GLOBAL_CLUSTER", "DATABASE_CLUSTER"},
}


class Context:
    def __init__(self, seconds: float = 120.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "runs")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import handlers.audit
    import handlers.settle
    import handlers.sweep

    for module in (handlers.audit, handlers.settle, handlers.sweep):
        for handler in module._LOGGER.handlers:
            assert isinstance(handler, logging.StreamHandler)
            handler.stream = CurrentOutput()
    return handlers


class Region(World):
    """With an entry that was accepted a minute ago and is not posted yet."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = FakeProgress()
        self.replica = FakeReplica()
        self.entry = self.journal.put(journalled(self.clock, "one", age=60))

    def sweeper(self) -> Sweeper:
        return Sweeper(
            region=HERE,
            leases=self.leases,
            work=self.journal,
            ledger=self.ledger,
            progress=self.progress,
            clock=self.clock,
        )

    def settler(self) -> Settler:
        return Settler(
            standby=Standby(self.control, FakeClusters(), HERE, MINE.cluster),
            work=self.journal,
            replica=self.replica,
            clock=self.clock,
        )

    def auditor(self, handlers: Any) -> Auditor:
        return Auditor(
            leases=self.leases,
            journal=self.journal,
            books=lambda: self.ledger,
            progress=self.progress,
            clock=self.clock,
            retention_days=400,
            tell=handlers.audit.tell,
        )


def told(capsys: pytest.CaptureFixture[str]) -> tuple[list[Any], dict[str, float]]:
    """The log's records, and the metrics by name."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics: dict[str, float] = {}
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                metrics[metric["Name"]] = metrics.get(metric["Name"], 0) + sum(line[metric["Name"]])
    return [line for line in lines if "_aws" not in line], metrics


def record_of(log: list[Any], message: str) -> Mapping[str, Any]:
    (found,) = [line for line in log if line["message"] == message]
    return dict(found)


@pytest.mark.parametrize("function", NEEDED)
def test_a_missing_setting_is_loud_and_an_unneeded_one_not_asked_for(handlers: Any, function: str) -> None:
    wired = getattr(handlers, function).wired
    environment = {name: ENVIRONMENT[name] for name in NEEDED[function]}
    wired(environment)
    for missing in environment:
        with pytest.raises(KeyError, match=missing):
            wired({name: value for name, value in environment.items() if name != missing})


def test_a_sweep_tells_what_it_posted_and_what_is_open(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    result = handlers.sweep.run(region.sweeper(), Context(), WORKS)
    assert (result["swept"], result["stopped"]) == (1, "")
    log, metrics = told(capsys)
    assert record_of(log, "swept")["swept"] == 1
    assert (metrics["Swept"], metrics["OpenEntries"]) == (1, 1)
    assert 60 <= metrics["OldestOpenEntryAge"] <= 120
    assert "Mistake" not in metrics
    for secret in ("alice", "bob", "Invoice", "1250"):
        assert secret not in json.dumps(log)


@pytest.mark.parametrize(("seconds", "at_most"), [(120.0, 50.0), (30.0, 20.0), (3.0, 0.0)])
def test_a_run_ends_before_the_next_one_and_before_lambda_ends_it(
    handlers: Any, capsys: pytest.CaptureFixture[str], seconds: float, at_most: float
) -> None:
    region = Region()
    began = region.clock.monotonic
    handlers.sweep.run(region.sweeper(), Context(seconds), WORKS)
    assert at_most - 5 <= region.clock.monotonic - began <= at_most
    assert told(capsys)[1]["Swept"] == 1


def test_a_region_whose_turn_it_is_not_says_so_and_reports_no_metrics(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    assert handlers.settle.run(region.settler(), Context()) == {"settled": 0, "stopped": "not-standby"}
    region.control.record = record(active=THERE)
    assert handlers.sweep.run(region.sweeper(), Context(), WORKS)["stopped"] == "not-active"
    assert handlers.audit.run(region.auditor(handlers), Context())["stopped"] == "not-active"
    assert told(capsys)[1] == {}


@pytest.mark.parametrize("reason", ["unreachable", "fenced"])
def test_a_ledger_that_is_away_fails_nothing(
    handlers: Any, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    region = Region()
    region.ledger.down = region.replica.down = reason
    assert handlers.sweep.run(region.sweeper(), Context(), WORKS)["stopped"] == f"ledger-{reason}"
    assert handlers.audit.run(region.auditor(handlers), Context())["stopped"] == f"ledger-{reason}"
    region.control.record = record(active=THERE)
    assert handlers.settle.run(region.settler(), Context())["stopped"] == f"ledger-{reason}"
    metrics = told(capsys)[1]
    assert "Mistake" not in metrics
    assert metrics["OpenEntries"] == 1


def test_unknown_fails_nothing(handlers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    region = Region()
    region.control.down = True
    assert handlers.sweep.run(region.sweeper(), Context(), WORKS)["stopped"] == "unavailable"
    assert handlers.settle.run(region.settler(), Context())["stopped"] == "unavailable"
    assert handlers.audit.run(region.auditor(handlers), Context())["stopped"] == "unavailable"
    assert "Mistake" not in told(capsys)[1]


def test_a_mistake_about_one_payment_is_told_with_its_id_and_without_its_text(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    other = region.journal.put(journalled(region.clock, "two"))
    region.ledger.poison = {region.entry.payment_id}
    assert handlers.sweep.run(region.sweeper(), Context(), WORKS)["swept"] == 1
    log, metrics = told(capsys)
    mistake = record_of(log, "mistake")
    assert (mistake["kind"], mistake["payment_id"]) == ("ValueError", region.entry.payment_id)
    assert "cannot be stored" not in json.dumps(log)
    assert metrics["Mistake"] == 1
    assert other.payment_id in region.ledger.payments


def test_a_run_that_could_do_nothing_for_mistakes_fails_without_their_text(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    denied = LedgerUnavailable("no-credentials", mistake=PermissionError("secret"))
    region.ledger.broken = denied
    with pytest.raises(NothingDone) as failure:
        handlers.sweep.run(region.sweeper(), Context(), WORKS)
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None
    with pytest.raises(NothingDone):
        handlers.audit.run(region.auditor(handlers), Context())
    region.control.record = record(active=THERE)

    def refused() -> None:
        raise PermissionError("secret")

    region.replica.during = refused
    with pytest.raises(NothingDone):
        handlers.settle.run(region.settler(), Context())
    log, metrics = told(capsys)
    assert metrics["Mistake"] >= 3
    assert '"secret"' not in json.dumps(log)


def test_a_takeover_is_waited_for(handlers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    region = Region()
    region.control.record = record(phase=Phase.RECOVERING)
    assert handlers.sweep.run(region.sweeper(), Context(), WORKS)["stopped"] == "recovering"
    assert told(capsys)[1]["OpenEntries"] == 1


def test_what_the_standby_has_is_settled_and_counted(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    region.control.record = record(active=THERE)
    region.replica.rows = {region.entry.payment_id}
    assert handlers.settle.run(region.settler(), Context()) == {"settled": 1, "stopped": ""}
    assert told(capsys)[1] == {"Settled": 1}


def test_an_audit_names_every_difference_and_counts_them_once(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    for number in range(1200):
        region.journal.put(journalled(region.clock, f"lost {number}", age=3600))
    result = handlers.audit.run(region.auditor(handlers), Context())
    assert (result["compared"], result["differences"], result["finished"]) == (1201, 1200, True)
    log, metrics = told(capsys)
    named = [each for line in log for each in line.get("payments", [])]
    assert {each["kind"] for each in named} == {"is not in the ledger"}
    assert {each["payment_id"] for each in named} == region.journal.entries.keys() - {region.entry.payment_id}
    assert (metrics["Differences"], metrics["Compared"], metrics["AuditAge"]) == (1200, 1201, 0)


def test_an_audit_without_differences_says_so(handlers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    handlers.audit.run(Region().auditor(handlers), Context())
    assert told(capsys)[1] == {"AuditAge": 0, "Compared": 1, "Stripped": 0, "Differences": 0}


def test_metrics_of_a_run_are_not_reported_by_the_next(
    handlers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    region = Region()
    region.progress.down = True
    handlers.audit.run(region.auditor(handlers), Context())
    with pytest.raises(Unavailable):
        region.progress.read("audit")
    assert told(capsys)[1] == {}
    region.progress.down = False
    handlers.audit.run(region.auditor(handlers), Context())
    assert told(capsys)[1]["Compared"] == 1
