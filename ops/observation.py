"""What can be seen of both regions at one time, unjudged: each answer, or why there is none."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import Unknown
from failover.writer import GlobalDatabase, writer_of
from payments.audit import Bookmark
from payments.ship import Head
from templates.names import Place

_ORDER: Final = tuple(Phase)
_ABOUT_IT: Final = {"region", "place"}  # what is known of a region without asking it


@dataclass(frozen=True, slots=True)
class OpenEntries:
    """Journal entries that are not known to be in both databases; `at_least`: there may be more."""

    count: int
    at_least: bool
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Region:
    """What one region answered. None where it answered that there is nothing.

    `health` is the HTTP status of its public endpoint; `lag` is how many milliseconds its copy of the ledger
    is behind, None where nothing was measured lately.
    """

    region: str
    place: Place
    control: ControlRecord | Unknown
    health: int | Unknown
    ledger: GlobalDatabase | Unknown
    lag: float | Unknown | None
    open: OpenEntries | Unknown
    alarms: tuple[str, ...] | Unknown
    audit: Bookmark | Unknown | None
    log: Head | Unknown | None

    @property
    def unanswered(self) -> dict[str, Unknown]:
        """The questions without an answer, by name."""
        return {name: answer for name in QUESTIONS if isinstance(answer := getattr(self, name), Unknown)}


QUESTIONS: Final = tuple(field.name for field in fields(Region) if field.name not in _ABOUT_IT)


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """Where a new client is led, and how long it keeps going there; `region` is None where no one knows whose
    the addresses are.
    """

    addresses: tuple[str, ...]
    region: str | None
    ttl_seconds: float


@dataclass(frozen=True, slots=True)
class Observation:
    """Both regions, asked at the same time, the primary first; and DNS, which is no region's."""

    at: datetime
    regions: tuple[Region, Region]
    dns: DnsAnswer | Unknown

    @property
    def control(self) -> ControlRecord | Unknown:
        """The record as the latest of the answers has it: it may have changed between two of them."""
        known = [one.control for one in self.regions if isinstance(one.control, ControlRecord)]
        if not known:
            return _nobody(self, "control")
        return max(known, key=lambda record: (record.epoch, _ORDER.index(record.phase)))

    @property
    def writer(self) -> str | Unknown:
        """The region whose cluster the global cluster names the writer, where every answer names the same."""
        known = [one.ledger for one in self.regions if isinstance(one.ledger, GlobalDatabase)]
        if not known:
            return _nobody(self, "ledger")
        try:
            named = {writer_of(ledger.members).region for ledger in known}
        except Unavailable as unknown:
            return Unknown(str(unknown))
        if len(named) > 1:
            return Unknown(f"the regions name different writers: {' and '.join(sorted(named))}")
        return named.pop()

    def named(self, region: str) -> Region | None:
        return next((one for one in self.regions if one.region == region), None)


def _nobody(observation: Observation, question: str) -> Unknown:
    reasons = [f"{one.region}: {one.unanswered[question].why}" for one in observation.regions]
    return Unknown("; ".join(reasons))
