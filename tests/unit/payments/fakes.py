"""In-memory stand-ins for everything the payment domain asks, with switches for what goes wrong."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from failover.control import ControlRecord, Phase
from payments.clock import Instant
from payments.errors import LedgerUnavailable, Unavailable
from payments.journal import JournalEntry
from payments.lease import Leases
from payments.model import Account, Entry, Merchant, Payment, Session, Standing, entries
from payments.ports import Parties
from payments.sessions import secret_hash

HERE, THERE = "us-east-1", "us-east-2"
TOKEN, OTHER_TOKEN = "ses_token", "ses_other"
KEY = "merchant-key"
BODY = b'{"amount": 1250, "currency": "USD", "debtor": "alice", "creditor": "bob", "reference": "Invoice 7"}'


@dataclass
class FakeClock:
    monotonic: float = 1000.0
    wall: float = 1_795_000_000.0
    slept: float = 0.0

    def now(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def record(active: str = HERE, phase: Phase = Phase.STEADY, epoch: int = 1) -> ControlRecord:
    return ControlRecord(epoch, active, phase, datetime(2026, 11, 22, tzinfo=UTC), "test")


@dataclass
class FakeControl:
    record: ControlRecord = field(default_factory=record)
    down: bool = False
    reads: int = 0
    during_read: Callable[[], None] = lambda: None

    def read(self) -> ControlRecord:
        self.reads += 1
        self.during_read()
        if self.down:
            raise Unavailable("control")
        return self.record


@dataclass
class FakeJournal:
    entries: dict[str, JournalEntry] = field(default_factory=dict)
    down: bool = False
    answers_lost: int = 0

    def put(self, entry: JournalEntry) -> JournalEntry:
        if self.down:
            raise Unavailable("journal")
        held = self.entries.setdefault(entry.payment_id, entry)
        if self.answers_lost:
            self.answers_lost -= 1
            raise Unavailable("journal")
        return held

    def find(self, payment_id: str) -> JournalEntry | None:
        if self.down:
            raise Unavailable("journal")
        return self.entries.get(payment_id)


@dataclass
class FakeLedger:
    payments: dict[str, Payment] = field(default_factory=dict)
    lines: list[Entry] = field(default_factory=list)
    fence: int = 0
    down: str = ""
    broken: Exception | None = None

    def post(self, payment: Payment, epoch: int) -> None:
        self.post_all((payment,), epoch)

    def post_all(self, payments: Collection[Payment], epoch: int) -> int:
        self._answers()
        if epoch < self.fence:
            raise LedgerUnavailable("fenced")
        before = len(self.payments)
        for payment in payments:
            if payment.payment_id not in self.payments:
                self.payments[payment.payment_id] = payment
                self.lines += entries(payment.request)
        return len(self.payments) - before

    def find(self, payment_id: str) -> Payment | None:
        self._answers()
        return self.payments.get(payment_id)

    def posted(self, ids: Collection[str]) -> frozenset[str]:
        self._answers()
        return frozenset(ids) & self.payments.keys()

    def _answers(self) -> None:
        if self.broken:
            raise self.broken
        if self.down:
            raise LedgerUnavailable(self.down)


@dataclass
class FakeDirectory:
    merchants: dict[str, Merchant] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)

    def merchant(self, merchant_id: str) -> Merchant | None:
        return self.merchants.get(merchant_id)

    def parties(self, merchant_id: str, account_ids: Collection[str]) -> Parties:
        known = {name: self.accounts[name] for name in account_ids if name in self.accounts}
        return Parties(self.merchants.get(merchant_id), known)


@dataclass
class FakeSessions:
    sessions: dict[str, Session] = field(default_factory=dict)

    def put(self, session: Session) -> None:
        self.sessions[session.token_hash] = session

    def find(self, token_hash: str) -> Session | None:
        return self.sessions.get(token_hash)


class World:
    """One region's service, with two merchants who have sessions and a few accounts."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.control = FakeControl()
        self.leases = Leases(self.control, HERE, self.clock)
        self.journal = FakeJournal()
        self.ledger = FakeLedger()
        self.sessions = FakeSessions()
        self.directory = FakeDirectory()
        for merchant_id, token in (("shop", TOKEN), ("rival", OTHER_TOKEN)):
            self.directory.merchants[merchant_id] = Merchant(
                merchant_id, merchant_id, Standing.OPEN, secret_hash(KEY)
            )
            expires_at = datetime.fromtimestamp(self.clock.wall + 600, UTC)
            self.sessions.put(Session(secret_hash(token), merchant_id, expires_at))
        for account in (
            Account("alice", "USD", Standing.OPEN),
            Account("bob", "USD", Standing.OPEN, "rival"),
            Account("carol", "EUR", Standing.OPEN),
            Account("dave", "USD", Standing.CLOSED),
        ):
            self.directory.accounts[account.account_id] = account
