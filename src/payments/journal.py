"""A journal entry: the decision that a payment will happen, made once and never taken back."""

import hashlib
from dataclasses import dataclass

from payments.model import Payment

SHARDS = 16


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`epoch` is the lease it was accepted under; `open` is its shard of the work list, None once settled."""

    payment: Payment
    epoch: int
    open: str | None


def shard(payment_id: str) -> str:
    """Spreads the work list over partitions: "00" to "0f"."""
    return f"{hashlib.sha256(payment_id.encode()).digest()[0] % SHARDS:02x}"


def new_entry(payment: Payment, epoch: int) -> JournalEntry:
    return JournalEntry(payment, epoch, shard(payment.payment_id))
