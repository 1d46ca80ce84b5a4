"""`ops failover` by the plan, at two terminals at once, killed at any call and run again: every way it goes.

The command itself runs, up to Region switch's client. Its runs are short: one look at the execution ends
them, so that each begins anew in whatever state there is. `tests/model` does the same with `--direct`.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import Mode
from failover.writer import GlobalDatabase, Member
from ops.directory import Rejected
from ops.failover import Wanted, finished, objection
from ops.region_switch import RegionSwitch, switched
from tests.model.replay import Ask, Call, Processes, Raised, Script
from tests.unit.ops.observations import HERE, THERE, both
from tests.unit.ops.test_failover import Clock

PLAN, ARN = "payments-failover-prod", "arn:plan"
STEPS = ("fence", "promote", "recover")


class Execution(NamedTuple):
    """`done` of its steps are; `paused`: the next one failed. `mode` is what that one is run in."""

    mode: str
    done: int = 0
    paused: bool = False

    @property
    def over(self) -> bool:
        return self.done == len(STEPS)


class World(NamedTuple):
    epoch: int = 1
    active: str = HERE
    phase: Phase = Phase.STEADY
    writer: str = HERE
    alive: bool = True  # the region that is active at first
    executions: tuple[Execution, ...] = ()

    @property
    def record(self) -> ControlRecord:
        return ControlRecord(self.epoch, self.active, self.phase, datetime(2026, 11, 22, tzinfo=UTC), "")

    @property
    def under_way(self) -> Execution | None:
        return next((one for one in self.executions if not one.over), None)

    def with_last(self, execution: Execution) -> "World":
        return self._replace(executions=(*self.executions[:-1], execution))

    def stepped(self) -> "World | None":
        """What the plan's next step makes of it."""
        execution = self.under_way
        if execution is None or execution.paused:
            return None
        world = self.with_last(execution._replace(done=execution.done + 1))
        match STEPS[execution.done]:
            case "fence" if self.active != THERE:
                return world._replace(epoch=self.epoch + 1, active=THERE, phase=Phase.RECOVERING)
            case "promote":
                if self.writer != THERE and not self.alive and execution.mode == "graceful":
                    return self.with_last(execution._replace(paused=True))
                return world._replace(writer=THERE)
            case "recover":
                return world._replace(phase=Phase.STEADY)
        return world


class Client:
    """Region switch's, asking the world."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def get_paginator(self, _operation: str) -> "Client":
        return self

    def paginate(self) -> Iterator[Any]:
        active = self._ask("find")
        yield {"plans": [{"name": PLAN, "arn": ARN} | ({"activePlanExecution": active} if active else {})]}

    def start_plan_execution(self, *, mode: str, **_: str) -> Any:
        started = self._ask("start", mode)
        if started is None:
            raise ClientError({"Error": {"Code": "IllegalStateException"}}, "StartPlanExecution")
        return {"executionId": started}

    def get_plan_execution(self, *, executionId: str, **_: str) -> Any:  # noqa: N803 - AWS's word
        execution: Execution = self._ask("look", executionId)
        state = "completed" if execution.over else "pausedByFailedStep" if execution.paused else "inProgress"
        step = STEPS[min(execution.done, 2)]
        status = "failed" if execution.paused else "completed" if execution.over else "running"
        steps = [{"name": step, "status": status, "stepMode": execution.mode}]
        return {"mode": execution.mode, "executionState": state, "stepStates": steps}

    def update_plan_execution(self, **_: str) -> None:
        self._ask("nothing")  # the step is what counts here

    def update_plan_execution_step(self, **_: str) -> None:
        self._ask("switch")


def command(mode: Mode) -> Script:
    wanted = Wanted(target=THERE, mode=mode, reason="drill", accept_data_loss=mode is Mode.UNGRACEFUL)

    def run(open_: Callable[[int], Ask]) -> None:
        ask = open_(0)
        record, writer, attached = ask("observe")
        members = (
            Member(HERE, "a", writer=writer == HERE, connected=attached),
            Member(THERE, "b", writer=writer == THERE, connected=True),
        )
        seen = both(control=record, ledger=GlobalDatabase("available", members, None))
        if objection(seen, wanted) is not None or finished(seen, THERE):
            return
        switch = RegionSwitch(Client(ask), PLAN)
        with suppress(Rejected, Unavailable):
            switched(wanted, switch, lambda: ask("read"), Clock(), lambda _said: None, patience=0)

    return run


def applied(world: World, call: Call) -> tuple[World, Any]:
    match call.to, call.args:
        case "observe", _:
            return world, (world.record, world.writer, world.alive or world.writer == HERE)
        case "read", _:
            return world, world.record
        case "find", _:
            return world, str(len(world.executions)) if world.under_way else None
        case "start", (mode,):
            if world.under_way:
                return world, None
            started = world._replace(executions=(*world.executions, Execution(mode)))
            return started, str(len(started.executions))
        case "look", (number,):
            return world, world.executions[int(number) - 1]
        case "switch", _ if world.under_way:
            return world.with_last(world.under_way._replace(mode="ungraceful", paused=False)), None
    return world, None


State = tuple[World, int, int]


def explored(scripts: tuple[Script, Script], *, dies: bool) -> Iterator[World]:
    processes = Processes()
    roots = tuple(processes.start(script) for script in scripts)
    start: State = (World(), *roots)  # type: ignore[assignment] # two of them
    known, frontier = {start}, [start]
    while frontier:
        following = {reached for state in frontier for reached in _followings(state, processes, roots, dies)}
        frontier = list(following - known)
        known |= following
    return iter({world for world, *_ in known})


def _followings(state: State, processes: Processes, roots: tuple[int, ...], dies: bool) -> Iterator[State]:
    world, *points = state
    if (stepped := world.stepped()) is not None:
        yield (stepped, *points)  # type: ignore[misc] # two of them
    if dies and world.alive:
        yield (world._replace(alive=False), *points)  # type: ignore[misc] # the same
    for number, point in enumerate(points):

        def at(after: World, reached: int, number: int = number) -> State:
            others = list(points)
            others[number] = reached
            return (after, others[0], others[1])

        yield at(world, roots[number])  # killed, or ended, and run again
        call = processes.nodes[point].call
        if call is None or len(world.executions) > 3:
            continue
        after, answer = applied(world, call)
        yield at(after, processes.after(point, answer))
        if call.to != "observe":
            yield at(after, processes.after(point, Raised(Unavailable, "no answer")))


def alone(world: World, script: Script) -> World:
    """The command once more, until the plan has ended and it says so."""
    processes = Processes()
    for _ in range(4):
        point = processes.start(script)
        while (call := processes.nodes[point].call) is not None:
            world, answer = applied(world, call)
            point = processes.after(point, answer)
        while (stepped := world.stepped()) is not None:
            world = stepped
    return world


@pytest.mark.parametrize(
    ("modes", "dies"),
    [
        ((Mode.GRACEFUL, Mode.GRACEFUL), False),
        ((Mode.UNGRACEFUL, Mode.UNGRACEFUL), False),
        ((Mode.UNGRACEFUL, Mode.UNGRACEFUL), True),
        ((Mode.GRACEFUL, Mode.UNGRACEFUL), True),
    ],
)
def test_whatever_happened_the_command_run_once_more_ends_the_same(
    modes: tuple[Mode, Mode], dies: bool
) -> None:
    one, another = (command(mode) for mode in modes)
    worlds = list(explored((one, another), dies=dies))
    assert len(worlds) > 10
    paused = any(world.under_way is not None and world.under_way.paused for world in worlds)
    assert paused is (dies and Mode.GRACEFUL in modes)
    for world in worlds:
        assert world.epoch <= 2, world
        ended = alone(world, another)
        assert (ended.epoch, ended.active, ended.phase, ended.writer) == (
            2,
            THERE,
            Phase.STEADY,
            THERE,
        ), world
