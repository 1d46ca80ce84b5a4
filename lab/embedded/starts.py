"""How many processes of functions start at a time: as many as this machine has cores.

Lambda starts an environment for every request that finds none free, and has the machines for it. Here a burst
would start dozens of interpreters on two cores, each slower than the last, while those that are ready stand
still. So a request that finds none free takes whichever comes first: one that becomes free, or a start.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from lab.embedded.handlers import Handlers

Acquire = Callable[..., tuple[Any, str]]


def register(_: Handlers) -> None:
    starts = Starts(os.cpu_count() or 1)
    lambda_svc.acquire_worker = starts.waiting(lambda_svc.acquire_worker)
    lambda_svc.release_worker = starts.telling(lambda_svc.release_worker)
    lambda_runtime.Worker._spawn = starts.counted(lambda_runtime.Worker._spawn)


class Starts:
    """Waiting cannot block a function that calls itself: a start ends by itself, and then there is room."""

    def __init__(self, at_a_time: int, ready: Callable[[str], bool] | None = None) -> None:
        """`ready` says whether a live process of that key is free."""
        self._room = at_a_time
        self._ready = ready or _ready
        self._changed = threading.Condition()
        self._starting: set[int] = set()  # the workers, by identity, for which room is kept

    def waiting(self, acquire: Acquire) -> Acquire:
        def acquired(function: str, config: Any, code: bytes, qualifier: str = "$LATEST") -> tuple[Any, str]:
            key = lambda_runtime._worker_key(function, config, qualifier)
            with self._changed:
                self._changed.wait_for(lambda: self._room > 0 or self._ready(key))
                worker, reason = acquire(function, config, code, qualifier=qualifier)
                if worker is not None and not _alive(worker):
                    self._starting.add(id(worker))
                    self._room -= 1
            return worker, reason

        return acquired

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
            if id(worker) in self._starting:
                self._starting.remove(id(worker))
                self._room += 1
            self._changed.notify_all()


def _ready(key: str) -> bool:
    return any(not worker.in_use and _alive(worker) for worker in lambda_runtime._workers.get(key, ()))


def _alive(worker: Any) -> bool:
    return worker._proc is not None and worker._proc.poll() is None
