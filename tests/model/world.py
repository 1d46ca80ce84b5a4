"""The world of the exploration: one immutable, hashable value, small enough to be kept a million times.

Two regions, 0 and 1, with a database each; the witness only votes, so the strongly consistent tables are one
value. Whatever is large (a journal entry, a commit, an acknowledgement) is kept once and named by a number.
"""

from collections.abc import Hashable
from datetime import UTC, datetime
from functools import cache
from typing import Final, Generic, NamedTuple, TypeVar

from failover.clock import Instant
from failover.control import LEASE_SECONDS, ControlRecord
from payments.journal import JournalEntry
from payments.model import Payment, entries
from payments.transaction_log import LedgerRow, Segment
from tests.model.replay import Call

REGIONS: Final = ("us-east-1", "us-east-2")
KEYS: Final = ("order-1", "order-2")  # what clients call their payments
NOBODY: Final = 2  # where a region's number is expected
_POSTED: Final = datetime(2026, 11, 22, tzinfo=UTC)
_START: Final = Instant(monotonic=1000.0, wall=1_795_000_000.0)

T = TypeVar("T", bound=Hashable)


class Kept(Generic[T]):
    """Values by number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._values: list[T] = []

    def number(self, value: T) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self._values)
            self._values.append(value)
        return found

    def __getitem__(self, number: int) -> T:
        return self._values[number]


class Row(NamedTuple):
    """A payment in a ledger, posted under `epoch`; `balance` is the sum of its lines."""

    payment: Payment
    epoch: int
    balance: int


class Commit(NamedTuple):
    """One transaction of a database: rows, or a raised fence."""

    rows: tuple[Row, ...] = ()
    fence: int = 0


RECORDS: Final[Kept[ControlRecord]] = Kept()
ENTRIES: Final[Kept[JournalEntry]] = Kept()
COMMITS: Final[Kept[Commit]] = Kept()
SEGMENTS: Final[Kept[Segment]] = Kept()
ACKNOWLEDGED: Final[Kept[Payment]] = Kept()
CALLS: Final[Kept[Call]] = Kept()

Database = tuple[int, ...]  # its commits, oldest first


class World(NamedTuple):
    """Everything that outlives a process."""

    control: int  # the control record
    journal: tuple[int, ...]  # its entries
    databases: tuple[Database, Database]  # each region's own
    writer: int  # the region whose cluster the global cluster calls its writer
    attached: bool  # whether the other cluster is its replica; if not, an old writer lives on in it
    bookmark: tuple[int, str] = (0, "")  # of the transaction log: its version and its content
    log: tuple[int, ...] = ()  # the transaction log: segments, in either region's bucket
    acknowledged: tuple[int, ...] = ()  # the payments that clients were promised
    under: int = 0  # the latest epoch that promised anything
    now: int = 0  # in leases
    in_flight: tuple[int, ...] = ()  # calls that nobody waits for any more and that may yet arrive
    cut_off: int = NOBODY  # a region that reaches nothing outside of it
    faults: int = 0  # how many more may happen
    closed: bool = False  # an account of the payments, by the directory


def record(world: World) -> ControlRecord:
    return RECORDS[world.control]


def instant(now: int) -> Instant:
    return _START.later(now * LEASE_SECONDS)


def row(payment: Payment, epoch: int) -> Row:
    return Row(payment, epoch, sum(line.money.amount for line in entries(payment.request)))


@cache
def rows(database: Database) -> tuple[Row, ...]:
    """In the order of their commits."""
    return tuple(row for number in database for row in COMMITS[number].rows)


@cache
def log_rows(database: Database) -> tuple[LedgerRow, ...]:
    """As the log has them: a transaction's number is its place."""
    return tuple(
        LedgerRow(txid, row.payment, row.epoch, _POSTED, entries(row.payment.request))
        for txid, number in enumerate(database, start=1)
        for row in sorted(COMMITS[number].rows, key=lambda row: row.payment.payment_id)
    )


@cache
def fence(database: Database) -> int:
    return max((COMMITS[number].fence for number in database), default=0)


@cache
def posted(database: Database) -> dict[str, Row]:
    return {row.payment.payment_id: row for row in rows(database)}


def find(world: World, payment_id: str) -> JournalEntry | None:
    for number in world.journal:
        if ENTRIES[number].payment_id == payment_id:
            return ENTRIES[number]
    return None


def with_entry(world: World, entry: JournalEntry) -> World:
    """Created or replaced; in one order, whichever came first."""
    others = [n for n in world.journal if ENTRIES[n].payment_id != entry.payment_id]
    journal = sorted([*others, ENTRIES.number(entry)], key=lambda n: ENTRIES[n].payment_id)
    return world._replace(journal=tuple(journal))


def committed(world: World, region: int, commit: Commit) -> World:
    database = (*world.databases[region], COMMITS.number(commit))
    return with_database(world, region, database)


def with_database(world: World, region: int, database: Database) -> World:
    east, west = world.databases
    return world._replace(databases=(database, west) if region == 0 else (east, database))
