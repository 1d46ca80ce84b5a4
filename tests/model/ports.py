"""The domain's ports, asked from one region of the exploration: every method is one call of the process."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from failover.clock import Instant
from failover.control import ControlRecord
from failover.writer import Member
from payments.idempotency import payment_id
from payments.journal import JournalEntry, shard
from payments.lease import FENCING_PATIENCE_SECONDS, Lease, Leases
from payments.model import Account, Merchant, Payment, Session, Standing
from payments.ports import Backlog, Entries, Ids, Parties
from payments.ship import LogPage
from payments.transaction_log import Position, Segment
from tests.model.replay import Ask, Late
from tests.model.world import KEYS, REGIONS

MERCHANT: Final = "shop"
TOKEN: Final = "ses_token"
_FOR_EVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_PARTIES: Final = Parties(
    Merchant(MERCHANT, MERCHANT, Standing.OPEN, ""),
    {name: Account(name, "USD", Standing.OPEN) for name in ("alice", "bob")},
)

_CLOSED: Final = replace(
    _PARTIES, accounts={**_PARTIES.accounts, "alice": Account("alice", "USD", Standing.CLOSED)}
)
_SHARDS: Final = {shard(payment_id(MERCHANT, key)) for key in KEYS}


class NothingToRefuse:
    """Sessions, and the directory of who only reads: what fails in them stores nothing."""

    def put(self, session: Session) -> None:
        raise NotImplementedError

    def find(self, token_hash: str) -> Session:
        return Session(token_hash, MERCHANT, _FOR_EVER)

    def merchant(self, _merchant_id: str) -> Merchant | None:
        return _PARTIES.merchant

    def parties(self, _merchant_id: str, _account_ids: Collection[str]) -> Parties:
        return _PARTIES


@dataclass(frozen=True, slots=True)
class AskedDirectory:
    """An account of the payment may have been closed by now."""

    ask: Ask

    def merchant(self, _merchant_id: str) -> Merchant | None:
        return _PARTIES.merchant

    def parties(self, _merchant_id: str, _account_ids: Collection[str]) -> Parties:
        return _CLOSED if self.ask("directory.closed") else _PARTIES


@dataclass(frozen=True, slots=True)
class StandingClock:
    """For work in which no time passes that anything depends on."""

    instant: Instant

    def now(self) -> Instant:
        return self.instant

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class AskedClock:
    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    def now(self) -> Instant:
        now: Instant = self.ask("clock.now")
        return now

    def sleep(self, seconds: float) -> None:
        self.ask("clock.awake", *self.ask("clock.sleep", seconds))


@dataclass(frozen=True, slots=True)
class AskedControl:
    ask: Ask
    look: str = "control.read"

    def read(self) -> ControlRecord:
        """The answer may be on its way for longer than a lease."""
        answer = self.ask(self.look)
        if isinstance(answer, Late):
            self.ask("clock.awake", answer.until, None)
            answer = answer.answer
        record: ControlRecord = answer
        return record


@dataclass(frozen=True, slots=True)
class AskedJournal:
    """The journal and its work list."""

    ask: Ask

    def put(self, entry: JournalEntry) -> JournalEntry:
        held: JournalEntry = self.ask("journal.put", entry)
        return held

    def find(self, payment_id: str) -> JournalEntry | None:
        held: JournalEntry | None = self.ask("journal.find", payment_id)
        return held

    def page(self, shard: str, after: str | None, limit: int, *, since: datetime | None = None) -> Ids:
        if shard not in _SHARDS:
            return Ids((), None)  # always, here
        ids: Ids = self.ask("journal.page", shard, after, limit, since)
        return ids

    def backlog(self, _shard: str, _limit: int) -> Backlog:
        return Backlog(0, None)  # only reported

    def read(self, ids: Collection[str]) -> Entries:
        entries: Entries = self.ask("journal.read", tuple(sorted(ids)))
        return entries

    def settle(self, payment_id: str) -> None:
        self.ask("journal.settle", payment_id)


@dataclass(frozen=True, slots=True)
class AskedLedger:
    """The ledger in this region's own cluster."""

    ask: Ask

    def post(self, payment: Payment, epoch: int) -> None:
        self.ask("ledger.post_all", (payment,), epoch)

    def post_all(self, payments: Collection[Payment], epoch: int) -> int:
        return int(self.ask("ledger.post_all", tuple(payments), epoch))

    def find(self, payment_id: str) -> Payment | None:
        payment: Payment | None = self.ask("ledger.find", payment_id)
        return payment

    def posted(self, ids: Collection[str]) -> frozenset[str]:
        there: frozenset[str] = self.ask("ledger.posted", tuple(sorted(ids)))
        return there

    def raise_fence(self, epoch: int) -> None:
        self.ask("ledger.raise_fence", epoch)

    def recovered(self, _epoch: int) -> Mapping[str, str]:
        return {}  # all that is open fits one page

    def mark_recovered(self, _epoch: int, _shard: str, _after: str) -> None:
        raise NotImplementedError

    def unbalanced(self, _newest: int) -> Collection[str]:
        return ()  # an invariant, checked in every state


@dataclass(frozen=True, slots=True)
class AskedReplica:
    """The copy of the ledger in this region, where readers are served."""

    ask: Ask

    def has(self, ids: Collection[str], epoch: int) -> frozenset[str]:
        there: frozenset[str] = self.ask("replica.has", tuple(sorted(ids)), epoch)
        return there


@dataclass(frozen=True, slots=True)
class AskedCluster:
    ask: Ask
    look: str = "cluster.members"

    def members(self) -> Collection[Member]:
        members: Collection[Member] = self.ask(self.look)
        return members

    def promote(self, *, lossy: bool) -> None:
        self.ask("cluster.promote", lossy)


class NoBookmarks:
    """Where a walk stands is not worth exploring: a bookmark that is lost costs a walk, nothing else."""

    def read(self, _key: str) -> Mapping[str, Any] | None:
        return None

    def write(self, _key: str, _value: Mapping[str, Any], _expected: Mapping[str, Any] | None) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class AskedLog:
    """What shipping needs: its bookmark, the copy of the ledger in the order of the log, and the buckets."""

    ask: Ask

    def read(self, _key: str) -> Mapping[str, Any] | None:
        version, text = self.ask("log.read_bookmark")
        return {**json.loads(text), "version": version} if version else None

    def write(self, _key: str, value: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        kept = {name: each for name, each in value.items() if name != "version"}
        before = 0 if expected is None else expected["version"]
        return bool(self.ask("log.write_bookmark", json.dumps(kept, sort_keys=True), before))

    def page(self, epoch: int, after: Position, through: Position | None, limit: int) -> LogPage:
        page: LogPage = self.ask("replica.log_page", epoch, after, through, limit)
        return page

    def waiting_since(self, _epoch: int, _after: Position) -> datetime | None:
        return None  # only reported

    def put(self, segment: Segment) -> None:
        self.ask("log.put", segment)


class ToldLeases(Leases):
    """The real leases, which also tell when a handler starts, and under which epoch."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(AskedControl(ask), REGIONS[ask.region], AskedClock(ask))
        self._ask = ask
        self.epoch = 0

    def hold(self, *, patience: float = FENCING_PATIENCE_SECONDS) -> Lease:
        lease = super().hold(patience=patience)
        self.epoch = lease.epoch
        self._ask("handler.starts", lease.epoch)
        return lease
