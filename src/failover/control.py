"""The control record: which region is active, under which epoch, and how far its takeover is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FIRST_EPOCH = 1
LEASE_SECONDS = 3.0  # what one read of the record grants the active region, counted from before it was sent


class Phase(StrEnum):
    """Where the takeover of an epoch stands; only ever moves forward within one epoch."""

    FENCING = "fencing"  # nobody holds a lease
    RECOVERING = "recovering"  # payments are journalled, not yet posted
    STEADY = "steady"  # payments are posted


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """`active` is a region's name; `epoch` only ever changes from n to n + 1, by a conditional write."""

    epoch: int
    active: str
    phase: Phase
    changed_at: datetime
    reason: str

    def __post_init__(self) -> None:
        if self.epoch < FIRST_EPOCH:
            raise ValueError(f"an epoch starts at {FIRST_EPOCH}, not {self.epoch}")
        if not self.active:
            raise ValueError("a control record names the active region")
        if self.changed_at.tzinfo is None:
            raise ValueError("a control record's time needs a time zone")


def first_record(active: str, changed_at: datetime) -> ControlRecord:
    """What the first deployment writes: no earlier epoch exists, so nothing has to be fenced or recovered."""
    return ControlRecord(FIRST_EPOCH, active, Phase.STEADY, changed_at, "first deployment")
