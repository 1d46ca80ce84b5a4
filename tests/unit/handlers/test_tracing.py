"""The trace of a request, as the daemon beside a function would get it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handlers.routes import respond
from handlers.tracing import traced
from payments.errors import LedgerUnavailable
from tests.unit.handlers.services import FakePeer, service
from tests.unit.handlers.test_routes import post
from tests.unit.payments.fakes import THERE, World, record

_ROOT = Path(__file__).parents[3]
_TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
_PROGRAM = """
import handlers.api
from handlers.tracing import traced
from tests.unit.handlers.services import service
from tests.unit.handlers.test_routes import post
from tests.unit.payments.fakes import World
world = World()
world.ledger.broken = RuntimeError("row contains alice")
handlers.api.answer(post(), traced(service(world), handlers.api._TRACER.provider))
"""


class FakeRecorder:
    def __init__(self, broken: bool = False) -> None:
        self.open: list[str] = []
        self.done: list[str] = []
        self.faults = 0
        self.broken = broken

    def begin_subsegment(self, name: str) -> Any:
        if self.broken:
            raise RuntimeError("no context")
        self.open.append(name)
        return self

    def add_fault_flag(self) -> None:
        self.faults += 1

    def end_subsegment(self) -> None:
        self.done.append(self.open.pop())


@pytest.fixture(autouse=True)
def _traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", _TRACE)


def test_session_journal_and_ledger_are_subsegments() -> None:
    recorder = FakeRecorder()
    assert respond(post(), traced(service(World()), recorder)).status == 201
    assert recorder.done == ["session.find", "journal.put", "ledger.post"]
    assert (recorder.open, recorder.faults) == ([], 0)


def test_so_is_a_call_of_the_other_region() -> None:
    here, there = World(), World(THERE)
    here.control.record = there.control.record = record(THERE)
    recorder = FakeRecorder()
    assert respond(post(), traced(service(here, FakePeer(world=there)), recorder)).status == 201
    assert recorder.done == ["forward.ask"]


def test_what_fails_is_marked_and_fails_as_before() -> None:
    world, recorder = World(), FakeRecorder()
    world.ledger.down = "unreachable"
    with pytest.raises(LedgerUnavailable):
        traced(service(world), recorder).ledger.posted(())
    assert (recorder.done, recorder.faults) == (["ledger.posted"], 1)
    assert respond(post(), traced(service(world), recorder)).status == 202


@pytest.mark.parametrize("broken", [True, False])
def test_a_payment_does_not_need_its_trace(broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not broken:
        monkeypatch.delenv("_X_AMZN_TRACE_ID")
    recorder = FakeRecorder(broken)
    assert respond(post(), traced(service(World()), recorder)).status == 201
    assert recorder.done == []


def test_the_daemon_gets_names_and_times_and_no_data() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}",
            "LAMBDA_TASK_ROOT": str(_ROOT),
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            "POWERTOOLS_METRICS_NAMESPACE": "payments",
            "POWERTOOLS_SERVICE_NAME": "api",
        }
        subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, check=True, capture_output=True)
        sent = [daemon.recv(65_536).decode().partition("\n")[2] for _ in range(3)]
    told = [json.loads(one) for one in sent]
    assert [one["name"] for one in told] == ["session.find", "journal.put", "ledger.post"]
    assert {one["trace_id"] for one in told} == {"1-5759e988-bd862e3fe1be46a994272793"}
    assert [one.get("fault", False) for one in told] == [False, False, True]
    for data in ("alice", "ses_token", "order-1", "1250"):
        assert data not in "".join(sent)
