import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.clock import Instant
from failover.control import LEASE_SECONDS, Phase
from payments.errors import NotActive, Unavailable
from payments.lease import FENCING_PATIENCE_SECONDS, granted
from tests.unit.payments.fakes import HERE, THERE, World, record

elapsed = st.floats(0, 10)


@given(elapsed, elapsed)
def test_a_lease_ends_by_whichever_clock_shows_more(monotonic: float, wall: float) -> None:
    asked = Instant(50.0, 1000.0)
    lease = granted(record(), HERE, asked)
    assert lease is not None
    now = Instant(asked.monotonic + monotonic, asked.wall + wall)
    limit = asked.later(LEASE_SECONDS)
    assert lease.holds(now) == (now.monotonic < limit.monotonic and now.wall < limit.wall)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("active", [HERE, THERE])
def test_only_the_active_region_gets_a_lease_and_nobody_while_fencing(phase: Phase, active: str) -> None:
    lease = granted(record(active, phase, epoch=4), HERE, Instant(0, 0))
    if active == HERE and phase is not Phase.FENCING:
        assert lease is not None
        assert (lease.epoch, lease.phase) == (4, phase)
    else:
        assert lease is None


def test_the_record_is_read_again_only_when_the_lease_has_ended() -> None:
    world = World()
    world.leases.hold()
    world.clock.pass_time(LEASE_SECONDS - 0.01)
    world.leases.hold()
    assert world.control.reads == 1
    world.clock.pass_time(0.02)
    world.leases.hold()
    assert world.control.reads == 2


def test_a_frozen_function_notices_by_the_wall_clock() -> None:
    world = World()
    world.leases.hold()
    world.clock.wall += LEASE_SECONDS
    world.control.record = record(THERE, epoch=2)
    with pytest.raises(NotActive):
        world.leases.hold()


def test_a_lease_counts_from_before_the_read() -> None:
    world = World()
    world.control.during_read = lambda: world.clock.pass_time(2.0)
    lease = world.leases.hold()
    world.clock.pass_time(1.0)
    assert not lease.holds(world.clock.now())


def test_reads_slower_than_a_lease_grant_none() -> None:
    world = World()
    world.control.during_read = lambda: world.clock.pass_time(LEASE_SECONDS)
    with pytest.raises(Unavailable):
        world.leases.hold()


def test_an_unreadable_record_is_not_taken_for_no() -> None:
    world = World()
    world.control.down = True
    with pytest.raises(Unavailable):
        world.leases.hold()


@pytest.mark.parametrize(("becomes", "outcome"), [(HERE, "lease"), (THERE, "not active")])
def test_a_request_waits_for_fencing_to_end(becomes: str, outcome: str) -> None:
    world = World()
    world.control.record = record(HERE, Phase.FENCING, epoch=2)

    def recover() -> None:
        if world.clock.slept >= LEASE_SECONDS:
            world.control.record = record(becomes, Phase.RECOVERING, epoch=2)

    world.control.during_read = recover
    if outcome == "lease":
        assert world.leases.hold().phase is Phase.RECOVERING
    else:
        with pytest.raises(NotActive):
            world.leases.hold()
    assert LEASE_SECONDS <= world.clock.slept < FENCING_PATIENCE_SECONDS


def test_the_wait_for_fencing_is_bounded_and_can_be_declined() -> None:
    world = World()
    world.control.record = record(HERE, Phase.FENCING)
    with pytest.raises(NotActive):
        world.leases.hold()
    assert world.clock.slept <= FENCING_PATIENCE_SECONDS + 0.5
    world.clock.slept = 0
    with pytest.raises(NotActive):
        world.leases.hold(patience=0)
    assert world.clock.slept == 0
