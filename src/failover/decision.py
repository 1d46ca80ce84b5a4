"""Whether votes are reason enough to take over: what the control record has to say to them.

Two regions of three agree that the active region cannot be reached. They may agree about something that is
over: the record is read again, and votes that do not speak of the same state have to be heard once more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from failover.control import ControlRecord, Phase

REASON: Final = "two of three regions cannot reach the active one"
# After so long nobody else is at a takeover: Region switch tries a step again within a minute.
ABANDONED: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Begin, or go on with what an earlier run of this decision began."""


@dataclass(frozen=True, slots=True)
class Leave:
    """There is nothing to decide any more."""

    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot be told yet."""

    why: str


Decision = TakeOver | Leave | Later


def decide(record: ControlRecord, region: str, now: datetime, voted: timedelta) -> Decision:
    """For the region that would take over. `voted` is how long the misses took that made a vote."""
    if record.active == region:
        if record.reason == REASON and record.phase is not Phase.STEADY:
            return TakeOver()
        return Leave(f"{region} is the active region, {record.phase}")
    age = now - record.changed_at
    if record.phase is Phase.FENCING and age < ABANDONED:
        # Dead or alive, a region that fences answers nobody.
        return Later(f"{record.active} is taking over, {record.phase} for {age.total_seconds():.0f} s")
    if age < voted:
        # The alarm rings once. Whether it still does is asked when this is tried again.
        return Later(f"{record.active} is {record.phase} since after the first of the votes")
    return TakeOver()
