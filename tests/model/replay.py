"""Domain code as a process that stops at every call: it is run again from its history of answers.

The real code runs, unchanged, on ports that return recorded answers; the first call without one stops it.
So what a process does next is a pure function of its script and of the answers it got, worked out once and
kept: a process in a state is the number of its node in a tree of answers.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple


class Call(NamedTuple):
    """What a process asks the world, from `region` (0 or 1); `to` reads like "journal.put"."""

    region: int
    to: str
    args: tuple[Any, ...]


class Ask:
    """Asks the world from one region, for one execution environment: after a crash it asks nothing more."""

    def __init__(self, region: int, call: Callable[[Call], Any]) -> None:
        self.region = region
        self._call = call
        self._crash: Crash | None = None

    def __call__(self, to: str, *args: Any) -> Any:
        if self._crash is not None:  # in a `finally`, which nobody runs after a crash
            raise self._crash
        try:
            return self._call(Call(self.region, to, args))
        except Crash as crash:
            self._crash = crash
            raise


Script = Callable[[Callable[[int], Ask]], None]


class Crash(BaseException):
    """The process died at this call; no code of the domain gets to see it."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An answer that is an error."""

    kind: type[BaseException]
    detail: str = ""

    def error(self) -> BaseException:
        return self.kind(self.detail) if self.detail else self.kind()


@dataclass(frozen=True, slots=True)
class Late:
    """An answer that arrives only at `until`, in leases."""

    answer: Any
    until: int


class _Stopped(BaseException):
    def __init__(self, call: Call) -> None:
        self.call = call


@dataclass(slots=True)
class Node:
    """Where a process stands: `call` is what it asks next, None when it has ended."""

    script: Script
    history: tuple[Any, ...]
    call: Call | None
    after: dict[Any, int] = field(default_factory=dict)


class Processes:
    """Every point that any process has reached so far, by number."""

    def __init__(self) -> None:
        self.nodes: Final[list[Node]] = []

    def start(self, script: Script) -> int:
        return self._add(script, ())

    def after(self, number: int, answer: Any) -> int:
        """The point that a process at `number` reaches with this answer."""
        node = self.nodes[number]
        reached = node.after.get(answer)
        if reached is None:
            reached = node.after[answer] = self._add(node.script, (*node.history, answer))
        return reached

    def _add(self, script: Script, history: tuple[Any, ...]) -> int:
        self.nodes.append(Node(script, history, _next_call(script, history)))
        return len(self.nodes) - 1


def _next_call(script: Script, history: tuple[Any, ...]) -> Call | None:
    answers = iter(history)
    stopped: _Stopped | None = None

    def answered(call: Call) -> Any:
        nonlocal stopped
        if stopped is not None:  # in a `finally`, on the way out of where it really stopped
            raise stopped
        for answer in answers:
            if isinstance(answer, Raised):
                raise answer.error()
            return answer
        stopped = _Stopped(call)
        raise stopped

    with suppress(_Stopped, Crash):
        script(lambda region: Ask(region, answered))
    return None if stopped is None else stopped.call
