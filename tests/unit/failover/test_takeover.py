from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from failover.clock import Instant
from failover.control import LEASE_SECONDS, ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import (
    ACCEPTING,
    POSTING,
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
from failover.takeover import Admitted, Outcome, take_over

HERE, THERE = "us-east-1", "us-east-2"
EVERYTHING = (*ACCEPTING, Promote, *POSTING)


@dataclass
class FakeClock:
    monotonic: float = 0.0
    wall: float = 0.0

    def now(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def sleep(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@dataclass
class FakeWorld:
    """Does what is asked of it; `before` may interfere with a step, or raise."""

    record: ControlRecord
    writing: str | Unknown = HERE
    before: Callable[[Step], bool] = lambda _: True
    steps: list[Step] = field(default_factory=list)
    rested: list[int] = field(default_factory=list)  # the epochs under which the rest was posted

    def control(self) -> ControlRecord:
        return self.record

    def writer(self) -> str | Unknown:
        return self.writing

    def do(self, step: Step, target: str) -> bool:
        if not self.before(step):
            return False
        self.steps.append(step)
        match step:
            case Fence(epoch):
                self.record = replace(self.record, epoch=epoch + 1, active=target, phase=Phase.FENCING)
            case Admit():
                self.record = replace(self.record, phase=Phase.RECOVERING)
            case Promote():
                self.writing = target
            case Finish():
                self.record = replace(self.record, phase=Phase.STEADY)
        return True


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(ControlRecord(1, HERE, Phase.STEADY, datetime(2026, 11, 22, tzinfo=UTC), "test"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def attempt(
    world: FakeWorld, clock: FakeClock, may: tuple[type[Step], ...] = EVERYTHING, patience: float = 10
) -> tuple[Outcome, list[Step]]:
    told: list[Step] = []
    run = Run(THERE, Mode.UNGRACEFUL)
    until = clock.now().later(patience)
    end = take_over(run, may, world=world, clock=clock, until=until, report=told.append)
    return end, told


def test_a_run_does_all_of_it_and_waits_one_whole_lease(world: FakeWorld, clock: FakeClock) -> None:
    end, told = attempt(world, clock)
    assert end == Done(2)
    assert told == [
        Fence(1),
        WaitLease(2),
        Admit(2),
        Promote(2, Mode.UNGRACEFUL),
        Recover(2),
        Finish(2),
    ]
    assert clock.monotonic == LEASE_SECONDS


def test_what_a_run_may_not_do_is_left_to_others(world: FakeWorld, clock: FakeClock) -> None:
    end, _ = attempt(world, clock, ACCEPTING)
    assert end == Admitted(2)
    assert world.record.phase is Phase.RECOVERING
    assert attempt(world, clock, POSTING)[0] == Promote(2, Mode.UNGRACEFUL)
    world.writing = THERE
    assert attempt(world, clock, POSTING)[0] == Done(2)


def test_payments_are_accepted_whatever_is_known_of_the_writer(world: FakeWorld, clock: FakeClock) -> None:
    world.writing = Unknown("no answer")
    assert attempt(world, clock, ACCEPTING)[0] == Admitted(2)
    assert clock.monotonic == LEASE_SECONDS
    assert attempt(world, clock, EVERYTHING)[0] == Blocked("no answer")


def test_posting_never_opens_an_epoch(world: FakeWorld, clock: FakeClock) -> None:
    """The step that recovers runs after the one that fenced; when another plan came between, it ends."""
    assert attempt(world, clock, POSTING) == (Fence(1), [])


def test_no_answer_is_asked_for_again_until_patience_ends(world: FakeWorld, clock: FakeClock) -> None:
    def silent(_: Step) -> bool:
        raise Unavailable("no quorum")

    world.before = silent
    assert attempt(world, clock) == (Blocked("no quorum"), [])
    assert 10 <= clock.monotonic < 11


def test_a_lost_answer_is_not_a_second_epoch(world: FakeWorld, clock: FakeClock) -> None:
    def applied_unanswered(step: Step) -> bool:
        world.before = lambda _: True
        world.do(step, THERE)
        raise Unavailable("the answer was lost")

    world.before = applied_unanswered
    assert attempt(world, clock)[0] == Done(2)


def test_a_run_overtaken_while_it_waits_ends(world: FakeWorld, clock: FakeClock) -> None:
    later = replace(world.record, epoch=3, phase=Phase.FENCING)

    def overtaken(step: Step) -> bool:
        if isinstance(step, Admit):
            world.record = later
            return False
        return True

    world.before = overtaken
    end, told = attempt(world, clock)
    assert end == Superseded(later)
    assert told == [Fence(1), WaitLease(2)]


def test_a_clock_set_forward_does_not_shorten_the_wait(world: FakeWorld) -> None:
    class Jumping(FakeClock):
        def sleep(self, seconds: float) -> None:
            self.monotonic += seconds / 2  # interrupted
            self.wall += 3600

    jumping = Jumping()
    assert attempt(world, jumping)[0] == Done(2)
    assert jumping.monotonic == pytest.approx(LEASE_SECONDS)


def test_a_run_that_has_to_end_ends_whatever_it_did_meanwhile(world: FakeWorld, clock: FakeClock) -> None:
    """Lambda would end it otherwise, and nobody would be told how far it came."""
    world.before = lambda step: not isinstance(step, Recover)
    end = take_over(
        Run(THERE, Mode.UNGRACEFUL),
        EVERYTHING,
        world=world,
        clock=clock,
        until=clock.now().later(200.0),
        report=lambda _: clock.sleep(30.0),
    )
    assert end == Blocked("Recover is not done yet")
    assert 200 <= clock.monotonic < 201
