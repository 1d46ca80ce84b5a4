"""What the payment domain needs from the world. Any method may raise `Unavailable`: the answer is unknown."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from failover.control import ControlRecord
from failover.writer import Member
from payments.journal import JournalEntry
from payments.model import Account, Entry, Merchant, Payment, Session


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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is stored under an id and makes no sense: a mistake to repair that may hold up nothing else."""

    payment_id: str
    mistake: Exception


@dataclass(frozen=True, slots=True)
class Entries:
    """Journal entries read together. Ids that the journal does not know are in neither."""

    entries: tuple[JournalEntry, ...]
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class Ids:
    """Part of the work list. `after` is opaque: what to go on with; None at the end."""

    ids: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many entries of a shard are open, counted up to a limit, and when the oldest was accepted."""

    count: int
    oldest: datetime | None


class WorkList(Protocol):
    """The open entries by shard, oldest first. The list lags behind the journal: an id may be missing for a
    while after its entry was put, and still be listed after it was settled.
    """

    def page(self, shard: str, after: str | None, limit: int, *, since: datetime | None = None) -> Ids:
        """At most `limit` ids, accepted at `since` or later; none may come although `after` is not None."""
        ...

    def backlog(self, shard: str, limit: int) -> Backlog: ...

    def read(self, ids: Collection[str]) -> Entries:
        """The entries themselves, settled or not: strongly consistent across regions."""
        ...

    def settle(self, payment_id: str) -> None:
        """Takes an entry off the list for good; again is nothing new."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the whole journal. `after` is opaque: what to go on with; None at the end."""

    entries: tuple[JournalEntry, ...]
    after: str | None
    unreadable: tuple[Unreadable, ...] = ()


class JournalScan(Protocol):
    """The whole journal, strongly consistent across regions, settled or not, in no particular order."""

    def scan(self, after: str | None, limit: int, *, segment: int, of: int) -> Page:
        """Part of one of so many segments, which are all of it together."""
        ...

    def read(self, ids: Collection[str]) -> Entries: ...

    def strip(self, payment_id: str) -> None:
        """Removes the request of a settled entry; an entry that is open stays as it is."""
        ...


class Ledger(Protocol):
    """Raises `LedgerUnavailable` when it cannot be used now; anything else it raises is a mistake of ours."""

    def post(self, payment: Payment, epoch: int) -> None:
        """In one transaction: compare `epoch` with the fence under a lock; insert what is not there yet."""
        ...

    def post_all(self, payments: Collection[Payment], epoch: int) -> int:
        """As `post` for each, but in one transaction: all or none. How many were not there yet."""
        ...

    def find(self, payment_id: str) -> Payment | None: ...

    def posted(self, ids: Collection[str]) -> frozenset[str]:
        """Which of them it has."""
        ...

    def raise_fence(self, epoch: int) -> None:
        """No older epoch posts from now on. Raises LedgerUnavailable where a later one was raised."""
        ...


@dataclass(frozen=True, slots=True)
class Booked:
    """A payment as the ledger has it, with its lines."""

    payment: Payment
    lines: tuple[Entry, ...]


class Books(Protocol):
    """The ledger as the audit reads it; raises as `Ledger` does."""

    def held(self, ids: Collection[str]) -> Mapping[str, Payment]: ...

    def rows(self, after: str, last: str | None, limit: int) -> tuple[Booked, ...]:
        """The first `limit` payments, by id, whose ids are greater than `after` and, if there is a `last`,
        not greater than that.
        """
        ...


class Replica(Protocol):
    """This region's copy of the ledger, read where readers are served. Raises as `Ledger` does."""

    def has(self, ids: Collection[str], epoch: int) -> frozenset[str]:
        """Which of them it has, as seen by one statement that also saw it to be a copy of the ledger of
        `epoch` (`payments.standby.is_copy`); else NotStandby.
        """
        ...


class GlobalCluster(Protocol):
    def members(self) -> Collection[Member]: ...


class Progress(Protocol):
    """Bookmarks of what runs in many steps. Strongly consistent across regions."""

    def read(self, key: str) -> Mapping[str, Any] | None: ...

    def write(self, key: str, value: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """Whether `value` stands now; not if the bookmark was changed since `expected` was read."""
        ...


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
