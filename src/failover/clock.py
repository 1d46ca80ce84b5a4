"""Time as an argument: what both domains do with it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment read from both clocks, in seconds. `monotonic` compares within one process only."""

    monotonic: float
    wall: float

    def later(self, seconds: float) -> "Instant":
        return Instant(self.monotonic + seconds, self.wall + seconds)

    def reached(self, limit: "Instant") -> bool:
        """By whichever clock shows more elapsed: a frozen function's monotonic clock may stand still."""
        return self.monotonic >= limit.monotonic or self.wall >= limit.wall

    def time(self) -> datetime:
        return datetime.fromtimestamp(self.wall, UTC)


def wait_out(clock: "Clock", seconds: float) -> None:
    """By the monotonic clock, which never shows more than has elapsed; the wall clock may be set forward."""
    until = clock.now().monotonic + seconds
    while (left := until - clock.now().monotonic) > 0:
        clock.sleep(left)


class Clock(Protocol):
    def now(self) -> Instant: ...

    def sleep(self, seconds: float) -> None: ...


class Elapsed:
    """Seconds since it was made, by whichever clock shows more between two readings: what was known before a
    function was frozen is as old as it is, although its monotonic clock may have stood still.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()
        self._seconds = 0.0

    def __call__(self) -> float:
        last, self._last = self._last, self._clock.now()
        self._seconds += max(0.0, self._last.monotonic - last.monotonic, self._last.wall - last.wall)
        return self._seconds


class SystemClock:
    def now(self) -> Instant:
        return Instant(time.monotonic(), time.time())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
