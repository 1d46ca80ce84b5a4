import json
import logging
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError
from psycopg.errors import UndefinedColumn

from failover.control import Phase
from payments.errors import LedgerUnavailable
from tests.unit.handlers.services import FakePeer, service
from tests.unit.payments.fakes import BODY, HERE, THERE, TOKEN, World, record


class CurrentOutput:
    """Standard output as it is now: a logger keeps the one it was made with, which another test captured."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "payments")
    import handlers.api

    handlers.api._METRICS.provider.clear_metrics()  # of a test that could not tell
    for handler in handlers.api._LOGGER.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = CurrentOutput()
    return handlers.api


def event(world_token: str = TOKEN) -> dict[str, Any]:
    headers = {
        "Authorization": f"Bearer {world_token}",
        "Idempotency-Key": "order-1",
        "Content-Type": "application/json",
    }
    return {
        "httpMethod": "POST",
        "resource": "/payments",
        "headers": headers,
        "body": BODY.decode(),
        "requestContext": {"requestId": "request-1"},
    }


def test_what_was_done_is_logged_and_counted_without_secrets(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = api.answer(event(), service(World()))
    assert answer["statusCode"] == 201
    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    log = next(line for line in lines if line.get("message") == "answered")
    assert (log["status"], log["payment_status"], log["request_id"]) == (201, "posted", "request-1")
    assert any(line.get("Posted") == [1.0] for line in lines)
    for secret in (TOKEN, "order-1", "alice", "bob", "Invoice", "1250"):
        assert secret not in told


@pytest.mark.parametrize(
    ("reason", "phase", "counted"),
    [
        ("", Phase.STEADY, ["Posted", "LeaseAge"]),
        ("unreachable", Phase.STEADY, ["Accepted", "LedgerUnreachable", "LeaseAge"]),
        ("", Phase.RECOVERING, ["Accepted", "LeaseAge"]),
    ],
    ids=["posted", "ledger-out-of-reach", "takeover"],
)
def test_a_payment_the_ledger_does_not_take_is_counted_unless_a_takeover_explains_it(
    api: Any, capsys: pytest.CaptureFixture[str], reason: str, phase: Phase, counted: list[str]
) -> None:
    world = World()
    world.control.record = record(phase=phase)
    world.ledger.down = reason
    api.answer(event(), service(world))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = [line for line in lines if "_aws" in line]
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == counted


def test_a_mistake_of_ours_is_answered_and_logged_without_its_text(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()

    class Broken:
        def put(self, entry: Any) -> Any:
            raise RuntimeError("row contains alice")

        def find(self, payment_id: str) -> None:
            raise AssertionError

    world.journal = Broken()  # type: ignore[assignment] # only what the use case calls
    answer = api.answer(event(), service(world))
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["type"] == "urn:payments:problem:internal-error"
    told = capsys.readouterr().out
    assert "RuntimeError" in told
    assert "test_api.py" in told
    assert "alice" not in told


@pytest.mark.parametrize("mistake", [RuntimeError("row contains alice"), KeyError("alice")])
def test_a_mistake_after_the_journal_has_the_payment_is_logged_and_counted_but_the_client_is_told_accepted(
    api: Any, capsys: pytest.CaptureFixture[str], mistake: Exception
) -> None:
    world = World()
    world.ledger.broken = mistake
    answer = api.answer(event(), service(world))
    assert answer["statusCode"] == 202
    assert json.loads(answer["body"])["status"] == "accepted"
    assert len(world.journal.entries) == 1
    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    (log,) = [line for line in lines if line.get("message") == "mistake"]
    assert (log["kind"], log["request_id"]) == (type(mistake).__name__, "request-1")
    assert any("fakes.py" in frame for frame in log["where"])
    assert [line["Mistake"] for line in lines if "Mistake" in line] == [[1.0]]
    assert [line["Accepted"] for line in lines if "Accepted" in line] == [[1.0]]
    assert "alice" not in told


def test_what_aws_or_the_database_call_a_mistake_is_logged(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "secret"}}, "GetSecretValue")
    for mistake, code in ((denied, "AccessDeniedException"), (UndefinedColumn("secret"), "42703")):
        world.ledger.broken = LedgerUnavailable("no-credentials", mistake=mistake)
        assert api.answer(event(), service(world))["statusCode"] == 202
        told = capsys.readouterr().out
        (log,) = [one for one in map(json.loads, told.splitlines()) if one.get("message") == "mistake"]
        assert log["code"] == code
        assert '"secret"' not in told


def test_an_answer_is_given_even_when_it_cannot_be_told_about(
    api: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_NAMESPACE")
    monkeypatch.setattr(api._METRICS.provider, "namespace", None)
    assert api.answer(event(), service(World()))["statusCode"] == 201
    assert "SchemaValidationError" in capsys.readouterr().err


@pytest.mark.parametrize(("active", "status"), [(HERE, 200), (THERE, 503)])
def test_an_answer_about_health_is_not_worth_a_line(
    api: Any, capsys: pytest.CaptureFixture[str], active: str, status: int
) -> None:
    """Route 53 asks several times a second. A standby says no each time, and leaves no client in doubt."""
    world = World()
    world.control.record = record(active)
    answer = api.answer({"httpMethod": "GET", "resource": "/health"}, service(world))
    assert answer["statusCode"] == status
    assert capsys.readouterr().out == ""


def test_a_mistake_met_by_a_health_check_is_told(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.journal = None  # type: ignore[assignment] # which is as broken as it gets
    answer = api.answer({"httpMethod": "GET", "resource": "/health"}, service(world))
    assert answer["statusCode"] == 500
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["Mistake"] for line in lines if "Mistake" in line] == [[1.0]]


def test_a_request_that_was_forwarded_is_counted_as_that_and_no_more(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world, active = World(), World(THERE)
    world.control.record = record(THERE)
    active.control.record = record(THERE)
    assert api.answer(event(), service(world, FakePeer(world=active)))["statusCode"] == 201
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (log,) = [line for line in lines if line.get("message") == "answered"]
    assert (log["status"], log["forwarded_to"]) == (201, THERE)
    (metrics,) = [line for line in lines if "_aws" in line]
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["Forwarded"]


def test_who_forwarded_a_request_is_in_the_log_of_the_region_that_answers(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert api.answer(event() | {"forwarded_by": THERE}, service(World()))["statusCode"] == 201
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["forwarded_by"] for line in told if line.get("message") == "answered"] == [THERE]


def test_how_old_a_lease_is_that_is_used_is_measured(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    asked = service(world)
    api.answer(event(), asked)
    world.clock.pass_time(1.5)
    capsys.readouterr()
    api.answer(event(), asked)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["LeaseAge"] for line in lines if "LeaseAge" in line] == [[1.5]]
