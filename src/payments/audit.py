"""The daily audit: journal and ledger compared completely, in both directions, page by page.

What was accepted must be in the ledger, field for field; what is in the ledger must have been accepted, and
its lines must be what double entry makes of it. Each side is read before the other one only in the order
that cannot raise a false alarm: entries, then rows, for what must have been posted; rows, then entries, for
what must have been accepted. Each is cut into segments that are read at the same time, a page of each in a
round; a bookmark after each round lets the next invocation go on, whoever runs it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from threading import Lock
from typing import Any, Final

from failover.clock import Clock, Instant
from payments.comparison import Difference, entry_differences, row_differences
from payments.errors import Unavailable
from payments.lease import Leases, hold_steady
from payments.mistakes import Each, Mistakes, attempt
from payments.ports import Books, JournalScan, Progress
from payments.retention import removable
from payments.stopping import why_stopped

PAGE: Final = 500
SEGMENTS: Final = 8  # each asks for itself, over a connection of its own
BOOKMARK: Final = "audit"
_LETTERS: Final = "234567abcdefghijklmnopqrstuvwxyz"  # what ids go on with after "pay_", each as often


class Stage(StrEnum):
    JOURNAL = "journal"  # every entry against the ledger
    LEDGER = "ledger"  # every row against the journal
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far the audit begun on `day` under `epoch` is. `places`: where each segment of the stage goes on
    that is not through; None is its beginning. `since`: the first audit's beginning; `completed`: the end of
    the last one that got through.
    """

    day: date
    epoch: int
    stage: Stage
    places: Mapping[str, str | None]
    compared: int
    differences: int
    since: datetime
    completed: datetime | None

    def stored(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "epoch": self.epoch,
            "stage": self.stage.value,
            "places": dict(self.places),
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
        completed, stage = stored["completed"], Stage(stored["stage"])
        return Bookmark(
            day=date.fromisoformat(stored["day"]),
            epoch=int(stored["epoch"]),
            stage=stage,
            places=_places(stored["places"]) if stage is not Stage.DONE else {},
            compared=int(stored["compared"]),
            differences=int(stored["differences"]),
            since=datetime.fromisoformat(stored["since"]),
            completed=datetime.fromisoformat(completed) if completed is not None else None,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _places(stored: Any) -> Mapping[str, str | None]:
    """Raises ValueError for what is none of it: an audit that believed it would pass something over."""
    known = set(_beginnings())
    if not isinstance(stored, dict) or not stored or not known >= stored.keys():
        raise ValueError("not the segments of an audit")
    return {segment: None if after is None else str(after) for segment, after in stored.items()}


def _beginnings() -> dict[str, str | None]:
    return {str(segment): None for segment in range(SEGMENTS)}


def id_range(segment: int) -> tuple[str, str | None]:
    """The ids of a segment are greater than the first and not greater than the second, if any: together all
    there are, whatever they look like, in whatever order the database has them.
    """
    firsts = ["", *(f"pay_{_LETTERS[n * len(_LETTERS) // SEGMENTS]}" for n in range(1, SEGMENTS))]
    return firsts[segment], firsts[segment + 1] if segment + 1 < SEGMENTS else None


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
        places=_beginnings(),
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
    """`tell` is told of differences before the bookmark moves past them: none goes untold. `books` are the
    calling thread's own; `each` as `payments.mistakes.attempt` takes it, for segments and for entries.
    """

    leases: Leases
    journal: JournalScan
    books: Callable[[], Books]
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


@dataclass(slots=True)
class _Looked:
    """What one page of a segment was seen to hold. `after`: where to go on, None at the segment's end."""

    found: Mapping[str, Sequence[str]]
    after: str | None
    removable: Sequence[str] = ()


class _Run:
    def __init__(self, auditor: Auditor) -> None:
        self.done = Audited()
        self._auditor = auditor
        self._now = auditor.clock.now().time()
        self._alone = Lock()

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
            at = self._round(at)
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

    def _round(self, at: Bookmark) -> Bookmark:
        """A page of each segment, at the same time; all or none of it counts."""
        looked: dict[str, _Looked] = {}

        def look(segment: str) -> Exception | None:
            try:
                self._same_ledger(at)
                page = self._entries if at.stage is Stage.JOURNAL else self._rows
                looked[segment] = page(at, int(segment), at.places[segment])
            except Exception as error:  # noqa: BLE001 - raised once the others have ended
                return error
            return None

        errors = [error for error in self._auditor.each(look, sorted(at.places)) if error is not None]
        if errors:
            raise errors[0]
        told = self._tell({each: kinds for one in looked.values() for each, kinds in one.found.items()})
        self._strip([each for one in looked.values() for each in one.removable])
        at = replace(
            at,
            places={segment: one.after for segment, one in looked.items() if one.after is not None},
            differences=at.differences + told,
        )
        if at.stage is Stage.JOURNAL:
            count = sum(len(one.found) for one in looked.values())
            self.done.compared += count
            at = replace(at, compared=at.compared + count)
        if at.places:
            return at
        if at.stage is Stage.JOURNAL:
            return replace(at, stage=Stage.LEDGER, places=_beginnings())
        return replace(at, stage=Stage.DONE, completed=self._now)

    def _entries(self, at: Bookmark, segment: int, after: str | None) -> _Looked:
        auditor = self._auditor
        page = auditor.journal.scan(after, auditor.page, segment=segment, of=SEGMENTS)
        posted = auditor.books().held([entry.payment_id for entry in page.entries])
        self._same_ledger(at)
        found = {
            entry.payment_id: entry_differences(entry, posted.get(entry.payment_id), self._now)
            for entry in page.entries
        }
        found |= {each.payment_id: ("its entry cannot be read",) for each in page.unreadable}
        old = [
            entry.payment_id
            for entry in page.entries
            if entry.payment_id in posted
            and not found[entry.payment_id]  # whoever differs keeps everything there is to compare
            and removable(entry, self._now, auditor.retention_days)
        ]
        return _Looked(found, page.after, old)

    def _rows(self, at: Bookmark, segment: int, after: str | None) -> _Looked:
        auditor = self._auditor
        first, last = id_range(segment)
        rows = auditor.books().rows(after or first, last, auditor.page)
        read = auditor.journal.read([row.payment.payment_id for row in rows])
        self._same_ledger(at)
        known = {entry.payment_id for entry in read.entries}
        known |= {unreadable.payment_id for unreadable in read.unreadable}
        found = {
            row.payment.payment_id: (
                *row_differences(row),
                *(() if row.payment.payment_id in known else ("was posted, but never accepted",)),
            )
            for row in rows
        }
        return _Looked(found, rows[-1].payment.payment_id if len(rows) == auditor.page else None)

    def _tell(self, found: Mapping[str, Sequence[str]]) -> int:
        differences = [Difference(each, kind) for each, kinds in found.items() for kind in kinds]
        if differences:
            self._auditor.tell(differences)
            self.done.differences += len(differences)
        return len(differences)

    def _strip(self, old: Sequence[str]) -> None:
        tried = attempt(self._auditor.journal.strip, old, self._auditor.each, self.done.mistakes)
        self.done.stripped += tried.done
        tried.raise_unknown()

    def _same_ledger(self, at: Bookmark) -> None:
        """Before a page is read and after: until a lease has ended, no takeover promotes another database."""
        with self._alone:
            epoch = hold_steady(self._auditor.leases).epoch
        if epoch != at.epoch:
            raise Unavailable("a takeover came between")
