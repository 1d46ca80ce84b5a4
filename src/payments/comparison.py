"""What is wrong between journal and ledger, one payment at a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from payments.idempotency import fingerprint
from payments.journal import JournalEntry, shard
from payments.model import Entry, Money, Payment, entries
from payments.ports import Booked

YOUNG: Final = timedelta(minutes=5)  # what is this young may be on its way to the ledger


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind` is for logs and operators; it holds nothing of what was paid."""

    payment_id: str
    kind: str


def entry_differences(entry: JournalEntry, posted: Payment | None, now: datetime) -> tuple[str, ...]:
    """What is wrong with an entry, or between it and the row that the ledger was seen to have later."""
    kinds: list[str] = []
    if entry.open not in (None, shard(entry.payment_id)):
        kinds.append("is in a shard of the work list where nobody looks for it")
    if entry.request is not None and fingerprint(entry.request) != entry.fingerprint:
        kinds.append("the journal's request is not what its fingerprint says")
    if posted is None:
        if entry.open is None:
            kinds.append("is settled, but not in the ledger")
        elif abs(now - entry.accepted_at) >= YOUNG:
            kinds.append("is not in the ledger")
        return tuple(kinds)
    kinds += (f"journal and ledger differ in {name}" for name in _differing(entry, posted))
    return tuple(kinds)


def _differing(entry: JournalEntry, posted: Payment) -> list[str]:
    """Where the journal's request was removed, its fingerprint still says what the ledger's must be."""
    pairs: dict[str, tuple[object, object]] = {
        "fingerprint": (entry.fingerprint, posted.fingerprint),
        "accepted_at": (entry.accepted_at, posted.accepted_at),
    }
    if entry.request is None:
        pairs["request"] = (entry.fingerprint, fingerprint(posted.request))
    else:
        mine, theirs = _fields(entry.payment), _fields(posted)
        pairs |= {name: (mine[name], theirs[name]) for name in mine}
    return [name for name, (mine_, theirs_) in pairs.items() if mine_ != theirs_]


def _fields(payment: Payment) -> dict[str, object]:
    request = payment.request
    return {
        "merchant_id": request.merchant_id,
        "amount": request.money.amount,
        "currency": request.money.currency,
        "debtor": request.debtor,
        "creditor": request.creditor,
        "reference": request.reference,
    }


def row_differences(row: Booked) -> tuple[str, ...]:
    """What is wrong with the lines of a payment: they sum to zero and are those of its double entry."""
    if not _balanced(row.lines):
        return ("its lines do not balance",)
    if row.lines != entries(row.payment.request):
        return ("its lines are not those of the payment",)
    return ()


def _balanced(lines: Collection[Entry]) -> bool:
    sums: dict[str, Money] = {}
    for line in lines:
        currency = line.money.currency
        sums[currency] = sums.get(currency, Money(0, currency)) + line.money
    return not any(money.amount for money in sums.values())
