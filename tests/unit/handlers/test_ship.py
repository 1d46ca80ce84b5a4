"""The ship function as Lambda runs it: it reports, ends in time, and fails only for mistakes."""

import json
import logging
from typing import Any

import pytest

from handlers.runs import NothingDone
from payments.errors import LogDiverged, Unavailable
from tests.unit.handlers.test_api import CurrentOutput
from tests.unit.handlers.test_runs import ENVIRONMENT, Context, told
from tests.unit.payments.test_ship import World, prepared

NEEDED = {**ENVIRONMENT, "TRANSACTIONS_BUCKET": "transactions"}
for unneeded in ("JOURNAL_TABLE", "DATABASE_HOST", "RETENTION_DAYS"):
    del NEEDED[unneeded]


@pytest.fixture
def ship(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "ship")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import handlers.ship

    for handler in handlers.ship._LOGGER.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = CurrentOutput()
    return handlers.ship


def test_a_missing_setting_is_loud_and_an_unneeded_one_not_asked_for(ship: Any) -> None:
    ship.wired(NEEDED)
    for missing in NEEDED:
        with pytest.raises(KeyError, match=missing):
            ship.wired({name: value for name, value in NEEDED.items() if name != missing})


def test_what_was_shipped_is_counted_and_what_waits_is_dated(
    ship: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = prepared()
    world.cutoff = 706
    result = ship.run(world.shipper(), Context())
    assert result == {"segments": 1, "shipped": 5, "stopped": "", "age": pytest.approx(93.543)}
    log, metrics = told(capsys)
    assert metrics == {"Shipped": 5, "LogAge": pytest.approx(93.543211)}
    for secret in ("alice", "bob", "Invoice", "1251"):
        assert secret not in json.dumps(log)


def test_nothing_to_ship_is_reported_as_that(ship: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship.run(World().shipper(), Context())["stopped"] == ""
    assert told(capsys)[1] == {"Shipped": 0, "LogAge": 0}


def test_a_region_whose_turn_it_is_not_says_so_and_reports_no_metrics(
    ship: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = prepared()
    result = ship.run(world.shipper(world.writer), Context())
    assert result == {"segments": 0, "shipped": 0, "stopped": "not-standby"}
    assert told(capsys)[1] == {}


def test_a_bucket_that_does_not_answer_fails_nothing_and_the_age_grows(
    ship: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = prepared()
    world.step = _fail_at_put(Unavailable("bucket"))
    assert ship.run(world.shipper(), Context())["stopped"] == "unavailable"
    metrics = told(capsys)[1]
    assert metrics == {"Shipped": 0, "LogAge": pytest.approx(98.543211)}


def test_a_log_that_diverged_fails_and_names_the_segment(
    ship: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = prepared()
    world.step = _fail_at_put(LogDiverged("segment 1: it was put before, with another line 3"))
    with pytest.raises(NothingDone):
        ship.run(world.shipper(), Context())
    log, metrics = told(capsys)
    assert log[0]["stopped"] == "segment 1: it was put before, with another line 3"
    assert metrics["Mistake"] == 1
    assert metrics["LogAge"] > 0


def test_a_run_ends_before_lambda_ends_it(ship: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world = prepared()
    assert ship.run(world.shipper(), Context(5.0))["stopped"] == "time"
    assert told(capsys)[1]["Shipped"] == 0


def _fail_at_put(error: Exception) -> Any:
    def step(when: str) -> None:
        if when == "put":
            raise error

    return step
