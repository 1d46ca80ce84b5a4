"""Finishing a takeover in the ledger: older epochs are kept out, and what the journal holds is brought in.

Without a standby for a day, millions of entries are open, nearly all of them posted long ago. None is passed
over for that: each is asked for in the ledger that was promoted. So the shards are worked off several at a
time, and how far each came is kept in that ledger, for a run that goes on after this one was killed or out of
time. There, because a bookmark elsewhere could outlive the rows it speaks for: with another ledger promoted
under the same epoch it would lead past what that one lacks.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Final, Protocol

from failover.clock import Clock, Instant, wait_out
from failover.control import LEASE_SECONDS
from payments.errors import LedgerUnavailable, NotActive
from payments.journal import shards
from payments.lease import Leases
from payments.mistakes import Each, Mistakes
from payments.ports import Ids, Ledger, WorkList
from payments.posting import NOT_NOW, Posting
from payments.stopping import why_stopped
from payments.sweep import FRESH, PAGE

MOST_CHECKED: Final = 10_000  # newest payments whose lines are added up; the daily audit does all
PAGES_A_BOOKMARK: Final = 20  # a commit of its own; what a kill costs is as many pages, about a second
_NO_SCHEMA: Final = "no-schema"


class TakenOverLedger(Ledger, Protocol):
    def recovered(self, epoch: int) -> Mapping[str, str]:
        """How far shards of the work list were worked off into this ledger, under this epoch."""
        ...

    def mark_recovered(self, epoch: int, shard: str, after: str) -> None: ...

    def unbalanced(self, newest: int) -> Collection[str]:
        """Which of so many newest payments have lines that do not add up."""
        ...


class BooksDoNotBalance(Exception):  # noqa: N818 - it says what is so
    """Somebody has to look before anything more is posted; payments are accepted meanwhile."""


@dataclass(slots=True)
class Recovered:
    """`complete`: every entry that was open when the list was read is posted, but for the mistakes."""

    posted: int = 0
    complete: bool = False
    stopped: str = ""
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """`ledger` is the calling thread's own; `each` as `payments.mistakes.attempt` takes it, for shards."""

    leases: Leases
    work: WorkList
    ledger: Callable[[], TakenOverLedger]
    clock: Clock
    each: Each = map
    page: int = PAGE

    def run(self, epoch: int, until: Instant) -> Recovered:
        """May be run again, and by two at once: what is posted stays posted.

        A payment that cannot be posted by a mistake of ours holds up neither the others nor the takeover: it
        stays on the list, and is told. Raises NotActive when another epoch was opened, LedgerUnavailable,
        Unavailable, and BooksDoNotBalance.
        """
        ledger = self.ledger()
        ledger.raise_fence(epoch)
        run = _Run(self, epoch, until)
        run.bookmarks = self._bookmarks(ledger, epoch, run.done.mistakes)
        run.work_off()
        if run.done.complete and (unbalanced := ledger.unbalanced(MOST_CHECKED)):
            raise BooksDoNotBalance(f"{len(unbalanced)} payments, such as {min(unbalanced)}")
        return run.done

    def rest(self, epoch: int, until: Instant) -> Recovered:
        """What was accepted while `run` was at it, once the takeover is finished and clients are told 201.

        It waits one lease: until then somebody may still journal a payment under the older phase. Raises
        nothing: whatever it leaves is left to the sweeper, which comes by within a minute.
        """
        wait_out(self.clock, LEASE_SECONDS)
        run = _Run(self, epoch, until, since=self.clock.now().time() - FRESH)
        try:
            run.work_off()
        except Exception as error:  # noqa: BLE001 - reported with what was done before it
            run.done.stopped = why_stopped(error, run.done.mistakes)
        return run.done

    def _bookmarks(self, ledger: TakenOverLedger, epoch: int, mistakes: Mistakes) -> Mapping[str, str]:
        """None in a ledger that the last release did not reach: its standby is released first."""
        try:
            return ledger.recovered(epoch)
        except LedgerUnavailable as reason:
            if reason.detail != _NO_SCHEMA:
                raise
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - then all of it is worked off once more
            mistakes.add(mistake)
        return {}


class _Run:
    """One run over all shards: what its threads share."""

    def __init__(self, recovery: Recovery, epoch: int, until: Instant, since: datetime | None = None) -> None:
        self.done = Recovered()
        self.bookmarks: Mapping[str, str] = {}
        self._recovery = recovery
        self._epoch = epoch
        self._until = until
        self._since = since
        self._alone = Lock()
        self._ends = False  # for all shards, once one of them met what ends the work for now

    def work_off(self) -> None:
        """Every shard; then raises what ended one of them early, if anything did."""
        self.done.complete = True
        errors = [error for error in self._recovery.each(self._shard, shards()) if error is not None]
        if errors:
            raise errors[0]

    def _shard(self, shard: str) -> Exception | None:
        ledger = self._recovery.ledger()
        posting = Posting(self._recovery.work, ledger, self._held, Mistakes())
        marking = Mistakes()  # a bookmark that cannot be written keeps nothing from being posted
        through, error = False, None
        try:
            through = self._pages(shard, posting, lambda after: self._mark(ledger, shard, after, marking))
        except NOT_NOW as not_now:
            error = not_now
        with self._alone:
            self._ends = self._ends or not through
            self.done.complete = self.done.complete and through and not posting.mistakes.general
            self.done.posted += posting.posted
            self.done.mistakes.include(posting.mistakes)
            self.done.mistakes.include(marking)
        return error

    def _pages(self, shard: str, posting: Posting, mark: Callable[[str], None]) -> bool:
        """Whether the shard was worked off to its end. A bookmark stays before the last page: what is
        accepted later is found there, too. And before the first that could not be worked off: the next run
        would pass it over, and say that all was posted.
        """
        at = done = marked = self.bookmarks.get(shard)
        pages = 0
        through = False
        while not through and not self._over():
            page = self._page(shard, at, posting.mistakes)
            posting.work_off(page.ids)
            through, at, pages = page.after is None, page.after or at, pages + 1
            done = at if not posting.mistakes.general else done
            if done is not None and done != marked and pages % PAGES_A_BOOKMARK == 0:
                mark(done)
                marked = done
        if done is not None and done != marked:
            mark(done)
        return through

    def _page(self, shard: str, at: str | None, mistakes: Mistakes) -> Ids:
        """A shard that cannot be read by a mistake is left, for the next one: not all was posted then."""
        try:
            return self._recovery.work.page(shard, at, self._recovery.page, since=self._since)
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - the other shards are worked on all the same
            if at is not None and at == self.bookmarks.get(shard):
                return self._page(shard, None, mistakes)  # the bookmark may be the mistake
            mistakes.add(mistake)
            return Ids((), None)

    def _mark(self, ledger: TakenOverLedger, shard: str, after: str, mistakes: Mistakes) -> None:
        try:
            ledger.mark_recovered(self._epoch, shard, after)
        except LedgerUnavailable as reason:
            if reason.detail != _NO_SCHEMA:
                raise
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - what was posted stays posted
            mistakes.add(mistake)

    def _over(self) -> bool:
        return self._ends or self._recovery.clock.now().reached(self._until)

    def _held(self) -> int:
        """The lease's own epoch, which a ledger compares with its fence; not another takeover's."""
        with self._alone:
            lease = self._recovery.leases.hold(patience=0)
        if lease.epoch != self._epoch:
            raise NotActive
        return lease.epoch
