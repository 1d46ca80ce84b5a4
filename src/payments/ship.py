"""Shipping the transaction log: one chain for both regions, written by whichever is the standby.

Invariant: what a segment holds is settled before any of it is written. The intent, one conditional write to
the bookmark, names the segment, its range, how many rows, and the hash it will end with; whoever carries it
out, the one who wrote it or another after a crash, in either region, writes the same lines or none.

Only rows before the cutoff are ever intended: every transaction older than it has ended, as the copy of the
ledger sees it, so no row can turn up later among those that were shipped. A takeover changes neither: the
copy becomes the ledger with the rows it had, and what is posted then gets greater transaction numbers. That
is why nobody who froze between any two steps can do harm: an intent that was overtaken is refused, and one
that was not is as true as it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from failover.clock import Clock, Instant
from payments.errors import LogDiverged, Unavailable
from payments.mistakes import Mistakes
from payments.ports import Progress
from payments.standby import Standby
from payments.stopping import NOT_STANDBY, why_stopped
from payments.transaction_log import (
    FIRST,
    MAX_ROWS,
    LedgerRow,
    Link,
    Position,
    Segment,
    next_segment,
    whole_segment,
)

BOOKMARK: Final = "log"


@dataclass(frozen=True, slots=True)
class LogPage:
    """`cutoff`: the oldest transaction that may still be running. All rows are of older ones."""

    cutoff: int
    rows: tuple[LedgerRow, ...]


class LogRows(Protocol):
    """This region's copy of the ledger in the order of the log. Raises as `Ledger` does; NotStandby when the
    statement itself does not see a copy of the ledger of `epoch`.
    """

    def page(self, epoch: int, after: Position, through: Position | None, limit: int) -> LogPage:
        """The first `limit` rows after `after` and up to `through` that are before the cutoff."""
        ...

    def waiting_since(self, epoch: int, after: Position) -> datetime | None:
        """When the first row after `after` was posted, whether or not it is before the cutoff."""
        ...


class Segments(Protocol):
    def put(self, segment: Segment) -> None:
        """Once and for ever. The same lines again are nothing new; others raise LogDiverged."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The bookmark: the last segment, and whether it is in a bucket yet or only intended."""

    after: Link
    end: Link
    rows: int
    shipped: bool

    @property
    def chain(self) -> Link:
        """The end of what is shipped."""
        return self.end if self.shipped else self.after


def head(bookmark: Mapping[str, Any]) -> Head:
    """Raises ValueError for one that makes no sense."""
    try:
        number = int(bookmark["segment"])
        start = Position(int(bookmark["from_txid"]), str(bookmark["from_payment_id"]))
        end = Position(int(bookmark["to_txid"]), str(bookmark["to_payment_id"]))
        return Head(
            after=Link(number - 1, str(bookmark["previous"]), start),
            end=Link(number, str(bookmark["hash"]), end),
            rows=int(bookmark["rows"]),
            shipped=bool(bookmark["shipped"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the bookmark of the transaction log makes no sense: {error}") from error


def bookmark(head: Head) -> dict[str, Any]:
    return {
        "segment": head.end.segment,
        "previous": head.after.hash,
        "hash": head.end.hash,
        "from_txid": head.after.position.txid,
        "from_payment_id": head.after.position.payment_id,
        "to_txid": head.end.position.txid,
        "to_payment_id": head.end.position.payment_id,
        "rows": head.rows,
        "shipped": head.shipped,
    }


@dataclass(slots=True)
class Shipped:
    """What a run did. `age`: seconds since the oldest row that waits was posted, 0 when none does; None when
    that could not be found out.
    """

    segments: int = 0
    rows: int = 0
    stopped: str = ""
    age: float | None = None
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipper:
    standby: Standby
    progress: Progress
    rows: LogRows
    segments: Segments
    clock: Clock

    def run(self, until: Instant) -> Shipped:
        """Segment after segment, until there is nothing to ship or until then."""
        done = Shipped()
        self._attempt(done, lambda: self._run(until, done))
        if done.stopped != NOT_STANDBY:
            self._attempt(done, lambda: self._measure(done))
        return done

    def _attempt(self, done: Shipped, step: Callable[[], None]) -> None:
        try:
            step()
        except LogDiverged as diverged:
            done.stopped = done.stopped or diverged.detail
            done.mistakes.add(diverged)
        except Exception as error:  # noqa: BLE001 - told with what was done before it
            why = why_stopped(error, done.mistakes)
            done.stopped = done.stopped or why

    def _run(self, until: Instant, done: Shipped) -> None:
        epoch = self.standby.hold()
        held = self.progress.read(BOOKMARK)
        if held is not None:
            held = self._last(epoch, held, done)
        while not self.clock.now().reached(until):
            segment = self._next(epoch, head(held).end if held is not None else FIRST)
            if segment is None:
                return
            self.standby.still(epoch)
            intended = self._noted(_head(segment, shipped=False), held)
            held = self._carried_out(segment, intended, done)
        done.stopped = "time"

    def _last(self, epoch: int, held: Mapping[str, Any], done: Shipped) -> Mapping[str, Any]:
        """The last segment made again, to carry out what somebody only intended, and to see whether the
        ledger still holds exactly these rows up to there: it would not if it was restored from a backup, or
        if a cutoff had been wrong.

        Raises Unavailable while this copy lags behind the one that the segment was made of.
        """
        last = head(held)
        page = self.rows.page(epoch, last.after.position, last.end.position, last.rows + 1)
        if page.cutoff <= last.end.position.txid:
            raise Unavailable("transaction log: this copy is behind what was shipped")
        self.standby.still(epoch)
        segment = whole_segment(last.after, page.rows) if page.rows else None
        if segment is None or segment.end != last.end:
            raise LogDiverged(f"segment {last.end.segment}: the ledger holds other rows up to its end")
        return held if last.shipped else self._carried_out(segment, held, done)

    def _next(self, epoch: int, after: Link) -> Segment | None:
        rows = self.rows.page(epoch, after.position, None, MAX_ROWS).rows
        return next_segment(after, rows) if rows else None

    def _carried_out(self, segment: Segment, intent: Mapping[str, Any], done: Shipped) -> Mapping[str, Any]:
        self.segments.put(segment)
        held = self._noted(_head(segment, shipped=True), intent)
        done.segments += 1
        done.rows += segment.rows
        return held

    def _noted(self, wanted: Head, expected: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The bookmark as it stands then. Whoever else noted the very same is as good."""
        self.progress.write(BOOKMARK, bookmark(wanted), expected)
        held = self.progress.read(BOOKMARK)
        if held is None or head(held) != wanted:
            raise Unavailable("transaction log: another run has gone on")
        return held

    def _measure(self, done: Shipped) -> None:
        epoch = self.standby.hold()
        held = self.progress.read(BOOKMARK)
        position = head(held).chain.position if held is not None else FIRST.position
        since = self.rows.waiting_since(epoch, position)
        now = self.clock.now().time()
        done.age = max(0.0, (now - since).total_seconds()) if since is not None else 0.0


def _head(segment: Segment, *, shipped: bool) -> Head:
    return Head(segment.after, segment.end, segment.rows, shipped)
