"""Every world that two runs, crashes after any step and lost answers lead to, from every starting world."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import pytest

from failover.control import ControlRecord, Phase
from failover.planner import (
    Admit,
    Blocked,
    Done,
    End,
    Fence,
    Finish,
    Mode,
    Observed,
    Promote,
    Recover,
    Run,
    Step,
    Superseded,
    Unknown,
    WaitLease,
    after,
    next_step,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HERE, THERE = "us-east-1", "us-east-2"
REGIONS = (HERE, THERE)
LEASE = 2  # in ticks
LAST_EPOCH = 4

Plan = Callable[[Run, Observed], Step | End]


@dataclass(frozen=True)
class Lease:
    region: str
    epoch: int
    left: int


@dataclass(frozen=True)
class Running:
    """A run, and the lease it is asleep for: its epoch, and how long still."""

    run: Run
    asleep: tuple[int, int] | None = None


@dataclass(frozen=True)
class World:
    epoch: int
    active: str
    phase: Phase
    writer: str
    leases: frozenset[Lease] = frozenset()
    acknowledged: int = 0  # the newest epoch a payment was acknowledged under
    fences: tuple[int, int] = (0, 0)  # of each region's ledger
    recovered: int = 0  # the newest epoch under which the journal was worked off
    runs: tuple[Running, ...] = ()


class Broken(AssertionError):  # noqa: N818 - what became of an invariant
    pass


def record(world: World) -> ControlRecord:
    return ControlRecord(world.epoch, world.active, world.phase, NOW, "")


def seen(world: World) -> Observed:
    return Observed(record(world), world.writer)


def explore(starts: list[World], plan: Plan) -> set[World]:
    """Breadth first. Raises Broken in the first world, or at the first transition, that must not be."""
    known, frontier = set(starts), list(starts)
    while frontier:
        found = {following for world in frontier for following in followings(world, plan)} - known
        known |= found
        frontier = list(found)
    return known


def followings(world: World, plan: Plan) -> Iterator[World]:
    yield _a_tick_later(world)
    yield from _requests(world)
    for number, running in enumerate(world.runs):
        for changed, now in _steps(world, running, plan):
            yield replace(changed, runs=(*world.runs[:number], now, *world.runs[number + 1 :]))


def _a_tick_later(world: World) -> World:
    return replace(
        world,
        leases=frozenset(replace(lease, left=lease.left - 1) for lease in world.leases if lease.left > 1),
        runs=tuple(
            replace(one, asleep=(one.asleep[0], max(0, one.asleep[1] - 1))) if one.asleep else one
            for one in world.runs
        ),
    )


def _requests(world: World) -> Iterator[World]:
    """A region takes a lease while the record grants one, and acknowledges while it holds it."""
    if world.phase is not Phase.FENCING:
        lease = Lease(world.active, world.epoch, LEASE)
        yield replace(world, leases=world.leases | {lease})
    for lease in world.leases:
        if lease.epoch < world.acknowledged:
            raise Broken(f"{lease} is held after epoch {world.acknowledged} acknowledged: {world}")
        yield replace(world, acknowledged=max(world.acknowledged, lease.epoch))


def _steps(world: World, running: Running, plan: Plan) -> Iterator[tuple[World, Running]]:
    run = running.run
    yield world, Running(Run(run.target, run.mode))  # it crashed, and was begun again
    if running.asleep is not None:  # and sees nothing of the world before it wakes up
        epoch, left = running.asleep
        if left == 0:
            yield world, Running(after(run, WaitLease(epoch)))
        return
    step = plan(run, seen(world))
    match step:
        case WaitLease(epoch):
            yield world, Running(run, (epoch, LEASE))
        case Fence() | Admit() | Promote() | Recover() | Finish():
            changed = done(world, step, run.target)
            if changed is not None:
                yield changed, Running(after(run, step))
                yield changed, running  # the answer was lost


def done(world: World, step: Step, target: str) -> World | None:
    """What the step makes of the world; None when its condition no longer holds."""
    match step:
        case Fence(epoch) if epoch == world.epoch:
            if epoch == LAST_EPOCH:
                return None
            return replace(world, epoch=epoch + 1, active=target, phase=Phase.FENCING)
        case Admit(epoch) if epoch == world.epoch:
            return replace(world, phase=Phase.RECOVERING)
        case Promote():
            return replace(world, writer=target)
        case Recover(epoch):
            number = REGIONS.index(target)
            if world.writer != target:
                raise Broken(f"{target} posts to a database that is not the writer: {world}")
            if world.fences[number] > epoch:
                return None
            fences = tuple(epoch if n == number else fence for n, fence in enumerate(world.fences))
            return replace(world, fences=(fences[0], fences[1]), recovered=max(world.recovered, epoch))
        case Finish(epoch) if epoch == world.epoch:
            if world.recovered < epoch or world.writer != target:
                raise Broken(f"{target} posts again without having recovered: {world}")
            return replace(world, phase=Phase.STEADY)
        case _:
            return None


def starts(*targets: str) -> list[World]:
    """Every control record and writer there can be, with an old lease about, and a run for each target."""
    runs = tuple(Running(Run(target, Mode.UNGRACEFUL)) for target in targets)
    return [
        World(
            epoch=2,
            active=active,
            phase=phase,
            writer=writer,
            leases=frozenset({Lease(held_by, 1 if phase is Phase.FENCING else 2, LEASE)}),
            recovered=2 if phase is Phase.STEADY else 0,
            runs=runs,
        )
        for active in REGIONS
        for phase in Phase
        for writer in REGIONS
        for held_by in ((THERE if active == HERE else HERE) if phase is Phase.FENCING else active,)
    ]


@cache
def worlds(*targets: str) -> set[World]:
    return explore(starts(*targets), next_step)


@pytest.mark.parametrize("targets", [(THERE,), (THERE, THERE), (HERE, THERE)])
def test_no_world_breaks_the_invariant(targets: tuple[str, ...]) -> None:
    known = worlds(*targets)
    assert {world.phase for world in known} == set(Phase)
    assert max(world.epoch for world in known) > 2


def finished(world: World, target: str) -> World:
    """One run, with nothing going wrong any more."""
    run = Run(target, Mode.UNGRACEFUL)
    for _ in range(12):
        step = next_step(run, seen(world))
        if isinstance(step, Done):
            return world
        assert not isinstance(step, Superseded | Blocked), (step, world)
        if not isinstance(step, WaitLease):
            changed = done(world, step, target)
            assert changed is not None, (step, world)
            world = changed
        run = after(run, step)
    raise AssertionError(f"no end: {world}")


def test_from_every_world_a_run_ends_with_one_active_region_that_writes_and_is_steady() -> None:
    for world in worlds(HERE, THERE):
        for target in REGIONS:
            if world.epoch < LAST_EPOCH or world.active == target:
                end = finished(world, target)
                assert (end.active, end.writer, end.phase) == (target, target, Phase.STEADY)


def test_a_run_that_is_done_changes_nothing() -> None:
    world = World(2, THERE, Phase.STEADY, THERE)
    assert next_step(Run(THERE, Mode.GRACEFUL), seen(world)) == Done(2)


def test_a_steady_region_whose_cluster_is_not_the_writer_promotes_and_recovers() -> None:
    """Its record says it is finished; its database does not."""
    run, world = Run(THERE, Mode.GRACEFUL), World(2, THERE, Phase.STEADY, HERE)
    steps = []
    while not isinstance(step := next_step(run, seen(world)), Done | Superseded | Blocked):
        steps.append(step)
        world, run = done(world, step, THERE) or world, after(run, step)
    assert steps == [Promote(2, Mode.GRACEFUL), Recover(2)]


def test_unknown_blocks_and_is_never_taken_for_no() -> None:
    run = Run(THERE, Mode.UNGRACEFUL)
    assert next_step(run, Observed(Unknown("no quorum"), HERE)) == Blocked("no quorum")
    recovering = record(World(2, THERE, Phase.RECOVERING, HERE))
    assert next_step(run, Observed(recovering, Unknown("no answer"))) == Blocked("no answer")


def test_fencing_and_admitting_do_not_wait_for_word_about_the_writer() -> None:
    """With the old region gone, who asks about its database may wait for long."""
    unknown = Unknown("no answer")
    steady = record(World(2, HERE, Phase.STEADY, HERE))
    assert next_step(Run(THERE, Mode.UNGRACEFUL), Observed(steady, unknown)) == Fence(2)
    fencing = record(World(3, THERE, Phase.FENCING, HERE))
    run = Run(THERE, Mode.UNGRACEFUL, epoch=3, waited_under=3)
    assert next_step(run, Observed(fencing, unknown)) == Admit(3)


def test_a_run_whose_epoch_is_over_changes_nothing_more() -> None:
    run = Run(THERE, Mode.UNGRACEFUL, epoch=3)
    later = record(World(4, HERE, Phase.FENCING, HERE))
    assert next_step(run, Observed(later, HERE)) == Superseded(later)


def _without_waiting(run: Run, observed: Observed) -> Step | End:
    step = next_step(run, observed)
    return Admit(step.epoch) if isinstance(step, WaitLease) else step


def _trusting_an_earlier_wait(run: Run, observed: Observed) -> Step | End:
    """As if a run begun again knew that its predecessor had waited."""
    waited = run.epoch is None and isinstance(observed.control, ControlRecord)
    step = next_step(run, observed)
    return Admit(step.epoch) if waited and isinstance(step, WaitLease) else step


def _finishing_without_recovery(run: Run, observed: Observed) -> Step | End:
    step = next_step(run, observed)
    return Finish(step.epoch) if isinstance(step, Recover) else step


def _believing_the_database(run: Run, observed: Observed) -> Step | End:
    """As if the local database, which may take itself for the writer, had been asked."""
    return next_step(run, replace(observed, writer=run.target))


@pytest.mark.parametrize(
    "plan",
    [
        _without_waiting,
        _trusting_an_earlier_wait,
        _finishing_without_recovery,
        _believing_the_database,
    ],
)
def test_without_a_rule_the_invariant_breaks(plan: Plan) -> None:
    with pytest.raises(Broken):
        explore(starts(THERE, THERE), plan)
