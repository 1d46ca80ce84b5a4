"""A journal entry: the decision that a payment will happen, made once and never taken back."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from payments.model import Payment, PaymentRequest

SHARDS: Final = 16


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`epoch` is the lease it was accepted under; `open` is its shard of the work list, None once settled.

    `request` is None once retention removed it: id and fingerprint stay, so the idempotency key is good for
    ever.
    """

    payment_id: str
    fingerprint: str
    request: PaymentRequest | None
    accepted_at: datetime
    epoch: int
    open: str | None

    @property
    def payment(self) -> Payment:
        """Raises ValueError for an entry whose request was removed: it says too little to be posted."""
        if self.request is None:
            raise ValueError(f"{self.payment_id}: its request was removed after the retention time")
        return Payment(self.payment_id, self.fingerprint, self.request, self.accepted_at)


def shard(payment_id: str) -> str:
    """Spreads the work list over partitions: "00" to "0f"."""
    return f"{hashlib.sha256(payment_id.encode()).digest()[0] % SHARDS:02x}"


def shards(first: int = 0) -> tuple[str, ...]:
    """All of them, in a circle from `first`: whoever may not get round begins elsewhere each time."""
    return tuple(f"{(first + step) % SHARDS:02x}" for step in range(SHARDS))


def new_entry(payment: Payment, epoch: int) -> JournalEntry:
    return JournalEntry(
        payment.payment_id,
        payment.fingerprint,
        payment.request,
        payment.accepted_at,
        epoch,
        shard(payment.payment_id),
    )
