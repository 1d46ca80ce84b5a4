"""`python -m ops failover` and `failback` under traffic, in a lab of their own: the active region changes."""

import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from lab import environment
from lab.control import Control
from lab.requests import forbidden, read
from tests.integration.system.deployment import Client, System, deployed, eventually

_REATTACHED_SECONDS = 120.0
_SWEPT_SECONDS = 150.0  # a sweeper is started every minute
_UNGRACEFUL = ("--mode", "ungraceful", "--accept-data-loss")
_LEDGER = """
    SELECT p.payment_id, p.amount, count(e.*), sum(e.amount)
    FROM ledger.payment p LEFT JOIN ledger.entry e USING (payment_id) GROUP BY 1, 2
"""


@pytest.fixture(scope="module")
def system(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Not the one the other tests share: they know who is active."""
    with deployed(workspace, tmp_path_factory.mktemp("takeover")) as system:
        yield system


def start(system: System, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "--environment", "lab", *arguments],
        cwd=system.workspace,
        env={**environment.for_child(system.plan, os.environ), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def operate(system: System, *arguments: str) -> tuple[int, str, str]:
    with start(system, *arguments) as process:
        out, errors = process.communicate(timeout=300)
        return process.returncode, out, errors


def status(system: System) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads(operate(system, "status", "--json")[1])
    return seen


def steady(system: System, region: str) -> dict[str, Any]:
    """The status, once both copies are attached and somebody measured how far the copy is behind."""

    def found() -> dict[str, Any] | None:
        seen = status(system)
        attached = [
            member["connected"] for one in seen["regions"].values() for member in one["ledger"]["members"]
        ]
        unknown = [one for one in seen["findings"] if one["kind"] == "unknown"]
        return seen if all(attached) and not unknown else None

    seen = eventually(found, "two attached clusters", _REATTACHED_SECONDS)
    assert (seen["control"]["active"], seen["control"]["phase"], seen["writer"]) == (region, "steady", region)
    return seen


class Flow:
    """Payments from a few merchants' programs; each sends one until it is acknowledged, then the next."""

    def __init__(self, system: System, regions: tuple[str, ...] = ()) -> None:
        """Asking these regions; without any, both."""
        self.acknowledged: dict[str, int] = {}
        self.refused: list[str] = []
        self._ended = threading.Event()
        clients = [Client(system, region) for region in 2 * (regions or system.regions)]
        self._threads = [threading.Thread(target=self._pay, args=(client,)) for client in clients]

    @contextmanager
    def running(self) -> Iterator["Flow"]:
        for thread in self._threads:
            thread.start()
        try:
            eventually(lambda: len(self.acknowledged) >= 10 or None, "payments", 60)
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _pay(self, client: Client) -> None:
        with client:
            client.sign_in()
            while not self._ended.is_set():
                self._insist(client, secrets.token_hex(16), 1 + secrets.randbelow(100_000))

    def _insist(self, client: Client, key: str, amount: int) -> None:
        give_up = time.monotonic() + 90
        while time.monotonic() < give_up:
            try:
                answer = client.pay(key, amount=amount)
            except requests.RequestException:
                time.sleep(0.2)
                continue
            if answer.status_code in (201, 202):
                self.acknowledged[answer.json()["payment_id"]] = amount
                return
            if answer.status_code < 500:
                break
            time.sleep(0.2)
        self.refused.append(key)


def assert_posted_soon(system: System, region: str, seen: dict[str, Any]) -> None:
    """Of what was accepted before posting went on, nearly all was posted within a minute of that."""
    accepted, late = system.query(
        region,
        """
        SELECT count(*), count(*) FILTER (WHERE posted_at > %s::timestamptz + interval '60 s')
        FROM ledger.payment WHERE epoch = %s AND accepted_at <= %s::timestamptz + interval '3 s'
        """,
        seen["control"]["since"],
        seen["control"]["epoch"],
        seen["control"]["since"],
    )[0]
    assert accepted > 0
    assert late <= accepted * 0.05, f"{late} of {accepted}"


def assert_posted(system: System, region: str, acknowledged: dict[str, int]) -> None:
    """Each exactly once, with the right amount and two lines that balance, by reading the ledger itself."""

    def missing() -> set[str]:
        return acknowledged.keys() - {row[0] for row in system.query(region, _LEDGER)}

    give_up = time.monotonic() + _SWEPT_SECONDS
    while left := missing():
        assert time.monotonic() < give_up, f"{len(left)} of {len(acknowledged)} not in {region}: {min(left)}"
        time.sleep(0.5)
    found = {row[0]: row[1:] for row in system.query(region, _LEDGER)}
    wrong = {one for one, amount in acknowledged.items() if found[one] != (amount, 2, 0)}
    assert not wrong


def test_planned_there_and_back_no_payment_is_lost_or_refused(system: System) -> None:
    here, there = system.regions
    with Flow(system).running() as flow:
        code, out, errors = operate(
            system, "failover", "--to", there, "--direct", "--yes", "--reason", "drill"
        )
        assert code == 0, out + errors
        before = len(flow.acknowledged)
        eventually(lambda: len(flow.acknowledged) > before + 20 or None, "payments after the takeover", 60)
    assert not flow.refused
    assert out.splitlines()[-1] == f"{there} is active under epoch 2, steady and the writer"
    assert_posted(system, there, flow.acknowledged)
    seen = steady(system, there)
    assert_posted_soon(system, there, seen)
    assert seen["control"]["reason"] == "drill (by an operator, graceful)"
    assert seen["regions"][there]["health"]["lease"] is True

    code, out, errors = operate(system, "failover", "--to", there, "--direct", "--yes", "--json")
    assert (code, json.loads(out)) == (0, {"active": there, "changed": False}), errors

    with Flow(system).running() as back:
        code, out, errors = operate(system, "failback", "--direct", "--yes", "--json")
        assert (code, json.loads(out)) == (0, {"active": here, "changed": True, "epoch": 3}), errors
    assert not back.refused
    assert_posted(system, here, {**flow.acknowledged, **back.acknowledged})
    steady(system, here)


def killed_at_a_moment(system: System, chance: random.Random, *command: str) -> None:
    """Two of them, begun at once, at moments of which some are before their first step or after the last."""
    both = [start(system, *command) for _ in range(2)]
    for process in both:
        try:
            process.communicate(timeout=chance.uniform(0.0, 9.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("way", [("--direct",), ()], ids=["directly", "by the plan"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_and_then_run_twice_at_once_it_ends_the_same(
    system: System, way: tuple[str, ...], seed: int
) -> None:
    here, there = system.regions
    epoch = steady(system, here)["control"]["epoch"]
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    command = ("failover", "--to", there, *way, "--yes", "--reason", "killed")
    with Flow(system).running() as flow:
        killed_at_a_moment(system, chance, *command)
        both = [start(system, *command) for _ in range(2)]
        ends = [(process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    assert not flow.refused
    seen = steady(system, there)
    assert seen["control"]["epoch"] == epoch + 1
    assert_posted(system, there, flow.acknowledged)
    assert operate(system, "failback", "--direct", "--yes")[0] == 0
    steady(system, here)


def test_without_the_old_writer_what_was_acknowledged_is_posted_again(system: System) -> None:
    here, there = system.regions
    steady(system, here)
    control = Control(system.plan.control_socket)
    with Flow(system).running() as flow:
        control.stop_database(here, crash=True)
        try:
            command = ("failover", "--to", there, "--direct", "--yes", "--mode", "ungraceful")
            code, _, errors = operate(system, *command)
            assert (code, "nothing acknowledged is lost" in errors) == (1, True), errors
            code, out, errors = operate(system, *command, "--accept-data-loss")
            assert code == 0, out + errors
            before = len(flow.acknowledged)
            eventually(
                lambda: len(flow.acknowledged) > before + 20 or None, "payments after the takeover", 60
            )
        finally:
            control.start_database(here)
    assert not flow.refused
    assert_posted(system, there, flow.acknowledged)
    seen = steady(system, there)
    assert_posted_soon(system, there, seen)
    assert seen["control"]["reason"].endswith("(by an operator, ungraceful, data loss accepted)")
    code, out, errors = operate(system, "failback", "--direct", "--yes")
    assert code == 0, out + errors
    assert_posted(system, here, flow.acknowledged)


def test_an_execution_that_waits_for_a_region_that_died_is_switched(system: System) -> None:
    here, there = system.regions
    steady(system, here)
    control = Control(system.plan.control_socket)
    command = ("failover", "--to", there, "--yes", "--reason", "switched")
    with Flow(system).running() as flow:
        with start(system, *command) as graceful:
            assert graceful.stdout is not None
            for line in graceful.stdout:
                if line.startswith("fence: running"):
                    break
            control.stop_database(here, crash=True)
            try:
                out, errors = graceful.communicate(timeout=300)
                assert (graceful.returncode, "is pausedByFailedStep (promote)" in errors) == (1, True), errors
                code, out, errors = operate(system, *command, "--mode", "ungraceful", "--accept-data-loss")
                assert code == 0, out + errors
                assert "switched to ungraceful: it goes on without the old writer" in out.splitlines()
            finally:
                control.start_database(here)
        before = len(flow.acknowledged)
        eventually(lambda: len(flow.acknowledged) > before + 20 or None, "payments after the takeover", 60)
    assert not flow.refused
    assert_posted(system, there, flow.acknowledged)
    steady(system, there)
    assert operate(system, "failback", "--direct", "--yes")[0] == 0


def test_by_the_plan_there_and_back(system: System) -> None:
    here, there = system.regions
    steady(system, here)
    for target, command in ((there, ("failover", "--to", there)), (here, ("failback",))):
        code, out, errors = operate(system, *command, "--yes", "--reason", "by the plan")
        assert code == 0, out + errors
        assert "recover: completed" in out.splitlines()
        steady(system, target)


@pytest.mark.parametrize("how", [(), ("--direct",)])
def test_a_region_dies_and_what_it_leaves_is_enough(system: System, how: tuple[str, ...]) -> None:
    """Clients of the standby go on, nothing is asked of the dead region, and it comes back as the standby."""
    here, there = system.regions
    steady(system, here)
    control = Control(system.plan.control_socket)
    with Flow(system, (there,)).running() as flow:
        control.kill_region(here)
        since = time.time()
        try:
            assert system.status()["regions"][here]["state"] == "down"
            code, out, errors = operate(
                system, "failover", "--to", there, *how, "--yes", "--reason", "it died", *_UNGRACEFUL
            )
            assert code == 0, out + errors
            before = len(flow.acknowledged)
            eventually(
                lambda: len(flow.acknowledged) > before + 20 or None, "payments after the takeover", 60
            )
        finally:
            until = time.time()
            control.restore_region(here)
    assert not flow.refused
    assert_posted(system, there, flow.acknowledged)
    steady(system, there)
    calls = read(system.plan.logs)
    asked = [str(one) for one in forbidden(calls, here, since, until)]
    assert not asked
    took_over = [call for call in calls if since <= call.at <= until and call.target == there]
    assert any("-recover-" in call.function for call in took_over), "the log does not say who asked"
    assert operate(system, "failback", "--yes")[0] == 0
    steady(system, here)
    assert_posted(system, here, flow.acknowledged)
