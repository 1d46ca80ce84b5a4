"""Breadth first through every state that a scenario can reach, with every fault at every call.

What is not explored, because it leads to nothing new:
* A read whose answer is lost is a read that never arrived.
* A process that is never run again is one that crashed. What a crash adds is that its next run, or the
  client's next attempt, meets what the crashed one left: after a read the same as after the write before it.
* A clock is read in the step before, whatever comes between: only whether a lease has ended since matters,
  and time passes as a step of its own, before and after. Where that would hide something, after the read that
  a lease counts from, the answer can be late.
* A poll that would see what it saw before.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from payments.ports import Ids
from payments.retention import removable
from tests.model.alone import DONE, PAUSE, Alone, Ending, attached
from tests.model.invariants import check, check_end
from tests.model.replay import Call, Crash, Late, Processes, Raised, Script
from tests.model.services import Broken, Services, no_answer
from tests.model.telling import told, told_call
from tests.model.world import CALLS, ENTRIES, NOBODY, REGIONS, Kept, World, with_database

_AFTER_RETENTION: Final = datetime(2100, 1, 1, tzinfo=UTC)
_GOES_ON: Final = 100  # one of so many states at the bound: each takes as long as exploring a hundred
State = tuple[int, ...]  # the number of the world, then where each process stands
Came = dict[State, "tuple[State, Step] | None"]


class Process(NamedTuple):
    """`again`: when it has ended or crashed it is started anew, as a schedule does. `frozen`: it began in the
    world `since`, and has not come further than to that call.
    """

    name: str
    script: Script
    again: bool = False
    frozen: str = ""
    since: World | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where an exploration starts and who takes part; `endings` are how it may end once faults stop."""

    name: str
    start: World
    processes: tuple[Process, ...]
    endings: tuple[tuple[str, Ending], ...]
    leases: int = 2  # that pass, counted from the start
    strips: bool = False
    closes: bool = False


class Step(NamedTuple):
    """What happened: `who` did `what` and it went `how`."""

    who: str
    what: str | Call
    how: Any = None

    def __str__(self) -> str:
        what = told_call(self.what) if isinstance(self.what, Call) else self.what
        return f"{self.who:<14} {what}" + ("" if self.how is None else f"  -> {told(self.how)}")


class Found(NamedTuple):
    """What one step leads to: the world after it and where the process then stands."""

    step: Step
    world: int
    at: int
    event: str


@dataclass(slots=True)
class Report:
    """How far an exploration came, and what it met on its way, counted by steps."""

    scenario: str
    states: int = 0
    depth: int = 0
    complete: bool = False  # nothing within the depth was left out
    finished: int = 0  # worlds from which the end was reached without faults
    events: Counter[str] = field(default_factory=Counter)


class Counterexample(Exception):  # noqa: N818 - it is what a broken invariant is shown by
    """The shortest way into a state, or to its end, that breaks an invariant."""

    def __init__(self, scenario: str, why: str, steps: tuple[Step, ...]) -> None:
        self.scenario = scenario
        self.why = why
        self.steps = steps
        numbered = (f"{number:3}. {step}" for number, step in enumerate(steps, start=1))
        super().__init__("\n".join((f"{scenario}: {why}", *numbered)))


class _BrokenBy(Exception):  # noqa: N818 - carried to where the trace is known
    def __init__(self, step: Step, broken: Broken) -> None:
        self.step = step
        self.broken = broken


class Explorer:
    """One exploration of one scenario.

    Worlds are named by numbers like everything else, so a state is a handful of integers; and what a process
    can do in a world is worked out once, whatever the other processes do meanwhile.
    """

    def __init__(self, scenario: Scenario, services: Services) -> None:
        self._scenario = scenario
        self._end_of_time = scenario.start.now + scenario.leases
        self._services = services
        self._processes = Processes()
        self._alone = Alone(services, self._processes)
        self._roots = tuple(self._processes.start(process.script) for process in scenario.processes)
        self._worlds: Kept[World] = Kept()
        self._steps_of: dict[tuple[int, int], tuple[Found, ...]] = {}
        self._happenings_in: dict[int, tuple[Found, ...]] = {}
        self._checked: set[int] = set()
        self._finished: set[World] = set()

    def explore(self, *, depth: int, states: int) -> Report:
        """To `depth` steps or so many states, whichever comes first. Raises Counterexample."""
        report = Report(self._scenario.name)
        begun = (
            root if process.since is None else self._alone.reach(root, process.since, process.frozen)[0]
            for process, root in zip(self._scenario.processes, self._roots, strict=True)
        )
        start: State = (self._worlds.number(self._scenario.start), *begun)
        came: Came = {start: None}
        layer = [start]
        while layer and report.depth < depth and len(came) < states:
            report.depth += 1
            following: list[State] = []
            for state in layer:
                try:
                    for reached, found in self._following(state):
                        report.events[found.event] += 1
                        if reached not in came:
                            came[reached] = (state, found.step)
                            following.append(reached)
                            self._check(found)
                except _BrokenBy as broken:
                    raise self._counterexample(came, state, broken) from None
                if len(came) >= states:
                    break
            layer = following
        for state in layer[::_GOES_ON]:
            try:
                self._go_on(state)
            except _BrokenBy as broken:
                raise self._counterexample(came, state, broken) from None
        report.states, report.finished = len(came), len(self._finished)
        report.complete = len(came) < states
        return report

    def _following(self, state: State) -> Iterator[tuple[State, Found]]:
        world = state[0]
        for place in range(1, len(state)):
            for found in self._steps(world, state[place], place - 1):
                yield (found.world, *state[1:place], found.at, *state[place + 1 :]), found
        for found in self._happenings(world):
            yield (found.world, *state[1:]), found

    def _check(self, found: Found) -> None:
        if found.world in self._checked:
            return
        self._checked.add(found.world)
        world = self._worlds[found.world]
        try:
            check(world)
            self._finish(world)
        except Broken as broken:
            raise _BrokenBy(found.step, broken) from None

    def _counterexample(self, came: Came, state: State, broken: _BrokenBy) -> Counterexample:
        steps = [broken.step]
        before = came[state]
        while before is not None:
            state, step = before
            steps.append(step)
            before = came[state]
        return Counterexample(self._scenario.name, str(broken.broken), tuple(reversed(steps)))

    # --- one step ----------------------------------------------------------------------------------------

    def _steps(self, world: int, at: int, number: int) -> tuple[Found, ...]:
        found = self._steps_of.get((world, at))
        if found is None:
            found = tuple(self._process_steps(self._worlds[world], at, number))
            self._steps_of[world, at] = found
        return found

    def _process_steps(self, world: World, at: int, number: int) -> Iterator[Found]:
        process = self._scenario.processes[number]
        if (call := self._processes.nodes[at].call) is None:
            return
        if call.to == PAUSE:
            try:
                world, at = self._answered(world, self._processes.after(at, None))
            except Broken as broken:
                raise _BrokenBy(Step(process.name, "begins"), broken) from None
            if (call := self._processes.nodes[at].call) is None:
                return
        for how, after, answer, event in self._outcomes(world, call):
            step = Step(process.name, call, how)
            try:
                after, reached = self._answered(after, self._processes.after(at, answer))
            except Broken as broken:
                raise _BrokenBy(step, broken) from None
            if process.again and self._processes.nodes[reached].call is None:
                reached = self._roots[number]
            yield Found(step, self._worlds.number(after), reached, event)

    def _answered(self, world: World, at: int) -> tuple[World, int]:
        """Goes on to the next call that is a step of its own."""
        while (call := self._processes.nodes[at].call) is not None:
            if call.to in Services.LOOKS and not self._services.reachable(world, call):
                at = self._processes.after(at, no_answer(call))
                continue
            if call.to not in Services.AT_ONCE and call.to not in Services.LOOKS:
                break
            effect = self._services.apply(world, call)
            assert effect is not None, call
            world, answer, _ = effect
            at = self._processes.after(at, answer)
        return world, at

    def _outcomes(self, world: World, call: Call) -> Iterator[tuple[Any, World, Any, str]]:
        """How a call may go: what is said of it, the world after it, its answer, what it counts as."""
        services = self._services
        if call.to == DONE:
            return
        if not services.reachable(world, call):
            yield "cut off", world, no_answer(call), "cut off"
            return
        effect = services.apply(world, call)
        if effect is None:
            return
        after, answer, event = effect
        yield answer, after, answer, event
        if world.faults == 0 or call.to == "clock.awake":
            return
        fewer = world.faults - 1
        after = after._replace(faults=fewer)
        yield "lost", world._replace(faults=fewer), no_answer(call), "calls lost"
        if call.to in services.WRITES:
            yield "then it crashes", after, Raised(Crash), "crashes"
            yield "done, unanswered", after, no_answer(call), "calls unanswered"
            flying = tuple(sorted({*world.in_flight, CALLS.number(call)}))
            yield (
                "delayed past its answer",
                world._replace(faults=fewer, in_flight=flying),
                no_answer(call),
                "calls delayed",
            )
        elif call.to == "journal.page" and answer.ids:
            yield "the list lags behind", world._replace(faults=fewer), Ids((), None), "lists that lag"
        elif call.to == "control.read":
            yield "answered late", after, Late(answer, world.now + 1), "answers late"

    def _happenings(self, world: int) -> tuple[Found, ...]:
        found = self._happenings_in.get(world)
        if found is None:
            found = self._happenings_in[world] = tuple(
                Found(step, self._worlds.number(after), 0, event)
                for step, after, event in self._world_steps(self._worlds[world])
            )
        return found

    def _world_steps(self, world: World) -> Iterator[tuple[Step, World, str]]:
        scenario = self._scenario
        for number in world.in_flight:
            call = CALLS[number]
            if self._services.reachable(world, call):
                effect = self._services.apply(world, call)
                assert effect is not None, call
                after, answer, _ = effect
                still = tuple(other for other in world.in_flight if other != number)
                yield Step("a late call", call, answer), after._replace(in_flight=still), "late deliveries"
        if world.now < self._end_of_time:
            yield Step("time", "one lease passes"), world._replace(now=world.now + 1), ""
        if world.cut_off == NOBODY:
            source, copy = world.databases[world.writer], world.databases[1 - world.writer]
            if world.attached and len(copy) < len(source):
                after = with_database(world, 1 - world.writer, source[: len(copy) + 1])
                yield Step("replication", "copies a commit"), after, "commits replicated"
            elif not world.attached:
                yield Step("the old writer", "becomes a replica again"), attached(world), "re-attached"
        if world.cut_off != NOBODY:
            yield Step("the network", "heals"), world._replace(cut_off=NOBODY), ""
        elif world.faults:
            for region, name in enumerate(REGIONS):
                after = world._replace(cut_off=region, faults=world.faults - 1)
                yield Step("the network", f"cuts {name} off"), after, "regions cut off"
        if scenario.closes and not world.closed:
            yield Step("an operator", "closes an account"), world._replace(closed=True), "accounts closed"
        for entry in (ENTRIES[number] for number in world.journal):
            if scenario.strips and removable(entry, _AFTER_RETENTION, days=1):
                after = self._services.journal_strip(world, entry.payment_id)
                yield Step("retention", f"strips {told(entry)}"), after, "requests stripped"

    # --- once faults stop --------------------------------------------------------------------------------

    def _go_on(self, state: State) -> None:
        """Beyond the bound nothing fails: whoever is at work goes on, one after the other."""
        world = self._undisturbed(self._worlds[state[0]])
        try:
            for at in state[1:]:
                _, world = self._alone.reach(at, world)
                check(world)
            self._finish(world)
        except Broken as broken:
            raise _BrokenBy(Step("everybody", "goes on, and nothing fails"), broken) from None

    def _undisturbed(self, world: World) -> World:
        return world._replace(in_flight=(), cut_off=NOBODY, faults=0, now=self._end_of_time)

    def _finish(self, world: World) -> None:
        """Every process has crashed, faults stop, schedules go on: the system must find its end."""
        world = self._undisturbed(world)
        if world in self._finished:
            return
        for name, ending in self._scenario.endings:
            try:
                ended = ending(self._alone, world)
                if ended is not None:
                    check(ended)
                    check_end(ended)
            except Broken as broken:
                raise Broken(f"{broken}, once {name}") from None
        self._finished.add(world)
