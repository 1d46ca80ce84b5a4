"""The rules taken away, one at a time and each in one place, by substitution."""

from collections.abc import Collection

from failover.clock import Instant
from failover.control import Phase
from failover.planner import Unknown
from payments.errors import LedgerUnavailable, NotFound, Refused
from payments.journal import JournalEntry
from payments.lease import FENCING_PATIENCE_SECONDS, Lease
from payments.model import Payment, Status
from payments.outcome import Outcome
from tests.model.ports import AskedClock, AskedLedger, ToldLeases
from tests.model.processes import AskedWorld, Environment
from tests.model.replay import Ask, Raised
from tests.model.services import Effect, Services
from tests.model.world import ENTRIES, REGIONS, Database, World, find, record, with_entry


class EntriesAreReplaced(Services):
    """Without rule 2: an entry is not created once, but again by whoever puts it."""

    def journal_put(self, world: World, _region: int, entry: JournalEntry) -> Effect:
        return with_entry(world, entry), entry, ""


class SettledEntriesAreDeleted(Services):
    """Without rule 2: what is settled leaves the journal."""

    def journal_settle(self, world: World, _region: int, payment_id: str) -> Effect:
        kept = tuple(number for number in world.journal if ENTRIES[number].payment_id != payment_id)
        return world._replace(journal=kept), None, ""


class SettledWhenPosted(Services):
    """Without rule 3: that the writer has the row is enough to settle it."""

    def replica_has(self, world: World, region: int, ids: Collection[str], epoch: int) -> Effect:
        return self.ledger_posted(world, world.writer, ids)


class OldWriterIsBelieved(Services):
    """Without rule 3: what a failover left behind passes for a replica, by its readers."""

    def cluster_members(self, world: World, region: int) -> Effect:
        _, members, _ = super().cluster_members(world._replace(attached=True), region)
        return world, members, ""

    def replica_has(self, world: World, region: int, ids: Collection[str], _epoch: int) -> Effect:
        return self.ledger_posted(world, region, ids)


class ShippedWhenPosted(Services):
    """Without rule 10: the log is made of the writer's rows."""

    def shipped_from(self, world: World, _region: int) -> Database:
        return world.databases[world.writer]


class EpochOfTheEntry(Services):
    """Without rule 4: a payment is posted under the epoch it was accepted under, not under its poster's."""

    def ledger_post_all(self, world: World, region: int, payments: Collection[Payment], epoch: int) -> Effect:
        held = (find(world, payment.payment_id) for payment in payments)
        accepted = min((entry.epoch for entry in held if entry is not None), default=epoch)
        return super().ledger_post_all(world, region, payments, accepted)


class NoFence(Services):
    """Without rule 4: a post is not compared with the fence."""

    def behind_fence(self, _database: Database, _epoch: int) -> bool:
        return False


class RefusedWithoutAsking(Services):
    """Without rule 8: what an account's closing refuses now, it refuses a retry, too."""

    def journal_find(self, world: World, _region: int, _payment_id: str) -> Effect:
        return world, None, ""


class SweptWithoutFence(Services):
    """Without rule 4: who finds the ledger promoted again under a steady epoch does not see to its fence."""

    def ledger_raise_fence(self, world: World, region: int, epoch: int) -> Effect:
        if record(world).phase is Phase.STEADY:
            return world, None, ""
        return super().ledger_raise_fence(world, region, epoch)


class InFlight(Refused):
    """What some services answer to a retry."""


class RetriesAreRefused(Services):
    """Without rule 8: a retry does not join."""

    def journal_put(self, world: World, region: int, entry: JournalEntry) -> Effect:
        if find(world, entry.payment_id) is not None:
            return world, Raised(InFlight), ""
        return super().journal_put(world, region, entry)


def found_in_ledger_only(environment: Environment, payment_id: str) -> Outcome:
    """Without rule 9: the journal is not asked."""
    environment.leases.hold()
    try:
        payment = AskedLedger(environment.ask).find(payment_id)
    except LedgerUnavailable:
        raise NotFound from None
    if payment is None:
        raise NotFound
    return Outcome(payment, Status.POSTED)


class EverlastingLeases(ToldLeases):
    """Without rule 9, or 5: a lease that was held once is never asked for again."""

    _held: Lease | None = None

    def hold(self, *, patience: float = FENCING_PATIENCE_SECONDS) -> Lease:
        if self._held is None:
            self._held = super().hold(patience=patience)
        else:
            self._ask("handler.starts", self._held.epoch)
        return self._held


class HastyClock(AskedClock):
    """Without rule 6: no lease is waited for after fencing."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._slept = 0.0

    def now(self) -> Instant:
        return super().now().later(self._slept)

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


class DatabaseIsBelieved(AskedWorld):
    """Without rule 7: the database of the region is asked whether it is the writer, and says so."""

    def writer(self) -> str | Unknown:
        return REGIONS[self.region]
