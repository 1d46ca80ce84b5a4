"""Finishing a takeover in the ledger: older epochs are kept out, and what the journal holds is brought in."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from failover.clock import Clock, Instant
from payments.errors import NotActive
from payments.journal import shards
from payments.lease import Leases
from payments.listing import batches, listed
from payments.mistakes import Mistakes
from payments.ports import Ledger, WorkList
from payments.posting import Posting
from payments.sweep import BATCH, PAGE

MOST_CHECKED: Final = 10_000  # newest payments whose lines are added up; the daily audit does all


class TakenOverLedger(Ledger, Protocol):
    def raise_fence(self, epoch: int) -> None:
        """No older epoch posts from now on. Raises LedgerUnavailable where a later one was raised."""
        ...

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
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    leases: Leases
    work: WorkList
    ledger: TakenOverLedger
    clock: Clock

    def run(self, epoch: int, until: Instant) -> Recovered:
        """May be run again, and by two at once: what is posted stays posted.

        A payment that cannot be posted by a mistake of ours holds up neither the others nor the takeover: it
        stays on the list, and is told. Raises NotActive when another epoch was opened, LedgerUnavailable,
        Unavailable, and BooksDoNotBalance.
        """
        recovered = Recovered()
        self.ledger.raise_fence(epoch)
        posting = Posting(self.work, self.ledger, lambda: self._held(epoch), recovered.mistakes)
        for batch in batches(listed(self.work, shards(), PAGE, recovered.mistakes), BATCH):
            posting.work_off(batch)
            recovered.posted = posting.posted
            if self.clock.now().reached(until):
                return recovered
        if unbalanced := self.ledger.unbalanced(MOST_CHECKED):
            raise BooksDoNotBalance(f"{len(unbalanced)} payments, such as {min(unbalanced)}")
        recovered.complete = not recovered.mistakes.general
        return recovered

    def _held(self, epoch: int) -> int:
        """The lease's own epoch, which a ledger compares with its fence; not another takeover's."""
        lease = self.leases.hold(patience=0)
        if lease.epoch != epoch:
            raise NotActive
        return lease.epoch
