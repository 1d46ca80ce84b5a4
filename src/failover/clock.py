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


class SystemClock:
    def now(self) -> Instant:
        return Instant(time.monotonic(), time.time())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
