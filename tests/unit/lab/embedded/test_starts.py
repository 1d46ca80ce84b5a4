"""A burst of requests starts as many processes as there is room for; who waits takes what is free first."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lab.embedded.starts import Starts

_SOON = 5.0  # seconds
CONFIG = {"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:paid"}


@dataclass
class Process:
    running: bool = True

    def poll(self) -> int | None:
        return None if self.running else 1


@dataclass
class Worker:
    in_use: bool = True
    _proc: Process | None = None


@dataclass
class Pool:
    """What MiniStack keeps: a free worker is taken again, else a new one is made."""

    workers: list[Worker] = field(default_factory=list)

    def acquire(self, *_: Any, **__: Any) -> tuple[Worker, str]:
        for worker in self.workers:
            if not worker.in_use:
                worker.in_use = True
                return worker, "reused"
        self.workers.append(Worker())
        return self.workers[-1], "spawn"

    def release(self, worker: Worker) -> None:
        worker.in_use = False

    def ready(self, _: str) -> bool:
        return any(not one.in_use and one._proc is not None and one._proc.running for one in self.workers)


class Function:
    """A function whose processes start when the test says so."""

    def __init__(self, at_a_time: int) -> None:
        self.pool = Pool()
        self.frozen: frozenset[str] = frozenset()
        self.enough = False
        starts = Starts(at_a_time, self.pool.ready, lambda: self.frozen, lambda _: self.enough)
        self.acquire = starts.waiting(self.pool.acquire)
        self.release = starts.telling(self.pool.release)
        self.spawn = starts.counted(self._start)
        self.fails = False

    def _start(self, worker: Worker) -> None:
        if self.fails:
            raise RuntimeError("it does not come up")
        worker._proc = Process()

    def ask(self, region: str = "us-east-1") -> Any:
        arn = CONFIG["FunctionArn"].replace("us-east-1", region)
        return self.acquire("paid", {"FunctionArn": arn}, b"")[0]


def waits(asked: Future[Worker]) -> bool:
    threading.Event().wait(0.05)
    return not asked.done()


def test_a_request_waits_for_room_and_takes_it_when_a_start_has_ended() -> None:
    function = Function(at_a_time=1)
    first = function.ask()
    with ThreadPoolExecutor() as threads:
        second = threads.submit(function.ask)
        assert waits(second)
        function.spawn(first)
        assert second.result(_SOON) is not first
    assert len(function.pool.workers) == 2


def test_a_request_that_waits_takes_what_becomes_free() -> None:
    function = Function(at_a_time=1)
    first = function.ask()
    function.spawn(first)
    starting = function.ask()
    with ThreadPoolExecutor() as threads:
        third = threads.submit(function.ask)
        assert waits(third)
        function.release(first)
        assert third.result(_SOON) is first
    assert starting._proc is None


def test_a_start_that_fails_makes_room_again() -> None:
    function = Function(at_a_time=1)
    function.fails = True
    first = function.ask()
    try:
        function.spawn(first)
    except RuntimeError:
        function.release(first)
    function.fails = False
    with ThreadPoolExecutor() as threads:
        assert threads.submit(function.ask).result(_SOON) is first


def test_a_process_that_was_killed_needs_room_to_start_again() -> None:
    function = Function(at_a_time=1)
    first = function.ask()
    function.spawn(first)
    function.release(first)
    assert first._proc is not None
    first._proc.running = False
    assert function.ask() is first
    with ThreadPoolExecutor() as threads:
        second = threads.submit(function.ask)
        assert waits(second)
        function.spawn(first)
        assert second.result(_SOON) is not first


def test_given_back_without_a_start_it_leaves_room() -> None:
    function = Function(at_a_time=1)
    function.release(function.ask())
    with ThreadPoolExecutor() as threads:
        assert threads.submit(function.ask).result(_SOON)


def test_what_starts_in_a_region_that_is_frozen_takes_no_room_from_another() -> None:
    function = Function(at_a_time=1)
    function.ask()
    with ThreadPoolExecutor() as threads:
        elsewhere = threads.submit(function.ask, "us-east-2")
        assert waits(elsewhere)
        function.frozen = frozenset({"us-east-1"})
        assert elsewhere.result(_SOON)


def test_a_frozen_region_starts_nothing_and_lets_a_few_wait() -> None:
    function = Function(at_a_time=2)
    function.frozen = frozenset({"us-east-1"})
    with ThreadPoolExecutor(64) as threads:
        asked = [threads.submit(function.ask) for _ in range(40)]
        give_up = time.monotonic() + _SOON
        while sum(one.done() for one in asked) < 8:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert waits(next(one for one in asked if not one.done()))
        assert [one.result() for one in asked if one.done()] == [None] * 8
        assert not function.pool.workers
        function.frozen = frozenset()
        while not all(one.done() for one in asked):
            assert time.monotonic() < give_up
            for worker in list(function.pool.workers):
                function.spawn(worker)
                function.release(worker)
    assert sum(one.result() is not None for one in asked) == 32


def test_with_many_at_work_one_more_is_started_only_after_a_while() -> None:
    function = Function(at_a_time=2)
    first = function.ask()
    function.spawn(first)
    function.enough = True
    with ThreadPoolExecutor() as threads:
        second, third = threads.submit(function.ask), threads.submit(function.ask)
        assert waits(second)
        function.release(first)
        done = first in (second.result(_SOON), third.result(_SOON))
    assert done
    assert len(function.pool.workers) == 2
