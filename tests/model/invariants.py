"""What must hold in every state, and where every state must lead once nothing fails any more."""

from failover.control import Phase
from payments.journal import JournalEntry
from payments.model import Payment
from payments.transaction_log import FIRST, whole_segment
from tests.model.services import Broken
from tests.model.world import (
    ACKNOWLEDGED,
    COMMITS,
    ENTRIES,
    REGIONS,
    SEGMENTS,
    Database,
    World,
    find,
    log_rows,
    posted,
    record,
    rows,
)


def check(world: World) -> None:
    """Raises Broken. What concerns single answers is checked where they are given: `Services.client_...`."""
    _nothing_acknowledged_is_lost(world)
    for database in world.databases:
        _ledger_is_sound(world, database)
    _fence_holds(world.databases[world.writer])
    _log_is_prefix(world)


def _nothing_acknowledged_is_lost(world: World) -> None:
    ledger = posted(world.databases[world.writer])
    promised: set[str] = set()
    for payment in (ACKNOWLEDGED[number] for number in world.acknowledged):
        if payment.payment_id in promised:
            raise Broken("one key has two outcomes: two different payments were acknowledged")
        promised.add(payment.payment_id)
        entry = find(world, payment.payment_id)
        if entry is None and payment.payment_id not in ledger:
            raise Broken("an acknowledged payment is lost: neither journal nor ledger has it")
        if entry is not None and not _same(entry, payment):
            raise Broken("one key has two outcomes: the journal holds another payment than was acknowledged")


def _same(entry: JournalEntry, payment: Payment) -> bool:
    return (entry.fingerprint, entry.accepted_at) == (payment.fingerprint, payment.accepted_at)


def _ledger_is_sound(world: World, database: Database) -> None:
    seen: set[str] = set()
    for row in rows(database):
        payment = row.payment
        if payment.payment_id in seen:
            raise Broken("a payment is in the ledger twice")
        seen.add(payment.payment_id)
        entry = find(world, payment.payment_id)
        if entry is None and ACKNOWLEDGED.number(payment) not in world.acknowledged:
            raise Broken("the ledger has a payment that the journal did not decide")
        if entry is not None and not _same(entry, payment):
            raise Broken("the ledger has another payment than the journal decided")
        if row.balance != 0:
            raise Broken("the books do not balance")


def _fence_holds(surviving: Database) -> None:
    fence = 0
    for number in surviving:
        commit = COMMITS[number]
        fence = max(fence, commit.fence)
        if any(row.epoch < fence for row in commit.rows):
            raise Broken("the surviving ledger was posted to under an epoch older than its fence")


def _log_is_prefix(world: World) -> None:
    """Segment by segment what the product itself would write of the ledger's first rows."""
    rows, end = log_rows(world.databases[world.writer]), FIRST
    for segment in (SEGMENTS[number] for number in world.log):
        if len(rows) < segment.rows or whole_segment(end, rows[: segment.rows]) != segment:
            raise Broken("the transaction log holds what the ledger does not begin with")
        rows, end = rows[segment.rows :], segment.end


def check_end(world: World) -> None:
    """Raises Broken unless this is where the system has to arrive."""
    now = record(world)
    ledger = posted(world.databases[world.writer])
    if now.phase is not Phase.STEADY:
        raise Broken(f"the system stays in phase {now.phase.value}")
    if REGIONS[world.writer] != now.active:
        raise Broken("the active region's database is not the writer")
    for payment in (ACKNOWLEDGED[number] for number in world.acknowledged):
        if ledger.get(payment.payment_id) is None:
            raise Broken("an acknowledged payment is lost: it is not posted")
    for entry in (ENTRIES[number] for number in world.journal):
        if entry.payment_id not in ledger:
            raise Broken("the ledger lacks a payment of the journal")
        if entry.open is not None:
            raise Broken("an entry that both ledgers have is not settled")
    if sum(SEGMENTS[number].rows for number in world.log) != len(ledger):
        raise Broken("the transaction log lacks rows that both ledgers have")
