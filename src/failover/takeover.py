"""Carrying a plan out: observe, ask for the next step, do it, until the end or until it is others' turn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from failover.clock import Clock, Instant, wait_out
from failover.control import LEASE_SECONDS, ControlRecord
from failover.errors import Unavailable
from failover.planner import (
    ACCEPTING,
    NOT_ASKED,
    Blocked,
    Done,
    End,
    Observed,
    Run,
    Step,
    Superseded,
    Unknown,
    WaitLease,
    after,
    next_step,
)

_LOOK_EVERY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Admitted:
    """Payments are accepted under this epoch; the rest is for others to do."""

    epoch: int


Outcome = Step | End | Admitted


class World(Protocol):
    """What a run sees and changes. `do` may raise `Unavailable`: whether it took effect is unknown."""

    def control(self) -> ControlRecord | Unknown: ...

    def writer(self) -> str | Unknown:
        """The region whose cluster the global cluster names the writer."""
        ...

    def do(self, step: Step, target: str) -> bool:
        """False when its condition no longer held, or when it has only begun to take effect."""
        ...


def take_over(
    run: Run,
    may: tuple[type[Step], ...],
    *,
    world: World,
    clock: Clock,
    until: Instant,
    report: Callable[[Step], None],
) -> Outcome:
    """How it ended: with an end, or with the first step that this run may not do itself.

    What is blocked or not done is tried again, but not after `until`; then it is Blocked. `report` is told of
    each step that is done.
    """
    while True:
        try:
            step = _next(run, may, world)
            if isinstance(step, Done | Admitted | Superseded):
                return step
            if isinstance(step, Blocked):
                blocked = step
            elif not isinstance(step, may):
                return step
            elif _did(step, run, world, clock):
                run = after(run, step)
                report(step)
                continue
            else:
                blocked = Blocked(f"{type(step).__name__} is not done yet")
        except Unavailable as unknown:
            blocked = Blocked(str(unknown))
        if clock.now().reached(until):
            return blocked
        clock.sleep(_LOOK_EVERY_SECONDS)


def _next(run: Run, may: tuple[type[Step], ...], world: World) -> Outcome:
    """Who accepts payments waits for no word about the writer, and never asks when that is all it may do."""
    record = world.control()
    step = next_step(run, Observed(record, NOT_ASKED))
    if isinstance(record, Unknown) or not isinstance(step, Blocked):
        return step
    if set(may) <= set(ACCEPTING):
        return Admitted(record.epoch)
    return next_step(run, Observed(record, world.writer()))


def _did(step: Step, run: Run, world: World, clock: Clock) -> bool:
    if isinstance(step, WaitLease):
        wait_out(clock, LEASE_SECONDS)
        return True
    return world.do(step, run.target)
