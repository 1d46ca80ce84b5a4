"""What readiness says: as a table of both regions with the reasons below it, and as JSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from failover.control import ControlRecord
from ops.directory import Rejected
from ops.observation import Observation
from ops.readiness import deployed, needed, standing
from ops.readiness.check import Answer, Check
from ops.readiness.facts import Seen
from ops.status import columns
from templates.config import Settings

_JUDGES: Final[tuple[Callable[[Seen], Iterator[Check]], ...]] = (
    *(standing.control, standing.health, standing.ledger, standing.lag, standing.journal),
    *(standing.comparison, standing.migrations),
    *(deployed.capacity, deployed.quotas, deployed.running, deployed.code, deployed.configuration),
    *(needed.secrets, needed.keys, needed.tables, needed.copies, needed.peering),
    *(needed.certificates, needed.hosts, needed.records, standing.plan, standing.alarms),
)


@dataclass(frozen=True, slots=True)
class Report:
    at: datetime
    target: str
    regions: tuple[str, str]
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        return all(check.answer is Answer.YES for check in self.checks)


def report(seen: Seen) -> Report:
    first, second = seen.facts
    return Report(
        seen.status.at,
        seen.here.region,
        (first.region, second.region),
        tuple(check for judge in _JUDGES for check in judge(seen)),
    )


def named(settings: Settings, target: str | None) -> str | None:
    """Raises Rejected for a region that cannot become active."""
    known = settings.regions.primary, settings.regions.secondary
    if target is not None and target not in known:
        raise Rejected(f"--to: {target} cannot become active; use {' or '.join(known)}", 2)
    return target


def standby(status: Observation) -> str:
    """Raises Rejected where nobody says who is active: then only --to can."""
    record = status.control
    if not isinstance(record, ControlRecord):
        raise Rejected(f"control record: {record.why}; say which region is to take over: --to REGION", 1)
    return next(one.region for one in status.regions if one.region != record.active)


def document(found: Report) -> dict[str, Any]:
    """The shape that docs/operations.md describes."""
    return {
        "at": found.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "ready": found.ready,
        "target": found.target,
        "checks": [
            {
                "name": each.name,
                "region": each.region,
                "answer": each.answer.value,
                "why": each.why,
                "todo": each.todo,
            }
            for each in found.checks
        ],
    }


def text(found: Report) -> str:
    table: list[tuple[str, ...]] = [("", *found.regions)]
    for name in dict.fromkeys(check.name for check in found.checks):
        of_it = [check for check in found.checks if check.name == name]
        table.append((name, *(_cell(of_it, region) for region in found.regions)))
    return "\n".join((*columns(table), *_reasons(found), _verdict(found)))


def _cell(checks: list[Check], region: str) -> str:
    return next((check.answer.value for check in checks if check.region in (None, region)), "-")


def _reasons(found: Report) -> Iterator[str]:
    for answer in (Answer.NO, Answer.UNKNOWN):
        for check in found.checks:
            if check.answer is answer:
                yield f"{answer:<7}  {check.text}"


def _verdict(found: Report) -> str:
    if found.ready:
        return f"a failover to {found.target} would succeed now"
    answers = [check.answer for check in found.checks]
    counted = f"{answers.count(Answer.NO)} no, {answers.count(Answer.UNKNOWN)} unknown"
    return f"whether a failover to {found.target} would succeed now is not sure: {counted}"
