"""Rehearsals: what runs only in a disaster is run on ordinary days too, up to what it would write first.

Lambda reclaims the network interfaces of a function that nobody invokes for weeks, and the next invocation
fails (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html). Nor would anybody learn before the
disaster that such a function may not read what it needs, or cannot reach it. So the scheduler invokes each of
them every few hours in both regions, with an event that nobody else sends.

Nothing here can write: a rehearsal holds no more than the functions it reads by. What it cannot read fails
the invocation, which an alarm tells.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from adapters.aws import client
from adapters.global_cluster import members
from adapters.region_switch import find_plan
from failover.clock import Clock, Instant, SystemClock
from failover.control import ControlRecord
from failover.errors import Unavailable
from failover.writer import writer_of
from handlers.mistakes import tell_mistake
from handlers.region import Tables, ledger
from handlers.runs import Context, run_until
from payments.errors import LedgerUnavailable
from payments.journal import shards

EVENT: Final = {"rehearsal": "everything up to the first write"}

_SECONDS: Final = 15.0
_ASK_EVERY_SECONDS: Final = 0.5
# A first deployment takes over an hour from the control record to the plan, and a copy may take as long to
# be one again after a takeover.
_SETTLED: Final = timedelta(hours=3)
_NOT_NOW: Final = (LedgerUnavailable, Unavailable)


class NotReady(Exception):  # noqa: N818 - what is so
    """What a takeover would miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """`control` reads the record; each of `looks` reads something more, and says what it found."""

    control: Callable[[], ControlRecord]
    looks: Mapping[str, Callable[[], object]]
    clock: Clock


def is_rehearsal(event: object) -> bool:
    """That event and nothing more: Region switch and alarms say other things, or nothing."""
    return event == EVENT


def of_fencing(environment: Mapping[str, str]) -> Rehearsal:
    return Rehearsal(control=Tables(environment).control().read, looks={}, clock=SystemClock())


def of_deciding(environment: Mapping[str, str], rings: Callable[[], bool]) -> Rehearsal:
    regions, name = client("arc-region-switch"), environment["PLAN"]

    def plan() -> str:
        found = find_plan(regions, name)
        if found is None:
            raise Unavailable("Region switch: the plan is not there")
        return found.arn

    return Rehearsal(
        control=Tables(environment).control().read,
        looks={"the alarm rings": rings, "plan": plan},
        clock=SystemClock(),
    )


def of_recovering(environment: Mapping[str, str]) -> Rehearsal:
    """The ledger where it can be read in either region: a standby has no writer to connect to."""
    tables = Tables(environment)
    work, books = tables.journal(), ledger(environment, "DATABASE_READER_HOST")
    clusters, global_cluster = client("rds"), environment["GLOBAL_CLUSTER"]

    def open_entries() -> int:
        """One is enough, and an entry that is not there has to be asked for as well."""
        listed = work.page(shards()[0], None, 1).ids
        return len(work.read(listed or ("rehearsal",)).entries)

    def fence() -> int:
        with closing(books):
            return books.fence()

    return Rehearsal(
        control=tables.control().read,
        looks={
            "writer": lambda: writer_of(members(clusters, global_cluster)).region,
            "open entries": open_entries,
            "fence of the ledger": fence,
        },
        clock=SystemClock(),
    )


def rehearse(rehearsal: Rehearsal, context: Context, logger: Logger, metrics: Metrics) -> dict[str, Any]:
    """Looks at everything, whatever is missing. Raises NotReady, but not while things are being set up."""
    until = run_until(rehearsal.clock, context, _SECONDS)
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    mistaken = False
    for name, look in {"control record": rehearsal.control, **rehearsal.looks}.items():
        try:
            found[name] = _patiently(look, rehearsal.clock, until)
        except _NOT_NOW as why:
            missing[name] = str(why)
            if isinstance(why, LedgerUnavailable) and why.mistake is not None:
                tell_mistake(logger, metrics, why.mistake, look=name)
                mistaken = True
        except Exception as mistake:  # noqa: BLE001 - the next may be missing, too
            tell_mistake(logger, metrics, mistake, look=name)
            missing[name] = type(mistake).__name__
            mistaken = True
    result = {
        "outcome": "rehearsed: nothing was written",
        "found": {name: str(value) for name, value in found.items()},
        "missing": missing,
    }
    logger.info("rehearsed", extra=result)
    if missing and (mistaken or not _being_set_up(found.get("control record"), rehearsal.clock)):
        raise NotReady("; ".join(f"{name}: {why}" for name, why in missing.items()))
    return result


def _being_set_up(record: ControlRecord | None, clock: Clock) -> bool:
    return record is not None and clock.now().time() - record.changed_at < _SETTLED


def _patiently(look: Callable[[], object], clock: Clock, until: Instant) -> object:
    while True:
        try:
            return look()
        except _NOT_NOW:
            if clock.now().reached(until):
                raise
            clock.sleep(_ASK_EVERY_SECONDS)
