"""One drill from its lead-in to its last outcome: payments, the scenario's steps, eyes on both regions."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from failover.control import Phase
from ops.drill import story as story_of
from ops.drill.measures import SUCCESS_SECONDS, Event, Try, recovered, tried
from ops.drill.scenarios import Scenario
from ops.drill.steps import Failover, Pause, Step, UntilPhase, Who, World
from ops.drill.story import FAULT, NOTE, STEP_TAKEN, Story
from ops.drill.watch import Sighting
from ops.drill.worlds import apply
from ops.traffic import Attempt, Order, Run, Sent

_LOOK_EVERY_SECONDS: Final = 0.1
_JUDGE_EVERY_SECONDS: Final = 1.0
_LEAD_IN_SECONDS: Final = 10.0
_SHORTEST_LEAD_IN: Final = 3.0
_OPERATOR_SECONDS: Final = 5.0  # for a command of which the world needs nothing more


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is drilled. Real seconds: of `lead_in`, which counts from when every client has paid once, and of
    `deadline`, which counts from the fault.
    """

    scenario: Scenario
    regions: Mapping[Who, str]
    clients: int
    time_scale: float
    lead_in: float
    deadline: float

    @property
    def window(self) -> float:
        return SUCCESS_SECONDS * self.time_scale


def lead_in(time_scale: float) -> float:
    """Seconds of payments before the fault."""
    return max(_SHORTEST_LEAD_IN, _LEAD_IN_SECONDS * time_scale)


@dataclass(slots=True)
class Live:
    """What is known while a drill runs, for whoever watches it."""

    plan: Plan
    story: Story
    clock: Callable[[], float]  # seconds since the traffic began
    fault: float | None = None
    tries: list[Try] = field(default_factory=list)
    attempts: list[tuple[Order, Attempt]] = field(default_factory=list)
    waiting: dict[str, Order] = field(default_factory=dict)  # without an outcome, by key
    done: list[Sent] = field(default_factory=list)
    told: Callable[[Event], None] = lambda _event: None

    def noticed(self, order: Order, attempt: Attempt) -> None:
        self.attempts.append((order, attempt))
        self.tries.append(tried(order, attempt))

    def finished(self, sent: Sent) -> None:
        self.waiting.pop(sent.order.key, None)
        self.done.append(sent)

    def coming(self, orders: Iterable[Order]) -> Iterator[Order]:
        for order in orders:
            self.waiting[order.key] = order
            yield order

    def saw(self, one: Sighting) -> None:
        now, story = self.clock(), self.story
        events: Iterable[Event] = ()
        match one.question:
            case story_of.OPEN:
                if story.record is not None and one.region == story.record.active:
                    story.open = one.answer
            case story_of.CONTROL:
                events = story.control(now, one.answer)
            case story_of.WRITER:
                events = story.ledger(now, one.region, one.answer)
            case story_of.DNS:
                events = story.answer(now, one.answer)
            case story_of.EXECUTION:
                events = (event for each in one.answer for event in story.execution(now, one.region, each))
            case _:
                events = story.alarms(now, one.region, one.answer)
        for event in events:
            self.told(event)

    def tell(self, kind: str, event: str, region: str | None = None) -> None:
        self.told(self.story.tell(self.clock(), kind, event, region))

    @property
    def flows(self) -> bool:
        """Every client had a payment acknowledged."""
        return len({one.client for one in self.tries if one.paid}) == self.plan.clients

    @property
    def recovered(self) -> bool:
        """Every client succeeds again, and none of the payments due by then is still open."""
        if self.fault is None:
            return False
        begins = recovered(self.tries, self.fault, self.plan.window, self.plan.clients)
        if begins is None:
            return False
        return all(order.due > begins + self.plan.window for order in self.waiting.values())

    @property
    def settled(self) -> bool:
        """One region is active, steady and, as its own RDS says, the writer."""
        record = self.story.record
        return (
            record is not None
            and record.phase is Phase.STEADY
            and self.story.writes.get(record.active, False)
        )


class Overdue(Exception):  # noqa: N818 - it says what happened
    """The deadline came first."""


@dataclass(slots=True)
class Drill:
    """`operator` is the command that takes over, without what it is to do."""

    live: Live
    world: World
    operator: Sequence[str]
    _operators: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, traffic: Callable[[asyncio.Event], "asyncio.Task[Run]"]) -> Run:
        """To the end: recovered, settled, every step taken; or the deadline. Raises WorldError."""
        stop = asyncio.Event()
        sending = traffic(stop)
        try:
            steps = asyncio.create_task(self._steps())
            try:
                await asyncio.wait({steps, sending}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():  # it never ends by itself
                    sending.result()
                await steps
                await self._until(lambda: self.live.recovered and self.live.settled, "payments as before")
            except Overdue as overdue:
                self.live.tell(NOTE, f"given up waiting for: {overdue}")
            finally:
                steps.cancel()
            for operator in self._operators:
                await asyncio.wait({operator}, timeout=_OPERATOR_SECONDS)
            stop.set()
            return await sending
        finally:
            for task in (sending, *self._operators):
                task.cancel()

    async def _steps(self) -> None:
        """From when payments flow: what starts cold would be taken for the fault's doing."""
        plan = self.live.plan
        await self._until(lambda: self.live.flows, "the first payment of every client")
        await asyncio.sleep(plan.lead_in)
        for number, step in enumerate(plan.scenario.steps):
            if number == 0:
                self.live.fault = self.live.clock()
            self.live.tell(FAULT if number == 0 else STEP_TAKEN, told(step, plan.regions), _where(step, plan))
            await self._take(step)

    async def _take(self, step: Step) -> None:
        plan = self.live.plan
        match step:
            case Pause(seconds):
                await asyncio.sleep(seconds * plan.time_scale)
            case UntilPhase(who, phases):
                region = plan.regions[who]
                await self._until(lambda: self._is(region, phases), told(step, plan.regions))
            case Failover():
                self._operators.append(asyncio.create_task(self._operate(step)))
            case _:
                await asyncio.to_thread(apply, step, self.world, plan.regions)

    def _is(self, region: str, phases: tuple[Phase, ...]) -> bool:
        record = self.live.story.record
        return record is not None and record.active == region and record.phase in phases

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        """Raises Overdue."""
        fault = self.live.fault or 0.0
        looked = 0.0
        while True:
            now = self.live.clock()
            if what != "payments as before" or now - looked >= _JUDGE_EVERY_SECONDS:
                looked = now
                if holds():
                    return
            if now > fault + self.live.plan.deadline:
                raise Overdue(what)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _operate(self, step: Failover) -> None:
        region = self.live.plan.regions[step.to]
        command = [*self.operator, "failover", "--to", region, "--mode", step.mode.value, "--yes"]
        command += ["--reason", f"drill {self.live.plan.scenario.name}"]
        command += ["--accept-data-loss"] if step.mode.value == "ungraceful" else []
        command += ["--direct"] if step.direct else []
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            assert started.stdout is not None
            async for line in started.stdout:
                self.live.tell(NOTE, f"operator: {line.decode(errors='replace').strip()}", region)
            code = await started.wait()
            if code:
                self.live.tell(NOTE, f"operator: the command ended with {code}", region)
        finally:
            if started.returncode is None:
                started.kill()
                await started.wait()


def told(step: Step, regions: Mapping[Who, str]) -> str:
    """As the step says it, with the regions' names."""
    said = str(step)
    for who, region in regions.items():
        said = said.replace(who.value, region)
    return said


def _where(step: Step, plan: Plan) -> str | None:
    who = getattr(step, "who", getattr(step, "to", None))
    return plan.regions[who] if who is not None else None


def since(moment: datetime) -> Callable[[], float]:
    """A clock that counts from `moment`; the events' own times are by the wall clock, too."""
    return lambda: (datetime.now(UTC) - moment).total_seconds()
