"""The daily audit: journal and ledger compared completely, in both directions, page by page.

What was accepted must be in the ledger, field for field; what is in the ledger must have been accepted, and
its lines must be what double entry makes of it. Each side is read before the other one only in the order
that cannot raise a false alarm: entries, then rows, for what must have been posted; rows, then entries, for
what must have been accepted. A bookmark after each page lets the next invocation go on, whoever runs it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from failover.clock import Clock, Instant
from payments.comparison import Difference, entry_differences, row_differences
from payments.errors import Unavailable
from payments.lease import Leases, hold_steady
from payments.mistakes import Each, Mistakes, attempt
from payments.model import Payment
from payments.ports import Books, JournalScan, Page, Progress
from payments.retention import removable
from payments.stopping import why_stopped

PAGE: Final = 500
BOOKMARK: Final = "audit"


class Stage(StrEnum):
    JOURNAL = "journal"  # every entry against the ledger
    LEDGER = "ledger"  # every row against the journal
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far the audit begun on `day` under `epoch` is. `since`: the first audit's beginning; `completed`:
    the end of the last one that got through.
    """

    day: date
    epoch: int
    stage: Stage
    after: str | None
    compared: int
    differences: int
    since: datetime
    completed: datetime | None

    def stored(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "epoch": self.epoch,
            "stage": self.stage.value,
            "after": self.after,
            "compared": self.compared,
            "differences": self.differences,
            "since": self.since.isoformat(),
            "completed": self.completed.isoformat() if self.completed is not None else None,
        }


def bookmark(stored: Mapping[str, Any] | None) -> Bookmark | None:
    """None, too, for one that makes no sense: the audit begins anew."""
    try:
        if stored is None:
            return None
        completed = stored["completed"]
        return Bookmark(
            day=date.fromisoformat(stored["day"]),
            epoch=int(stored["epoch"]),
            stage=Stage(stored["stage"]),
            after=stored["after"],
            compared=int(stored["compared"]),
            differences=int(stored["differences"]),
            since=datetime.fromisoformat(stored["since"]),
            completed=datetime.fromisoformat(completed) if completed is not None else None,
        )
    except (KeyError, TypeError, ValueError):
        return None


def to_do(last: Bookmark | None, now: datetime, epoch: int) -> Bookmark | None:
    """Where to go on: in an unfinished audit, at the beginning of today's, or nowhere.

    An audit that a takeover interrupted begins anew: half of it compared another ledger.
    """
    if last is not None and last.stage is Stage.DONE and last.day >= now.date():
        return None
    if last is not None and last.stage is not Stage.DONE and last.epoch == epoch:
        return last
    return Bookmark(
        day=now.date(),
        epoch=epoch,
        stage=Stage.JOURNAL,
        after=None,
        compared=0,
        differences=0,
        since=last.since if last is not None else now,
        completed=last.completed if last is not None else None,
    )


@dataclass(slots=True)
class Audited:
    """What one invocation did. `age_hours`: since an audit last got through, or since the first was begun."""

    compared: int = 0
    differences: int = 0
    stripped: int = 0
    finished: bool = False
    age_hours: float | None = None
    stopped: str = ""
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """`tell` is told of differences before the bookmark moves past them: none goes untold."""

    leases: Leases
    journal: JournalScan
    books: Books
    progress: Progress
    clock: Clock
    retention_days: int
    tell: Callable[[Sequence[Difference]], None]
    each: Each = map
    page: int = PAGE

    def run(self, until: Instant) -> Audited:
        run = _Run(self)
        try:
            run.go_on(until)
        except Exception as error:  # noqa: BLE001 - reported with what was done before it
            run.done.stopped = why_stopped(error, run.done.mistakes)
        return run.done


class _Run:
    def __init__(self, auditor: Auditor) -> None:
        self.done = Audited()
        self._auditor = auditor
        self._now = auditor.clock.now().time()

    def go_on(self, until: Instant) -> None:
        epoch = hold_steady(self._auditor.leases).epoch
        stored = self._auditor.progress.read(BOOKMARK)
        last = bookmark(stored)
        self._tell_age(last)
        at = to_do(last, self._now, epoch)
        while at is not None and at.stage is not Stage.DONE:
            if self._auditor.clock.now().reached(until):
                self.done.stopped = "time"
                return
            self._now = self._auditor.clock.now().time()
            at = self._page(at)
            if not self._auditor.progress.write(BOOKMARK, at.stored(), stored):
                self.done.stopped = "overtaken"  # another auditor is at it
                return
            self._tell_age(at)
            stored = self._auditor.progress.read(BOOKMARK)
            if bookmark(stored) != at:
                self.done.stopped = "overtaken"
                return
        self.done.finished = True

    def _tell_age(self, last: Bookmark | None) -> None:
        since = self._now if last is None else last.completed or last.since
        self.done.age_hours = max(0.0, (self._now - since).total_seconds() / 3600)

    def _page(self, at: Bookmark) -> Bookmark:
        self._same_ledger(at)
        if at.stage is Stage.JOURNAL:
            return self._entries(at)
        return self._rows(at)

    def _entries(self, at: Bookmark) -> Bookmark:
        page = self._auditor.journal.scan(at.after, self._auditor.page)
        posted = self._auditor.books.held([entry.payment_id for entry in page.entries])
        self._same_ledger(at)
        found = {
            entry.payment_id: entry_differences(entry, posted.get(entry.payment_id), self._now)
            for entry in page.entries
        }
        found |= {each.payment_id: ("its entry cannot be read",) for each in page.unreadable}
        told = self._tell(found)
        self._strip(page, found, posted)
        count = len(found)
        self.done.compared += count
        stage = Stage.JOURNAL if page.after is not None else Stage.LEDGER
        return replace(
            at,
            stage=stage,
            after=page.after,
            compared=at.compared + count,
            differences=at.differences + told,
        )

    def _rows(self, at: Bookmark) -> Bookmark:
        rows = self._auditor.books.rows(at.after or "", self._auditor.page)
        read = self._auditor.journal.read([row.payment.payment_id for row in rows])
        self._same_ledger(at)
        known = {entry.payment_id for entry in read.entries}
        known |= {unreadable.payment_id for unreadable in read.unreadable}
        told = self._tell(
            {
                row.payment.payment_id: (
                    *row_differences(row),
                    *(() if row.payment.payment_id in known else ("was posted, but never accepted",)),
                )
                for row in rows
            }
        )
        at = replace(at, differences=at.differences + told)
        if len(rows) == self._auditor.page:
            return replace(at, after=rows[-1].payment.payment_id)
        return replace(at, stage=Stage.DONE, after=None, completed=self._now)

    def _tell(self, found: Mapping[str, Sequence[str]]) -> int:
        differences = [Difference(each, kind) for each, kinds in found.items() for kind in kinds]
        if differences:
            self._auditor.tell(differences)
            self.done.differences += len(differences)
        return len(differences)

    def _strip(self, page: Page, found: Mapping[str, Sequence[str]], posted: Mapping[str, Payment]) -> None:
        """Whoever differs keeps everything there is to compare."""
        days = self._auditor.retention_days
        old = [
            entry.payment_id
            for entry in page.entries
            if entry.payment_id in posted
            and not found[entry.payment_id]
            and removable(entry, self._now, days)
        ]
        tried = attempt(self._auditor.journal.strip, old, self._auditor.each, self.done.mistakes)
        self.done.stripped += tried.done
        tried.raise_unknown()

    def _same_ledger(self, at: Bookmark) -> None:
        """Before a page is read and after: until a lease has ended, no takeover promotes another database."""
        if hold_steady(self._auditor.leases).epoch != at.epoch:
            raise Unavailable("a takeover came between")
