"""The decision to take over, started by the alarm that rings when two of three regions agree.

It asks the control record once more, does at once what does not have to wait for Region switch - the plan's
first step then finds it done - and starts the plan without the old writer. What could not be decided or
started fails: Lambda tries it again, twice in three minutes, and then people are told. By then the region may
be well again, so what is tried again asks the alarm whether it still rings.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Protocol

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from adapters.aws import client, unknown_is_unavailable
from adapters.control import DynamoControl
from adapters.region_switch import Found, find_plan, start_plan
from adapters.takeover import RegionalWorld
from failover.clock import Clock, SystemClock
from failover.control import ControlRecord
from failover.decision import REASON, Later, Leave, decide
from failover.errors import Unavailable
from failover.planner import ACCEPTING, Mode, Run, Superseded, Unknown
from failover.takeover import Admitted, Outcome, World, take_over
from handlers.mistakes import tell_mistake
from handlers.rehearsal import is_rehearsal, of_deciding, rehearse
from handlers.runs import Context, run_until

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()
_FENCE_SECONDS: Final = 15.0
_ASK_EVERY_SECONDS: Final = 0.5
# Lambda tries again after a minute; what comes sooner is the alarm's own word.
_FRESH: Final = timedelta(seconds=30)


class Undecided(Exception):  # noqa: N818 - what is so
    """Why nothing could be decided, or started, yet."""


class Plan(Protocol):
    """Any method may raise Unavailable."""

    def find(self) -> Found | None: ...

    def start(self, arn: str) -> str | None:
        """The execution; None where another one is in the way."""


class Alarm(Protocol):
    def rings(self) -> bool:
        """May raise Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """In `region`, which would take over."""

    region: str
    world: World
    plan: Plan
    alarm: Alarm
    clock: Clock
    voted: timedelta


@dataclass(frozen=True, slots=True)
class RegionsPlan:
    client: Any
    name: str
    region: str

    def find(self) -> Found | None:
        return find_plan(self.client, self.name)

    def start(self, arn: str) -> str | None:
        return start_plan(self.client, arn, self.region, Mode.UNGRACEFUL, REASON)


@dataclass(frozen=True, slots=True)
class VotesAlarm:
    client: Any
    name: str

    def rings(self) -> bool:
        asked = f"alarm {self.name}"
        with unknown_is_unavailable(asked):
            answer = self.client.describe_alarms(AlarmNames=[self.name], AlarmTypes=["CompositeAlarm"])
        if not answer["CompositeAlarms"]:
            raise Unavailable(f"{asked}: not there")
        return bool(answer["CompositeAlarms"][0]["StateValue"] == "ALARM")


def wired(environment: Mapping[str, str]) -> Deciding:
    clock, region = SystemClock(), environment["AWS_REGION"]
    world = RegionalWorld(
        record=DynamoControl(client("dynamodb"), environment["CONTROL_TABLE"]),
        clusters=client("rds"),
        global_cluster=environment["GLOBAL_CLUSTER"],
        recover=lambda _: False,  # what comes after accepting payments is the plan's
        clock=clock,
        reason=REASON,
    )
    plan = RegionsPlan(client("arc-region-switch"), environment["PLAN"], region)
    alarm = VotesAlarm(client("cloudwatch"), environment["ALARM"])
    voted = timedelta(seconds=float(environment["VOTE_INTERVAL_SECONDS"]))
    return Deciding(region=region, world=world, plan=plan, alarm=alarm, clock=clock, voted=voted)


@cache
def _deciding() -> Deciding:
    return wired(os.environ)


def handle(event: Any, context: Context) -> dict[str, Any]:
    if is_rehearsal(event):
        alarm = VotesAlarm(client("cloudwatch"), os.environ["ALARM"])
        return rehearse(of_deciding(os.environ, alarm.rings), context, _LOGGER, _METRICS)
    return decided(_deciding(), event, context)


def decided(deciding: Deciding, event: Any, context: Context) -> dict[str, str]:
    """What came of it. Raises Undecided where trying again may help."""
    try:
        done = _decided(deciding, event, context)
    except (Undecided, Unavailable) as reason:
        _LOGGER.warning("undecided", extra={"reason": str(reason)})
        raise
    except Exception as mistake:
        tell_mistake(_LOGGER, _METRICS, mistake)
        raise
    _LOGGER.info("decided", extra=done)
    return done


def _decided(deciding: Deciding, event: Any, context: Context) -> dict[str, str]:
    record = _known(deciding, context)
    begun = record.active == deciding.region  # by an earlier run: nobody votes about this region here
    if not begun and not _fresh(event, deciding.clock) and not deciding.alarm.rings():
        return {"outcome": "nothing to decide", "why": "the votes have ended"}
    match decide(record, deciding.region, deciding.clock.now().time(), deciding.voted):
        case Leave(why):
            return {"outcome": "nothing to decide", "why": why}
        case Later(why):
            raise Undecided(why)
    fenced = _fenced(deciding, context)
    record = _known(deciding, context)
    if isinstance(fenced, Superseded) or (isinstance(fenced, Admitted) and record.reason != REASON):
        return {"outcome": "nothing to decide", "why": f"others were faster: {record.reason}"}
    return {"outcome": str(fenced), "execution": _started(deciding.plan)}


def _fresh(event: Any, clock: Clock) -> bool:
    """Whether the alarm began to ring just now; what does not say when it did is not."""
    try:
        rang = datetime.fromisoformat(event["alarmData"]["state"]["timestamp"])
        return clock.now().time() - rang < _FRESH
    except (KeyError, TypeError, ValueError):
        return False


def _known(deciding: Deciding, context: Context) -> ControlRecord:
    """The control record, asked for a while."""
    until = run_until(deciding.clock, context, _FENCE_SECONDS)
    while isinstance(record := deciding.world.control(), Unknown):
        if deciding.clock.now().reached(until):
            raise Undecided(record.why)
        deciding.clock.sleep(_ASK_EVERY_SECONDS)
    return record


def _fenced(deciding: Deciding, context: Context) -> Outcome:
    """How far it came: the plan is started in any case, because it goes on trying for longer."""
    return take_over(
        Run(deciding.region, Mode.UNGRACEFUL),
        ACCEPTING,
        world=deciding.world,
        clock=deciding.clock,
        report=lambda done: _LOGGER.info("done", extra={"step": str(done)}),
        until=run_until(deciding.clock, context, _FENCE_SECONDS),
    )


def _started(plan: Plan) -> str:
    found = plan.find()
    if found is None:
        raise Undecided("Region switch: the plan is not there")
    if found.execution is not None:
        return f"{found.execution}, under way already"
    return plan.start(found.arn) or "another one, under way already"
