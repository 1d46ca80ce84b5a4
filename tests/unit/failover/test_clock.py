"""How much time has passed, whichever clock stood still."""

import pytest

from failover.clock import Elapsed
from tests.unit.payments.fakes import FakeClock


@pytest.mark.parametrize(
    ("monotonic", "wall", "seconds"),
    [(5.0, 5.0, 5.0), (0.0, 600.0, 600.0), (5.0, -3600.0, 5.0), (0.0, -1.0, 0.0)],
    ids=["both", "frozen", "the wall clock was set back", "nothing passed"],
)
def test_the_clock_that_shows_more_is_believed(monotonic: float, wall: float, seconds: float) -> None:
    clock = FakeClock()
    elapsed = Elapsed(clock)
    clock.pass_time(1.0)
    assert elapsed() == 1.0
    clock.monotonic += monotonic
    clock.wall += wall
    assert elapsed() == 1.0 + seconds
    assert elapsed() == 1.0 + seconds
