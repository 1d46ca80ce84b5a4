"""The steps of a takeover in the region that is to be active, and the finishing of one that was broken off.

Region switch invokes `fence` and `recover` there, before and after it promotes the database. A step that
fails is tried again by it; a step that was done finds nothing left to do. `finish` is started every minute:
it does what is left of the region's own takeover where nobody has been doing it for a while.

Whoever finished it posts, one lease later, what was accepted meanwhile: the sweeper comes by within a minute,
which may be late for a client that was told "accepted".

Metric: `Recovered`, payments that the journal had and the ledger lacked.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from adapters.aws import client
from adapters.takeover import RegionalWorld
from failover.clock import Clock, Instant, SystemClock
from failover.control import ControlRecord
from failover.decision import ABANDONED
from failover.planner import (
    ACCEPTING,
    POSTING,
    Admit,
    Blocked,
    Done,
    Finish,
    Mode,
    Promote,
    Run,
    Step,
    WaitLease,
)
from failover.takeover import Admitted, Outcome, World, take_over
from handlers.mistakes import tell_mistake, tell_mistakes
from handlers.region import LEDGERS_AT_A_TIME, Tables, own_ledgers, several
from handlers.rehearsal import is_rehearsal, of_fencing, of_recovering, rehearse
from handlers.runs import Context, run_until
from payments.errors import LedgerUnavailable, NotActive, Unavailable
from payments.lease import Leases
from payments.recover import Recovered, Recovery

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()
_FENCE_SECONDS: Final = 30.0
_RECOVER_SECONDS: Final = 600.0
_GRACEFUL_SECONDS: Final = 120.0  # a healthy switchover takes less
_FINISHING: Final = (WaitLease, Admit, Promote, *POSTING)  # never a new epoch: that is somebody's decision


class StepFailed(Exception):  # noqa: N818 - what happened
    """Where it stands, for whoever started the step; trying again goes on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """`world` is what a run sees of it, given the reason for the run and when it has to end. `rest` posts
    what was accepted meanwhile, under that epoch and until then.

    `without_loss_only`: a promotion that goes without the old writer is left to people.
    """

    name: str
    world: Callable[[str, Instant], World]
    rest: Callable[[int, Instant], None]
    clock: Clock
    without_loss_only: bool


def wired(environment: Mapping[str, str]) -> Region:
    tables, clock, name = Tables(environment), SystemClock(), environment["AWS_REGION"]
    control, clusters = tables.control(), client("rds")
    recovery = Recovery(
        leases=Leases(control, name, clock),
        work=tables.journal(),
        ledger=own_ledgers(environment),
        clock=clock,
        each=several(LEDGERS_AT_A_TIME),
    )

    def world(reason: str, until: Instant) -> RegionalWorld:
        return RegionalWorld(
            record=control,
            clusters=clusters,
            global_cluster=environment["GLOBAL_CLUSTER"],
            recover=lambda epoch: recovered(recovery, epoch, until),
            clock=clock,
            reason=reason,
        )

    return Region(
        name=name,
        world=world,
        rest=lambda epoch, until: _tell(recovery.rest(epoch, until)),
        clock=clock,
        without_loss_only=environment["WITHOUT_LOSS_ONLY"] == "true",
    )


@cache
def _region() -> Region:
    return wired(os.environ)


def fence(event: Any, context: Context) -> dict[str, object]:
    if is_rehearsal(event):
        return rehearse(of_fencing(os.environ), context, _LOGGER, _METRICS)
    return step(_region(), context, ACCEPTING, _FENCE_SECONDS)


def recover(event: Any, context: Context) -> dict[str, object]:
    if is_rehearsal(event):
        return rehearse(of_recovering(os.environ), context, _LOGGER, _METRICS)
    return step(_region(), context, POSTING, _RECOVER_SECONDS)


def finish(_event: Any, context: Context) -> dict[str, object]:
    return finished(_region(), context)


def step(region: Region, context: Context, may: tuple[type[Step], ...], seconds: float) -> dict[str, object]:
    """Raises StepFailed unless this step's part of the takeover is done."""
    until = run_until(region.clock, context, seconds)
    world = region.world("Region switch", until)
    outcome = _attempt(region, world, Mode.GRACEFUL, may, until)
    if not isinstance(outcome, Done | Admitted):
        raise StepFailed(str(outcome))
    return {"outcome": str(outcome), "epoch": outcome.epoch}


def finished(region: Region, context: Context) -> dict[str, object]:
    """Ends well whatever it finds: the next run goes on. Only mistakes fail."""
    until = run_until(region.clock, context, _RECOVER_SECONDS)
    world = region.world("finishing what was broken off", until)
    record = world.control()
    if not isinstance(record, ControlRecord) or record.active != region.name:
        return {"outcome": "not active, or unknown"}
    if region.clock.now().time() - record.changed_at < ABANDONED:
        return {"outcome": "changed a moment ago"}
    graceful_until = run_until(region.clock, context, _GRACEFUL_SECONDS)
    outcome = _attempt(region, world, Mode.GRACEFUL, _FINISHING, graceful_until)
    if isinstance(outcome, Blocked) and not region.without_loss_only:
        outcome = _attempt(region, world, Mode.UNGRACEFUL, _FINISHING, until)
    return {"outcome": str(outcome)}


def _attempt(
    region: Region, world: World, mode: Mode, may: tuple[type[Step], ...], until: Instant
) -> Outcome:
    finished_here = False

    def report(done: Step) -> None:
        nonlocal finished_here
        finished_here = finished_here or isinstance(done, Finish)
        _LOGGER.info("done", extra={"step": str(done)})

    try:
        outcome = take_over(
            Run(region.name, mode), may, world=world, clock=region.clock, until=until, report=report
        )
        if finished_here and isinstance(outcome, Done):
            region.rest(outcome.epoch, until)
    except Exception as mistake:
        tell_mistake(_LOGGER, _METRICS, mistake)
        raise
    return outcome


def recovered(recovery: Recovery, epoch: int, until: Instant) -> bool:
    """Whether the ledger has what the journal had. Raises Unavailable when it cannot be used now."""
    try:
        done = recovery.run(epoch, until)
    except NotActive:
        return False
    except LedgerUnavailable as reason:
        raise Unavailable(f"ledger: {reason.detail}") from reason
    _tell(done)
    return done.complete


def _tell(done: Recovered) -> None:
    if done.mistakes.count:
        tell_mistakes(_LOGGER, _METRICS, done.mistakes)
    _METRICS.add_metric(name="Recovered", unit=MetricUnit.Count, value=done.posted)
    _METRICS.flush_metrics()
