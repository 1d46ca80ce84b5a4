"""What the payment domain needs from the world. Any method may raise `Unavailable`: the answer is unknown."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from failover.control import ControlRecord
from payments.journal import JournalEntry
from payments.model import Account, Merchant, Payment, Session


class Control(Protocol):
    def read(self) -> ControlRecord:
        """Strongly consistent across regions. A missing record is `Unavailable`, never "not active"."""
        ...


class Journal(Protocol):
    def put(self, entry: JournalEntry) -> JournalEntry:
        """Create the entry unless its payment id is taken; the entry the journal now holds, new or old."""
        ...

    def find(self, payment_id: str) -> JournalEntry | None:
        """Strongly consistent across regions."""
        ...


class Ledger(Protocol):
    """Raises `LedgerUnavailable` when it cannot be used now; anything else it raises is a mistake of ours."""

    def post(self, payment: Payment, epoch: int) -> None:
        """In one transaction: compare `epoch` with the fence under a lock; insert what is not there yet."""
        ...

    def has(self, payment_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Parties:
    """What the directory knows of those a payment names; who is not in it does not exist."""

    merchant: Merchant | None
    accounts: dict[str, Account]


class Directory(Protocol):
    def merchant(self, merchant_id: str) -> Merchant | None:
        """Strongly consistent, not cached: a rotated key counts at once."""
        ...

    def parties(self, merchant_id: str, account_ids: Collection[str]) -> Parties:
        """May be a few seconds old."""
        ...


class Sessions(Protocol):
    def put(self, session: Session) -> None: ...

    def find(self, token_hash: str) -> Session | None: ...
