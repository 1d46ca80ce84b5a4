"""Rehearsals: what is one, what each of them reads, and that none writes."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError

from adapters.control import item
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from handlers.rehearsal import EVENT, NotReady, Rehearsal, is_rehearsal, rehearse
from payments.errors import LedgerUnavailable
from templates.schedules import REHEARSAL
from tests.ports import free_port
from tests.unit.handlers.test_api import CurrentOutput
from tests.unit.handlers.test_runs import Context
from tests.unit.payments.fakes import HERE, THERE, FakeClock, record

ALARM = {
    "source": "aws.cloudwatch",
    "alarmArn": "arn:aws:cloudwatch:us-east-2:123456789012:alarm:payments-peer-unreachable-secondary-prod",
    "accountId": "123456789012",
    "time": "2026-11-22T10:15:30.000+0000",
    "region": "us-east-2",
    "alarmData": {"alarmName": "rehearsal", "state": {"value": "ALARM", "reason": json.dumps(EVENT)}},
}
ORDINARY: tuple[object, ...] = (
    *({}, None, "", [], [EVENT], json.dumps(EVENT), ALARM, ALARM | EVENT),
    *({"rehearsal": True}, {"rehearsal": ""}, {"Rehearsal": EVENT["rehearsal"]}, {"event": EVENT}),
    EVENT | {"planArn": "arn:aws:arc-region-switch::123456789012:plan/payments-failover-prod:a1b2c3"},
)
PLAN = "payments-failover-prod"
MEMBER = (
    "<GlobalClusterMember><DBClusterArn>arn:aws:rds:us-east-2:123456789012:cluster:ledger</DBClusterArn>"
    "<IsWriter>true</IsWriter><Readers/></GlobalClusterMember>"
)
CLUSTERS = (
    "<DescribeGlobalClustersResponse><DescribeGlobalClustersResult><GlobalClusters><GlobalCluster>"
    f"<GlobalClusterMembers>{MEMBER}</GlobalClusterMembers>"
    "</GlobalCluster></GlobalClusters></DescribeGlobalClustersResult></DescribeGlobalClustersResponse>"
)


@dataclass
class FakeAws:
    """Answers what only reads, refuses everything else, and keeps what it was asked."""

    control: ControlRecord
    url: str = ""
    plans: tuple[str, ...] = (PLAN,)
    asked: list[str] = field(default_factory=list)

    def answer(self, headers: Mapping[str, str], body: str) -> tuple[int, str]:
        called = headers.get("X-Amz-Target", "").rpartition(".")[2] or parse_qs(body)["Action"][0]
        self.asked.append(called)
        match called:
            case "GetItem":
                return 200, json.dumps({"Item": item(self.control)})
            case "Query":
                return 200, json.dumps({"Items": []})
            case "BatchGetItem":
                return 200, json.dumps({"Responses": {}, "UnprocessedKeys": {}})
            case "DescribeGlobalClusters":
                return 200, CLUSTERS
            case "GetSecretValue":
                return 200, json.dumps({"SecretString": json.dumps({"username": "u", "password": "p"})})
            case "DescribeAlarms":
                return 200, json.dumps({"CompositeAlarms": [{"StateValue": "ALARM"}]})
            case "ListPlansInRegion":
                return 200, json.dumps({"plans": [{"arn": f"arn:{one}", "name": one} for one in self.plans]})
        return 400, json.dumps({"__type": "AccessDeniedException"})


@contextmanager
def serving(aws: FakeAws) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = aws.answer(dict(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        aws.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    aws = FakeAws(record(active=THERE))
    with serving(aws):
        for name, value in {
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": HERE,
            "AWS_REGION": HERE,
            "POWERTOOLS_METRICS_NAMESPACE": "payments",
            "POWERTOOLS_SERVICE_NAME": "rehearsal",
            "CONTROL_TABLE": "control",
            "JOURNAL_TABLE": "journal",
            "GLOBAL_CLUSTER": "ledger",
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_READER_HOST": "127.0.0.1",
            "DATABASE_PORT": str(free_port()),
            "DATABASE_NAME": "ledger",
            "DATABASE_SECRET": "application",
            "WITHOUT_LOSS_ONLY": "false",
            "PLAN": PLAN,
            "ALARM": "peer-unreachable",
            "VOTE_INTERVAL_SECONDS": "20",
        }.items():
            monkeypatch.setenv(name, value)
        yield aws


@pytest.fixture
def functions(aws: FakeAws) -> Iterator[dict[str, Callable[[Any, Any], Any]]]:
    """As Lambda has them; what they keep between invocations is of this test only."""
    import handlers.decide
    import handlers.takeover

    kept = (handlers.takeover._region, handlers.decide._deciding)
    for module in (handlers.takeover, handlers.decide):
        for one in module._LOGGER.handlers:
            assert isinstance(one, logging.StreamHandler)
            one.stream = CurrentOutput()
    for one in kept:
        one.cache_clear()
    yield {
        "fence": handlers.takeover.fence,
        "recover": handlers.takeover.recover,
        "decide": handlers.decide.handle,
    }
    for one in kept:
        one.cache_clear()


def run(function: Callable[[Any, Any], Any], event: object) -> Any:
    """In a hurry: what has no answer is not asked for again."""
    return function(event, Context(10))


READS = {
    "fence": {"GetItem"},
    "recover": {"GetItem", "DescribeGlobalClusters", "Query", "BatchGetItem", "GetSecretValue"},
    "decide": {"GetItem", "DescribeAlarms", "ListPlansInRegion"},
}


@pytest.mark.parametrize("active", [HERE, THERE])
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("name", READS)
def test_a_rehearsal_only_reads_whatever_is_so(
    functions: dict[str, Any], aws: FakeAws, name: str, phase: Phase, active: str
) -> None:
    """Also where an ordinary event would be acted on at once."""
    aws.control = record(active, phase)
    if name == "recover":  # no database here
        with pytest.raises(NotReady, match=r"^fence of the ledger: unreachable$"):
            run(functions[name], EVENT)
    else:
        done = run(functions[name], EVENT)
        assert done["outcome"] == "rehearsed: nothing was written"
        assert f"active='{active}'" in done["found"]["control record"]
    assert set(aws.asked) == READS[name]


@pytest.mark.parametrize("event", ORDINARY)
@pytest.mark.parametrize("name", ["fence", "decide"])
def test_nothing_else_is_taken_for_a_rehearsal(
    functions: dict[str, Any], aws: FakeAws, name: str, event: object
) -> None:
    """The other region is the active one: both would begin to take over, and are refused here."""
    assert not is_rehearsal(event)
    with pytest.raises(ClientError, match="AccessDenied"):
        run(functions[name], event)
    assert "PutItem" in aws.asked


def test_recovering_takes_nothing_else_for_a_rehearsal(functions: dict[str, Any], aws: FakeAws) -> None:
    for event in ORDINARY:
        with pytest.raises(Exception, match=r"Fence\(after=1\)"):
            run(functions["recover"], event)
    assert "GetSecretValue" not in aws.asked


def test_the_schedule_says_what_the_functions_know() -> None:
    assert is_rehearsal(json.loads(REHEARSAL))


def test_a_plan_that_is_not_there_fails_the_rehearsal(functions: dict[str, Any], aws: FakeAws) -> None:
    aws.plans = ("another",)
    with pytest.raises(NotReady, match=r"^plan: Region switch: the plan is not there$"):
        run(functions["decide"], EVENT)


def test_what_may_not_be_read_is_told_and_fails(
    functions: dict[str, Any], aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """However new the control record is: waiting mends no grant."""
    aws.control = replace(aws.control, changed_at=FakeClock().now().time() + timedelta(days=36500))
    refused = aws.answer

    def answer(headers: Mapping[str, str], body: str) -> tuple[int, str]:
        if headers.get("X-Amz-Target", "").endswith("ListPlansInRegion"):
            return 400, json.dumps({"__type": "AccessDeniedException"})
        return refused(headers, body)

    aws.answer = answer  # type: ignore[method-assign]
    with pytest.raises(NotReady, match=r"^plan: AccessDeniedException$"):
        run(functions["decide"], EVENT)
    told = capsys.readouterr().out.replace(" ", "")
    assert '"Mistake":[1.0]' in told
    assert '"code":"AccessDeniedException"' in told


@pytest.fixture
def rehearsed(aws: FakeAws) -> Callable[..., Any]:
    """With a control record of that age, and what is looked at besides."""
    from handlers.takeover import _LOGGER, _METRICS

    def rehearsed(age: timedelta, **looks: Callable[[], object]) -> Any:
        clock = FakeClock()
        found = replace(record(), changed_at=clock.now().time() - age)
        rehearsal = Rehearsal(control=lambda: found, looks=looks, clock=clock)
        return rehearse(rehearsal, Context(60), _LOGGER, _METRICS)

    return rehearsed


def no_schema() -> int:
    raise LedgerUnavailable("no-schema")


def silent() -> int:
    raise Unavailable("no quorum")


def test_what_a_first_deployment_has_not_made_yet_is_not_missed(rehearsed: Callable[..., Any]) -> None:
    assert rehearsed(timedelta(hours=2), ledger=no_schema)["missing"] == {"ledger": "no-schema"}
    with pytest.raises(NotReady, match="ledger: no-schema"):
        rehearsed(timedelta(hours=4), ledger=no_schema)


def test_all_that_is_missing_is_named(rehearsed: Callable[..., Any]) -> None:
    with pytest.raises(NotReady, match=r"^ledger: no-schema; writer: no quorum$"):
        rehearsed(timedelta(days=1), ledger=no_schema, writer=silent, plan=lambda: "there")


def test_a_secret_that_cannot_be_read_is_a_mistake_whenever_it_happens(
    rehearsed: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def no_secret() -> int:
        raise LedgerUnavailable("no-credentials", mistake=KeyError("password"))

    with pytest.raises(NotReady, match="ledger: no-credentials"):
        rehearsed(timedelta(minutes=1), ledger=no_secret)
    assert '"kind":"KeyError"' in capsys.readouterr().out.replace(" ", "")


def test_what_has_no_answer_is_asked_for_a_while(rehearsed: Callable[..., Any]) -> None:
    asked = iter(range(3))

    def hesitant() -> int:
        return silent() if next(asked) < 2 else 7

    assert rehearsed(timedelta(days=1), fence=hesitant)["found"]["fence"] == "7"


def test_without_a_control_record_nothing_is_excused(aws: FakeAws) -> None:
    from handlers.takeover import _LOGGER, _METRICS

    def nobody() -> ControlRecord:
        raise Unavailable("no quorum")

    rehearsal = Rehearsal(control=nobody, looks={}, clock=FakeClock())
    with pytest.raises(NotReady, match="control record: no quorum"):
        rehearse(rehearsal, Context(60), _LOGGER, _METRICS)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        *(("fence", one) for one in ("CONTROL_TABLE",)),
        *(("decide", one) for one in ("CONTROL_TABLE", "PLAN", "ALARM")),
        *(
            ("recover", one)
            for one in ("CONTROL_TABLE", "JOURNAL_TABLE", "GLOBAL_CLUSTER", "DATABASE_READER_HOST")
        ),
    ],
)
def test_a_missing_setting_is_loud(
    functions: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, missing: str
) -> None:
    assert os.environ[missing]
    monkeypatch.delenv(missing)
    with pytest.raises(KeyError, match=missing):
        run(functions[name], EVENT)
