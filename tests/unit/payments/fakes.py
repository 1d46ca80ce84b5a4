"""In-memory stand-ins for everything the payment domain asks, with switches for what goes wrong."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from failover.clock import Instant
from failover.control import ControlRecord, Phase
from payments.errors import LedgerUnavailable, Unavailable
from payments.idempotency import fingerprint, payment_id
from payments.journal import JournalEntry, new_entry, shard
from payments.lease import Leases
from payments.model import (
    Account,
    Entry,
    Merchant,
    Money,
    Payment,
    PaymentRequest,
    Session,
    Standing,
    entries,
)
from payments.ports import Backlog, Booked, Entries, Ids, Page, Parties, Unreadable
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
    """The journal with its work list, which may lag behind: `unlisted` ids are not on it yet, `stale` ones
    still are. `before` runs before every call that works on the list, with the call's name.
    """

    entries: dict[str, JournalEntry] = field(default_factory=dict)
    down: bool = False
    answers_lost: int = 0
    unlisted: set[str] = field(default_factory=set)
    stale: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, Exception] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _call: None

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

    def page(self, shard: str, after: str | None, limit: int, *, since: datetime | None = None) -> Ids:
        self._answers("page")
        return _ids(self._listed(shard, since), after, limit)

    def backlog(self, shard: str, limit: int) -> Backlog:
        self._answers("backlog")
        listed = self._listed(shard, None)[:limit]
        return Backlog(len(listed), self.entries[listed[0][1]].accepted_at if listed else None)

    def read(self, ids: Collection[str]) -> Entries:
        self._answers("read")
        return Entries(*self._readable(ids))

    def settle(self, payment_id: str) -> None:
        self._answers("settle")
        self.entries[payment_id] = replace(self.entries[payment_id], open=None)

    def scan(self, after: str | None, limit: int, *, segment: int, of: int) -> Page:
        self._answers("scan")
        mine = [each for each in sorted(self.entries) if int(shard(each), 16) % of == segment]
        page = _ids([("", payment_id) for payment_id in mine], after, limit)
        entries, unreadable = self._readable(page.ids)
        return Page(entries, page.after, unreadable)

    def strip(self, payment_id: str) -> None:
        self._answers("strip")
        assert self.entries[payment_id].open is None
        self.entries[payment_id] = replace(self.entries[payment_id], request=None)

    def _answers(self, call: str) -> None:
        self.before(call)
        if self.down:
            raise Unavailable("journal")

    def _listed(self, shard: str, since: datetime | None) -> list[tuple[str, str]]:
        listed = [
            (entry.accepted_at, payment_id)
            for payment_id, entry in self.entries.items()
            if (entry.open or self.stale.get(payment_id)) == shard and payment_id not in self.unlisted
            if since is None or entry.accepted_at >= since
        ]
        return sorted((accepted_at.isoformat(), payment_id) for accepted_at, payment_id in listed)

    def _readable(self, ids: Collection[str]) -> tuple[tuple[JournalEntry, ...], tuple[Unreadable, ...]]:
        known = [payment_id for payment_id in ids if payment_id in self.entries]
        return (
            tuple(self.entries[payment_id] for payment_id in known if payment_id not in self.unreadable),
            tuple(Unreadable(each, self.unreadable[each]) for each in known if each in self.unreadable),
        )


def _ids(keys: list[tuple[str, str]], after: str | None, limit: int) -> Ids:
    """As DynamoDB pages: a full page may turn out to have been the last."""
    begin = (json.loads(after)[0], json.loads(after)[1]) if after is not None else ("", "")
    found = [key for key in keys if key > begin][:limit]
    return Ids(
        tuple(payment_id for _, payment_id in found),
        json.dumps(found[-1]) if len(found) == limit else None,
    )


@dataclass
class FakeProgress:
    bookmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: bool = False
    broken: Exception | None = None

    def read(self, key: str) -> Mapping[str, Any] | None:
        self._answers()
        return self.bookmarks.get(key)

    def write(self, key: str, value: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        self._answers()
        version = self.bookmarks.get(key, {}).get("version", 0)
        if version != (expected or {}).get("version", 0):
            return False
        self.bookmarks[key] = {**json.loads(json.dumps(value)), "version": version + 1}
        return True

    def _answers(self) -> None:
        if self.broken:
            raise self.broken
        if self.down:
            raise Unavailable("progress")


@dataclass
class FakeLedger:
    payments: dict[str, Payment] = field(default_factory=dict)
    booked: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    fence: int = 0
    down: str = ""
    broken: Exception | None = None
    poison: set[str] = field(default_factory=set)
    out_of_balance: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    bookmarks: dict[str, tuple[int, str]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _call: None

    def post(self, payment: Payment, epoch: int) -> None:
        self.post_all((payment,), epoch)

    def post_all(self, payments: Collection[Payment], epoch: int) -> int:
        self._answers("post_all")
        if epoch < self.fence:
            raise LedgerUnavailable("fenced")
        if any(payment.payment_id in self.poison for payment in payments):
            raise ValueError("a row that cannot be stored")
        before = len(self.payments)
        for payment in payments:
            if payment.payment_id not in self.payments:
                self.payments[payment.payment_id] = payment
                self.epochs[payment.payment_id] = epoch
                self.booked[payment.payment_id] = entries(payment.request)
        return len(self.payments) - before

    def raise_fence(self, epoch: int) -> None:
        self._answers("raise_fence")
        if epoch < self.fence:
            raise LedgerUnavailable("fenced")
        self.fence = epoch

    def recovered(self, epoch: int) -> Mapping[str, str]:
        self._answers("recovered")
        return {shard: after for shard, (marked, after) in self.bookmarks.items() if marked == epoch}

    def mark_recovered(self, epoch: int, shard: str, after: str) -> None:
        self._answers("mark_recovered")
        if epoch < self.fence:
            raise LedgerUnavailable("fenced")
        self.bookmarks[shard] = (epoch, after)

    def unbalanced(self, newest: int) -> tuple[str, ...]:
        self._answers("unbalanced")
        return tuple(self.out_of_balance)[:newest]

    def find(self, payment_id: str) -> Payment | None:
        self._answers("find")
        return self.payments.get(payment_id)

    def posted(self, ids: Collection[str]) -> frozenset[str]:
        self._answers("posted")
        return frozenset(ids) & self.payments.keys()

    @property
    def lines(self) -> list[Entry]:
        return [line for lines in self.booked.values() for line in lines]

    def held(self, ids: Collection[str]) -> Mapping[str, Payment]:
        self._answers("held")
        return {each: self.payments[each] for each in ids if each in self.payments}

    def rows(self, after: str, last: str | None, limit: int) -> tuple[Booked, ...]:
        self._answers("rows")
        ids = sorted(each for each in self.payments if after < each and (last is None or each <= last))[
            :limit
        ]
        return tuple(Booked(self.payments[each], self.booked[each]) for each in ids)

    def _answers(self, call: str) -> None:
        self.before(call)
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

    def __init__(self, region: str = HERE) -> None:
        self.clock = FakeClock()
        self.control = FakeControl()
        self.leases = Leases(self.control, region, self.clock)
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


def journalled(clock: FakeClock, key: str, *, age: float = 1.0, epoch: int = 1) -> JournalEntry:
    """An entry of a payment of the shop, accepted `age` seconds ago."""
    request = PaymentRequest("shop", Money(1250, "USD"), "alice", "bob", f"Invoice {key}")
    accepted_at = datetime.fromtimestamp(clock.wall - age, UTC)
    return new_entry(Payment(payment_id("shop", key), fingerprint(request), request, accepted_at), epoch)
