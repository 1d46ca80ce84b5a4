"""A payment's whole life behind the API, over tables in an embedded DynamoDB, PostgreSQL and a copy of it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from adapters.journal import DynamoJournal
from adapters.ledger import PostgresLedger
from adapters.progress import DynamoProgress
from failover.clock import Clock, SystemClock
from failover.control import Phase
from lab.postgres import Server
from payments.audit import Audited, Auditor
from payments.comparison import Difference
from payments.journal import new_entry, shard
from payments.lease import Leases
from payments.recover import Recovered, Recovery
from payments.settle import Settled, Settler
from payments.standby import Standby
from payments.sweep import Sweeper, Swept
from tests.unit.adapters.conftest import EmbeddedAws, database
from tests.unit.adapters.fakes import FakeSecretsManager
from tests.unit.adapters.test_ledger import ledger_at, manager, payment, rows
from tests.unit.adapters.test_tables import client, journal
from tests.unit.payments.fakes import HERE, THERE, FakeControl, record
from tests.unit.payments.test_settle import MINE, FakeClusters

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["client", "journal", "manager"]  # fixtures
YEARS = timedelta(days=800)


class Regions:
    """The active region's ledger, the standby's copy of it, and the tables both share."""

    def __init__(
        self,
        journal: DynamoJournal,
        progress: DynamoProgress,
        connect: Callable[[], PostgresLedger],
        copy: PostgresLedger,
    ) -> None:
        self.journal = journal
        self.progress = progress
        self.writer = connect()
        self.copy = copy
        self._connect = connect
        self._own = threading.local()
        self.clock: Clock = SystemClock()
        self.told: list[Difference] = []
        self.pool = ThreadPoolExecutor(4)

    def writers(self) -> PostgresLedger:
        """The calling thread's own."""
        if not hasattr(self._own, "ledger"):
            self._own.ledger = self._connect()
        found: PostgresLedger = self._own.ledger
        return found

    def recover(self, epoch: int) -> Recovered:
        return Recovery(
            leases=Leases(FakeControl(record(phase=Phase.RECOVERING, epoch=epoch)), HERE, self.clock),
            work=self.journal,
            ledger=self.writers,
            clock=self.clock,
            each=self.pool.map,
            page=10,
        ).run(epoch, self.clock.now().later(30))

    def sweep(self) -> Swept:
        return Sweeper(
            region=HERE,
            leases=Leases(FakeControl(), HERE, self.clock),
            work=self.journal,
            ledger=self.writer,
            progress=self.progress,
            clock=self.clock,
        ).run(self.clock.now().later(4))

    def settle(self) -> Settled:
        return Settler(
            standby=Standby(FakeControl(record(active=THERE)), FakeClusters(), HERE, MINE.cluster),
            work=self.journal,
            replica=self.copy,
            clock=self.clock,
            each=self.pool.map,
        ).run(self.clock.now().later(30))

    def audit(self) -> Audited:
        return Auditor(
            leases=Leases(FakeControl(), HERE, self.clock),
            journal=self.journal,
            books=self.writers,
            progress=self.progress,
            clock=self.clock,
            retention_days=400,
            tell=self.told.extend,
            each=self.pool.map,
            page=10,
        ).run(self.clock.now().later(60))


@pytest.fixture
def regions(
    client: "DynamoDBClient",
    embedded_aws: EmbeddedAws,
    journal: DynamoJournal,
    replica: Server,
    server: Server,
    manager: FakeSecretsManager,
) -> Iterator[Regions]:
    rows(server, "DELETE FROM ledger.entry")
    rows(server, "DELETE FROM ledger.payment")  # of other tests: the audit reads everything
    table = f"table-{uuid4().hex}"
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    made: list[PostgresLedger] = []

    def connect() -> PostgresLedger:
        made.append(ledger_at(database(server), manager))
        return made[-1]

    copy = ledger_at(database(replica), manager)
    regions = Regions(journal, DynamoProgress(client, table), connect, copy)
    yield regions
    regions.pool.shutdown()
    for one in (copy, *made):
        one.close()
    rows(server, "UPDATE ledger.fence SET epoch = 0")
    rows(server, "DELETE FROM ledger.recovery")
    client.delete_table(TableName=table)


def test_what_was_accepted_is_posted_settled_compared_and_in_the_end_let_go(
    regions: Regions, server: Server
) -> None:
    recent = [payment() for _ in range(130)]
    old = [replace(payment(), accepted_at=datetime.now(UTC).replace(microsecond=0) - YEARS) for _ in range(5)]
    accepted = [replace(each, accepted_at=_milliseconds(each.accepted_at)) for each in (*recent, *old)]
    for each in accepted:
        regions.journal.put(new_entry(each, 1))
    ids = {each.payment_id for each in accepted}

    swept = regions.sweep()
    assert (swept.posted, swept.stopped, swept.mistakes.count) == (135, "", 0)
    assert regions.writer.posted(ids) == ids
    assert rows(server, "SELECT count(*), sum(amount) FROM ledger.entry") == [(270, 0)]

    settled = 0
    give_up = time.monotonic() + 20
    while settled < len(ids) and time.monotonic() < give_up:
        settled += regions.settle().settled  # as far as the copy has got
    assert settled == len(ids)
    assert not any(regions.journal.page(shard(each), None, 500).ids for each in ids)

    audited = regions.audit()
    assert (audited.compared, audited.finished, audited.stripped) == (135, True, 5)
    assert regions.told == []
    for each in old:
        entry = regions.journal.find(each.payment_id)
        assert entry is not None
        assert (entry.request, entry.fingerprint) == (None, each.fingerprint)
    assert regions.sweep().posted == 0


def test_a_takeover_posts_what_is_open_several_shards_at_a_time_and_again_nothing(
    regions: Regions, server: Server
) -> None:
    accepted = [payment() for _ in range(400)]
    for each in accepted:
        regions.journal.put(new_entry(replace(each, accepted_at=_milliseconds(each.accepted_at)), 1))
    recovered = regions.recover(2)
    assert (recovered.posted, recovered.complete, recovered.mistakes.count) == (400, True, 0)
    assert rows(server, "SELECT count(*), sum(amount) FROM ledger.entry") == [(800, 0)]
    assert rows(server, "SELECT DISTINCT epoch FROM ledger.payment") == [(2,)]
    assert set(regions.writer.recovered(2)) == {shard(each.payment_id) for each in accepted}
    again = regions.recover(2)
    assert (again.posted, again.complete) == (0, True)


def test_a_row_that_nobody_accepted_and_one_that_was_changed_are_named(
    regions: Regions, server: Server
) -> None:
    forged, changed = payment(), payment()
    changed = replace(changed, accepted_at=_milliseconds(changed.accepted_at))
    regions.journal.put(new_entry(changed, 1))
    regions.sweep()
    regions.writer.post(forged, 1)
    rows(server, "UPDATE ledger.payment SET amount = 1 WHERE payment_id = %s", changed.payment_id)
    assert regions.audit().finished
    assert {(each.payment_id, each.kind) for each in regions.told} == {
        (forged.payment_id, "was posted, but never accepted"),
        (changed.payment_id, "journal and ledger differ in amount"),
        (changed.payment_id, "its lines are not those of the payment"),
    }


def _milliseconds(moment: datetime) -> datetime:
    """As the journal stores it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
