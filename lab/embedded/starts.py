"""How many processes of functions start at a time: as many as this machine has cores.

Lambda starts an environment for every request that finds none free, and has the machines for it. Here a burst
would start dozens of interpreters on two cores, each slower than the last, while those that are ready stand
still. So a request that finds none free takes whichever comes first: one that becomes free, or a start.
Beyond some processes of one function, starting another costs the others more than it brings: it has to have
waited for a while, and then starts even so, for whoever holds the others may be waiting for it.
A region that is frozen starts nothing, and what was starting there takes no room from the others.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from lab.embedded import outage
from lab.embedded.handlers import Handlers

_STANDING = 32  # requests that may wait for a frozen region: each takes a thread from the embedded AWS
_LOOK_EVERY = 0.2  # seconds between two looks whether a region is frozen
_FREELY = 4  # processes of one function, for each core
_PATIENCE = 2.0  # seconds until one more is started all the same

Acquire = Callable[..., tuple[Any, str]]


def register(_: Handlers) -> None:
    starts = Starts(os.cpu_count() or 1)
    lambda_svc.acquire_worker = starts.waiting(lambda_svc.acquire_worker)
    lambda_svc.release_worker = starts.telling(lambda_svc.release_worker)
    lambda_runtime.Worker._spawn = starts.counted(lambda_runtime.Worker._spawn)


class Starts:
    """Waiting cannot block a function that calls itself: a start ends by itself, and then there is room."""

    def __init__(
        self,
        at_a_time: int,
        ready: Callable[[str], bool] | None = None,
        frozen: Callable[[], frozenset[str]] = lambda: outage.now().frozen,
        many: Callable[[str], bool] | None = None,
    ) -> None:
        """`ready` says whether a live process of that key is free, `many` whether there are enough of them,
        `frozen` which regions stand still.
        """
        self._at_a_time = at_a_time
        self._ready = ready or _ready
        self._frozen = frozen
        self._many = many or (lambda key: _busy(key) >= _FREELY * at_a_time)
        self._changed = threading.Condition()
        self._starting: dict[int, str] = {}  # by the worker's identity, the region in which it starts
        self._standing = 0  # requests that wait in a region that is frozen

    def waiting(self, acquire: Acquire) -> Acquire:
        def acquired(function: str, config: Any, code: bytes, qualifier: str = "$LATEST") -> tuple[Any, str]:
            key = lambda_runtime._worker_key(function, config, qualifier)
            region = str(config["FunctionArn"]).split(":")[3]
            with self._changed:
                if not self._has_waited(key, region):
                    return None, "func_cap"
                worker, reason = acquire(function, config, code, qualifier=qualifier)
                if worker is not None and not _alive(worker):
                    self._starting[id(worker)] = region
            return worker, reason

        return acquired

    def _has_waited(self, key: str, region: str) -> bool:
        """Until there is something to take; False where too many wait for a region that is frozen."""
        began = time.monotonic()

        def may_start() -> bool:
            enough = self._many(key) and time.monotonic() - began < _PATIENCE
            return self._has_room(region) and not enough

        while not self._ready(key) and not may_start():
            if region not in self._frozen():
                self._changed.wait(_LOOK_EVERY)
            elif self._standing >= _STANDING:
                return False
            else:
                self._standing += 1
                self._changed.wait(_LOOK_EVERY)
                self._standing -= 1
        return True

    def _has_room(self, region: str) -> bool:
        frozen = self._frozen()
        busy = sum(one not in frozen for one in self._starting.values())
        return region not in frozen and busy < self._at_a_time

    def telling(self, release: Callable[[Any], None]) -> Callable[[Any], None]:
        def released(worker: Any) -> None:
            release(worker)
            self._has_started(worker)

        return released

    def counted(self, spawn: Callable[[Any], None]) -> Callable[[Any], None]:
        def spawned(worker: Any) -> None:
            with self._ending(worker):
                spawn(worker)

        return spawned

    @contextmanager
    def _ending(self, worker: Any) -> Iterator[None]:
        try:
            yield
        finally:
            self._has_started(worker)

    def _has_started(self, worker: Any) -> None:
        """Or will not, or was free again: whoever waits looks again."""
        with self._changed:
            self._starting.pop(id(worker), None)
            self._changed.notify_all()


def _ready(key: str) -> bool:
    return any(not worker.in_use and _alive(worker) for worker in lambda_runtime._workers.get(key, ()))


def _busy(key: str) -> int:
    return sum(worker.in_use for worker in lambda_runtime._workers.get(key, ()))


def _alive(worker: Any) -> bool:
    return worker._proc is not None and worker._proc.poll() is None
