"""Posting what of the work list the ledger lacks, under the epoch of the poster's own lease."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from payments.errors import LedgerUnavailable, NotActive, NotSteady, Unavailable
from payments.journal import JournalEntry
from payments.listing import batches
from payments.mistakes import Mistakes
from payments.model import Payment
from payments.ports import Ledger, WorkList

BATCH: Final = 100  # what one BatchGetItem reads, and a transaction of about 20 ms
# What ends the work for now; anything else is a mistake, and holds up nothing but what it is about.
NOT_NOW = (LedgerUnavailable, NotActive, NotSteady, Unavailable)


@dataclass(slots=True)
class Posting:
    """`epoch` holds the lease again before each batch, and raises when there is none to post under."""

    work: WorkList
    ledger: Ledger
    epoch: Callable[[], int]
    mistakes: Mistakes
    posted: int = 0
    _broken: set[str] = field(default_factory=set)  # told once, and left to the next run

    def work_off(self, ids: Collection[str]) -> None:
        """As many as may come: the ledger is asked for all at once, and posts batches of what it lacks."""
        wanted = [payment_id for payment_id in ids if payment_id not in self._broken]
        if not wanted:
            return
        try:
            missing = set(wanted) - self.ledger.posted(wanted)
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - the next ids are worked off all the same
            self.mistakes.add(mistake)
            return
        for batch in batches(sorted(missing), BATCH):
            self._work_off(batch)

    def _work_off(self, missing: Collection[str]) -> None:
        try:
            self._post(self._payments(missing))
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - the next batch is worked off all the same
            self.mistakes.add(mistake)

    def _payments(self, ids: Collection[str]) -> list[Payment]:
        """Of the entries that are still open: the list lags behind."""
        found = self.work.read(ids)
        known = {entry.payment_id for entry in found.entries}
        for unreadable in found.unreadable:
            known.add(unreadable.payment_id)
            self._tell(unreadable.mistake, unreadable.payment_id)
        for payment_id in sorted(set(ids) - known):
            self._tell(LookupError("on the work list, yet not in the journal"), payment_id)
        return [
            payment
            for entry in found.entries
            if entry.open is not None and (payment := self._payment(entry)) is not None
        ]

    def _payment(self, entry: JournalEntry) -> Payment | None:
        try:
            return entry.payment
        except ValueError as mistake:
            self._tell(mistake, entry.payment_id)
            return None

    def _post(self, payments: Sequence[Payment]) -> None:
        """As a batch, or by halves where one of them is a mistake: it holds up none of the others."""
        if not payments:
            return
        try:
            self.posted += self.ledger.post_all(payments, self.epoch())
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - told of the payment it belongs to
            if len(payments) == 1:
                self._tell(mistake, payments[0].payment_id)
                return
            middle = len(payments) // 2
            self._post(payments[:middle])
            self._post(payments[middle:])

    def _tell(self, mistake: Exception, payment_id: str) -> None:
        self._broken.add(payment_id)
        self.mistakes.add(mistake, payment_id)
