"""What happened, told once: a change is an event, however often it is seen and by whomever."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from failover.control import ControlRecord, Phase
from failover.writer import GlobalDatabase
from ops.drill.measures import Event
from ops.observation import OpenEntries

CONTROL, WRITER, DNS, EXECUTION, STEP = "control", "writer", "dns", "execution", "step"
ALARM, OPEN = "alarm", "open"
FAULT, STEP_TAKEN, RECOVERED, NOTE = "fault", "step-taken", "recovered", "note"
_PHASES: Final = tuple(Phase)


@dataclass(frozen=True, slots=True)
class Execution:
    """Of the Region switch plan, as the region it runs in tells it."""

    id: str
    began: datetime
    mode: str
    state: str
    steps: Mapping[str, str]


@dataclass(slots=True)
class Story:
    """`began` is when time 0 was. What is seen first is how things were, and no event."""

    began: datetime
    record: ControlRecord | None = None
    dns: str | None = None
    open: OpenEntries | None = None
    writes: dict[str, bool] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    executions: dict[str, Execution] = field(default_factory=dict)
    _ringing: dict[str, frozenset[str]] = field(default_factory=dict)

    def tell(self, at: float, kind: str, event: str, region: str | None = None) -> Event:
        told = Event(at, kind, event, region)
        self.events.append(told)
        return told

    def control(self, at: float, found: ControlRecord) -> Iterator[Event]:
        """A region that was cut off may still say what was true before."""
        known = self.record
        if known is not None and _order(found) <= _order(known):
            return
        self.record = found
        if known is not None:
            changed = (found.changed_at - self.began).total_seconds()
            yield self.tell(
                min(at, changed),
                found.phase,
                f"epoch {found.epoch} is {found.phase}: {found.reason}",
                found.active,
            )

    def ledger(self, at: float, region: str, found: GlobalDatabase) -> Iterator[Event]:
        """A region's ledger is the writer when RDS in that region says so."""
        writes = any(member.writer and member.region == region for member in found.members)
        known, self.writes[region] = self.writes.get(region), writes
        if known is False and writes:
            yield self.tell(at, WRITER, f"the ledger of {region} is the writer", region)

    def answer(self, at: float, region: str) -> Iterator[Event]:
        known, self.dns = self.dns, region
        if known not in (None, region):
            yield self.tell(at, DNS, f"DNS answers with {region}", region)

    def execution(self, at: float, region: str, found: Execution) -> Iterator[Event]:
        if found.began < self.began:
            return
        known = self.executions.get(found.id)
        self.executions[found.id] = found
        if known is None:
            yield self.tell(at, EXECUTION, f"Region switch begins, {found.mode}", region)
        for step, state in found.steps.items():
            before = known.steps.get(step, "notStarted") if known else "notStarted"
            if state != before:
                yield self.tell(at, STEP, f"{step}: {state}", region)
        if known is not None and known.state != found.state:
            yield self.tell(at, STEP, f"Region switch: {found.state}", region)

    def alarms(self, at: float, region: str, found: Collection[str]) -> Iterator[Event]:
        known = self._ringing.get(region)
        self._ringing[region] = frozenset(found)
        for name in sorted(frozenset(found) - known) if known is not None else ():
            yield self.tell(at, ALARM, f"alarm {name}", region)


def _order(record: ControlRecord) -> tuple[int, int]:
    return record.epoch, _PHASES.index(record.phase)
