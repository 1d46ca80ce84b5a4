"""Waiting inside a custom resource, never past its deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

from adapters.custom_resource import Failed

Value = TypeVar("Value")


def until(
    ready: Callable[[], Value | None],
    *,
    deadline: float,
    what: str,
    every: float,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Value:
    """The first value `ready` returns that is not None. `what` completes "still waiting for ..."."""
    while True:
        value = ready()
        if value is not None:
            return value
        if monotonic() + every >= deadline:
            raise Failed(f"still waiting for {what}; deploy again to wait longer")
        sleep(every)
