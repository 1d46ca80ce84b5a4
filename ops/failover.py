"""Making a region the active one from an operator's machine: whether to begin, and the way through.

The way is the planner's, as in Lambda. Every step is asked of the region that is to be active; what needs its
network - posting what the journal holds - its function `recover` does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.control import DynamoControl
from adapters.takeover import RegionalWorld
from failover.clock import Clock
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import (
    Admit,
    Blocked,
    Done,
    Fence,
    Finish,
    Mode,
    Promote,
    Recover,
    Run,
    Step,
    Superseded,
    Unknown,
    WaitLease,
)
from failover.takeover import Outcome, World, take_over
from failover.writer import GlobalDatabase
from ops.directory import Rejected
from ops.observation import Observation, Region
from ops.surroundings import Surroundings
from templates.config import Settings
from templates.names import Place

STEPS: Final = (Fence, WaitLease, Admit, Promote, Recover, Finish)
PATIENCE_SECONDS: Final = 1800.0  # a switchover of a busy cluster takes minutes, and so does recovering
BRIEF: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)
# As long as the function may take; asked again it would work beside itself.
_RECOVERING: Final = Config(
    connect_timeout=2, read_timeout=670, retries={"total_max_attempts": 1}, tcp_keepalive=True
)
# What the function says where trying again helps, and what Lambda says where its time ran out.
_AGAIN: Final = frozenset({"StepFailed", "Sandbox.Timedout", "Runtime.ExitError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator asked for, and accepted."""

    target: str
    mode: Mode
    reason: str
    accept_data_loss: bool

    @property
    def recorded(self) -> str:
        """What the control record says of it for good."""
        accepted = ", data loss accepted" if self.accept_data_loss else ""
        return f"{self.reason} (by an operator, {self.mode}{accepted})"


def finished(seen: Observation, target: str) -> bool:
    record = seen.control
    steady = isinstance(record, ControlRecord) and record.active == target and record.phase is Phase.STEADY
    return steady and seen.writer == target


def objection(seen: Observation, wanted: Wanted) -> Rejected | None:
    """Why not to begin, or to go on."""
    there = seen.named(wanted.target)
    if there is None:
        known = " or ".join(one.region for one in seen.regions)
        return Rejected(f"--to: {wanted.target} cannot become active; use {known}", 2)
    if finished(seen, wanted.target):
        return None
    why = _objection(seen, there, wanted)
    return Rejected(why, 1) if why is not None else None


def _objection(seen: Observation, there: Region, wanted: Wanted) -> str | None:
    """Where, what, what to do next."""
    if isinstance(there.control, Unknown):
        todo = "nothing can be decided before it answers"
        return f"control record: {wanted.target} does not answer ({there.control.why}); {todo}"
    if isinstance(there.ledger, GlobalDatabase):
        for member in there.ledger.members:
            if member.region == wanted.target and not member.writer and member.connected is False:
                todo = "wait until RDS has made it anew from the writer; `status` says when"
                return f"ledger: the copy in {wanted.target} is not attached, rows are missing; {todo}"
        if (change := there.ledger.change) is not None and change.target != wanted.target:
            return f"ledger: the writer changes over to {change.target}; wait until `status` shows no change"
    if wanted.mode is Mode.UNGRACEFUL:
        if wanted.accept_data_loss or _promoted(seen, wanted.target):
            return None
        return f"--mode ungraceful: {cost(seen, wanted.target)}; say --accept-data-loss to go on"
    return _graceful_objection(seen, wanted)


def cost(seen: Observation, target: str) -> str:
    """What going without the old writer may cost, as far as anybody knows."""
    there = seen.named(target)
    behind = there.lag if there is not None else None
    lag = f"{behind:.0f} ms" if isinstance(behind, float) else "an unknown time"
    return (
        f"what the writer did not send yet (the copy in {target} was {lag} behind) is not in its ledger;"
        " nothing acknowledged is lost, because the journal has it and posts it again;"
        " the old writer's cluster is made anew by RDS"
    )


def announced(seen: Observation, wanted: Wanted) -> str:
    record = seen.control
    now = f"{record.active} is active" if isinstance(record, ControlRecord) else "which is active is unknown"
    said = f"{now}; {wanted.target} is to be, {wanted.mode}"
    if isinstance(record, ControlRecord) and record.active == wanted.target:
        said = f"{wanted.target} is active, {record.phase}, and its takeover is gone on with, {wanted.mode}"
    if wanted.accept_data_loss:
        return f"{said}: {cost(seen, wanted.target)}"
    return said


def _graceful_objection(seen: Observation, wanted: Wanted) -> str | None:
    """A switchover needs both regions. Begun without one, it stops after payments were fenced off."""
    if _promoted(seen, wanted.target):
        return None
    ungraceful = "wait, or go without it: --mode ungraceful --accept-data-loss"
    record = seen.control
    if (
        isinstance(record, ControlRecord)
        and record.active != wanted.target
        and record.phase is not Phase.STEADY
    ):
        return f"control record: {record.active} is {record.phase}; {ungraceful}"
    for one in seen.regions:
        for question in ("control", "health", "ledger"):
            if (unknown := one.unanswered.get(question)) is not None:
                return f"{one.region}: {question} is unknown ({unknown.why}); {ungraceful}"
        if one.health not in (200, 503):
            return (
                f"{one.region}: /health says {one.health}; read the log of its function api, or {ungraceful}"
            )
        if missing := _unattached(seen, one.ledger):
            return f"ledger: {' and '.join(missing)} is not known to be attached; {ungraceful}"
    if isinstance(seen.writer, Unknown):
        return f"ledger: {seen.writer.why}; {ungraceful}"
    return None


def _promoted(seen: Observation, target: str) -> bool:
    """The target is the writer, or RDS is at it: nothing is asked of the other region any more."""
    there = seen.named(target)
    if there is None or not isinstance(there.ledger, GlobalDatabase):
        return False
    change = there.ledger.change
    writers = {member.region for member in there.ledger.members if member.writer}
    return writers == {target} or (change is not None and change.target == target)


def _unattached(seen: Observation, ledger: GlobalDatabase | Unknown) -> list[str]:
    members = ledger.members if isinstance(ledger, GlobalDatabase) else ()
    attached = {member.region for member in members if member.writer or member.connected}
    return sorted({one.region for one in seen.regions} - attached)


@dataclass(slots=True)
class Telling:
    """A world that says what it is about to do, each thing once however often it is tried."""

    world: World
    tell: Callable[[str], None]
    _told: set[Step] = field(default_factory=set)

    def control(self) -> ControlRecord | Unknown:
        return self.world.control()

    def writer(self) -> str | Unknown:
        return self.world.writer()

    def do(self, step: Step, target: str) -> bool:
        if step not in self._told:
            self._told.add(step)
            self.tell(f"{described(step, target)} ...")
        return self.world.do(step, target)


def described(step: Step, target: str) -> str:
    match step:
        case Fence(after):
            return f"fence: open epoch {after + 1} for {target}"
        case WaitLease():
            return "wait: until every lease of an older epoch has ended"
        case Admit():
            return f"admit: accept payments in {target}"
        case Promote(_, mode):
            return f"promote: make {target} the writer of the ledger ({mode})"
        case Recover():
            return f"recover: post in {target} what the journal holds and its ledger lacks"
        case Finish():
            return f"finish: post payments at once in {target}"


def regional_world(settings: Settings, around: Surroundings, wanted: Wanted, clock: Clock) -> RegionalWorld:
    """Raises Rejected where the region has no function that recovers."""
    place: Place = "primary" if wanted.target == settings.regions.primary else "secondary"
    function = settings.names.regional("recover", place)
    check_function(around.client("lambda", wanted.target, BRIEF), function, wanted)
    invoker = around.client("lambda", wanted.target, _RECOVERING)
    dynamodb = around.client("dynamodb", wanted.target, BRIEF)
    return RegionalWorld(
        record=DynamoControl(dynamodb, settings.names.shared("control")),
        clusters=around.client("rds", wanted.target, BRIEF),
        global_cluster=settings.names.shared("ledger"),
        recover=lambda epoch: recovered(invoker, function, epoch),
        clock=clock,
        reason=wanted.recorded,
    )


def check_function(client: Any, function: str, wanted: Wanted) -> None:
    """Raises Rejected where there is none: the takeover would stop after the ledger's promotion."""
    try:
        with unknown_is_unavailable(f"function {function}"):
            client.get_function_configuration(FunctionName=function)
    except ClientError as error:
        if code(error) != "ResourceNotFoundException":
            raise
        todo = "deploy the release that has it, or check --environment"
        raise Rejected(f"function {function}: there is none; {todo}", 1) from error
    except Unavailable as unknown:
        if wanted.mode is Mode.GRACEFUL:
            raise Rejected(f"{unknown}; nothing was begun; ask again", 1) from unknown


def recovered(client: Any, function: str, epoch: int) -> bool:
    """Has the region's function do it, which writes `steady`, too.

    Raises Rejected where somebody has to look.
    """
    with unknown_is_unavailable(f"function {function}"):
        answer = client.invoke(FunctionName=function, Payload=b"{}")
        said = json.loads(answer["Payload"].read())
    if "FunctionError" not in answer:
        return bool(said["epoch"] == epoch)
    kind, why = said.get("errorType", ""), said.get("errorMessage", "")
    if kind in _AGAIN:
        raise Unavailable(f"function {function}: {why or kind}")
    todo = "payments are accepted meanwhile; read its log, repair what it says, and run this again"
    raise Rejected(f"function {function}: {kind}: {why}; {todo}", 1)


def carried_out(
    wanted: Wanted,
    world: World,
    clock: Clock,
    tell: Callable[[str], None],
    patience: float = PATIENCE_SECONDS,
) -> int:
    """The epoch under which the target is active, steady and the writer. Raises Rejected where it is not."""
    outcome = take_over(
        Run(wanted.target, wanted.mode),
        STEPS,
        world=Telling(world, tell),
        clock=clock,
        until=clock.now().later(patience),
        report=lambda step: tell(f"{described(step, wanted.target)}: done"),
    )
    if isinstance(outcome, Done):
        return outcome.epoch
    raise Rejected(_ended(outcome, wanted), 1)


def _ended(outcome: Outcome, wanted: Wanted) -> str:
    match outcome:
        case Superseded(by):
            todo = "`status` says how far it is"
            return f"control record: another takeover opened epoch {by.epoch} for {by.active}; {todo}"
        case Blocked(why):
            again = "run the same command again, it goes on from here"
            if wanted.mode is Mode.GRACEFUL:
                again += "; or go without the old writer: --mode ungraceful --accept-data-loss"
            return f"takeover of {wanted.target}: {why}; {again}"
        case _:
            return f"takeover of {wanted.target}: ended with {outcome}; `status` says how far it is"
