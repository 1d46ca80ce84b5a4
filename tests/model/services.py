"""The in-memory adapters: what each call of a process does to the world, and what it answers.

A rule is removed by a subclass that breaks it in one place (`mutants.py`).
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from failover.control import LEASE_SECONDS, ControlRecord, Phase
from failover.errors import Unavailable
from failover.writer import Member
from payments.errors import LedgerUnavailable, LogDiverged, NotStandby
from payments.journal import JournalEntry
from payments.model import Payment, Status
from payments.ports import Entries, Ids
from payments.ship import LogPage
from payments.standby import is_copy
from payments.transaction_log import Position, Segment
from tests.model.replay import Call, Raised
from tests.model.world import (
    ACKNOWLEDGED,
    ENTRIES,
    NOBODY,
    RECORDS,
    REGIONS,
    SEGMENTS,
    Commit,
    Database,
    World,
    committed,
    fence,
    find,
    instant,
    log_rows,
    posted,
    record,
    row,
    with_database,
    with_entry,
)

Effect = tuple[World, Any, str]  # the world after it, the answer, and what to count it as

_CHANGED: Final = datetime(2026, 11, 22, tzinfo=UTC)
_NEXT: Final = {Phase.FENCING: Phase.RECOVERING, Phase.RECOVERING: Phase.STEADY}
_OUT_OF_REACH: Final = Raised(Unavailable, "out of reach")
_NO_ANSWER: Final = dict.fromkeys(("ledger", "replica"), Raised(LedgerUnavailable, "unreachable"))


class Broken(Exception):  # noqa: N818 - an invariant is
    """An invariant does not hold."""


def no_answer(call: Call) -> Raised:
    """What a process sees of a call that failed on its way there or back."""
    return _NO_ANSWER.get(call.to.partition(".")[0], _OUT_OF_REACH)


def grown(record: ControlRecord, **changes: Any) -> ControlRecord:
    return replace(record, changed_at=_CHANGED, reason="", **changes)


def first_record(region: int) -> ControlRecord:
    return ControlRecord(1, REGIONS[region], Phase.STEADY, _CHANGED, "")


class Services:
    """Methods are named after the calls: `journal.put` is `journal_put`."""

    # Answered within the step that gets there: what they answer depends on nothing that another process
    # changes, except the time. How late a clock is read matters after a slow answer only: see `explore.py`.
    AT_ONCE = frozenset(
        {
            "clock.now",
            "clock.sleep",
            "directory.closed",
            "handler.starts",
            "process.mistake",
            "client.promised",
            "client.refused",
            "client.not_found",
            "client.read",
        }
    )
    # Answered as soon, or not where a region is cut off: see `AskedWorld`, which looks by them.
    LOOKS = frozenset({"control.look", "cluster.look"})
    # Reach no further than the own region's database: they work where a region is cut off.
    OWN_REGION = ("ledger.", "replica.", "clock.", "client.", "directory.")
    # What they change may come about although, and long after, nobody waits for the answer any more.
    WRITES = frozenset(
        {
            "control.advance",
            "control.fence",
            "journal.put",
            "journal.settle",
            "ledger.post_all",
            "ledger.raise_fence",
            "log.put",
            "log.write_bookmark",
        }
    )

    def __init__(self) -> None:
        self._methods: dict[str, Callable[..., Effect | None]] = {}

    def apply(self, world: World, call: Call) -> Effect | None:
        """None for a call that cannot be answered before something else happens."""
        method = self._methods.get(call.to)
        if method is None:
            method = self._methods[call.to] = getattr(self, call.to.replace(".", "_"))
        return method(world, call.region, *call.args)

    def reachable(self, world: World, call: Call) -> bool:
        return world.cut_off != call.region or call.to.startswith(self.OWN_REGION)

    # --- clock, sessions, directory --------------------------------------------------------------------

    def clock_now(self, world: World, _region: int) -> Effect:
        return world, instant(world.now), ""

    def clock_sleep(self, world: World, _region: int, seconds: float) -> Effect:
        """Answers what it waits for: a moment, or before it another control record."""
        leases = -int(-seconds // LEASE_SECONDS)
        return world, (world.now + leases, world.control if seconds < LEASE_SECONDS else None), ""

    def clock_awake(self, world: World, _region: int, until: int, asleep: int | None) -> Effect | None:
        """A poll sees nothing new before the record changes or time passes: till then none is tried."""
        if world.now >= until or (asleep is not None and world.control != asleep):
            return world, None, ""
        return None

    def directory_closed(self, world: World, _region: int) -> Effect:
        return world, world.closed, ""

    # --- the strongly consistent tables ----------------------------------------------------------------

    def control_read(self, world: World, _region: int) -> Effect:
        return world, record(world), ""

    def control_look(self, world: World, region: int) -> Effect:
        return self.control_read(world, region)

    def control_fence(self, world: World, region: int, expected: int) -> Effect:
        """Epoch + 1 together with `fencing`; answers whether it was still `expected`."""
        now = record(world)
        if now.epoch != expected:
            return world, False, "fence lost"
        fenced = grown(now, epoch=expected + 1, active=REGIONS[region], phase=Phase.FENCING)
        return world._replace(control=RECORDS.number(fenced)), True, "fences"

    def control_advance(self, world: World, _region: int, epoch: int, phase: Phase) -> Effect:
        """On from `phase`, under the condition that epoch and phase still are the plan's."""
        now = record(world)
        if (now.epoch, now.phase) != (epoch, phase):
            return world, False, "plan overtaken" if now.epoch != epoch else ""
        following = _NEXT[phase]
        return world._replace(control=RECORDS.number(grown(now, phase=following))), True, following.value

    def journal_put(self, world: World, _region: int, entry: JournalEntry) -> Effect:
        held = find(world, entry.payment_id)
        if held is None:
            late = "put under an old epoch" if entry.epoch < record(world).epoch else ""
            return with_entry(world, entry), entry, late
        return world, held, "retries" if held.fingerprint == entry.fingerprint else "keys reused"

    def journal_find(self, world: World, _region: int, payment_id: str) -> Effect:
        return world, find(world, payment_id), "journal asked although closed" if world.closed else ""

    def journal_page(
        self, world: World, _region: int, shard: str, _after: str | None, _limit: int, _since: datetime | None
    ) -> Effect:
        """All that is open fits one page, and nothing in the exploration is older than minutes."""
        entries = (ENTRIES[number] for number in world.journal)
        return world, Ids(tuple(entry.payment_id for entry in entries if entry.open == shard), None), ""

    def journal_read(self, world: World, _region: int, ids: Collection[str]) -> Effect:
        held = (find(world, payment_id) for payment_id in ids)
        return world, Entries(tuple(entry for entry in held if entry is not None)), ""

    def journal_settle(self, world: World, _region: int, payment_id: str) -> Effect:
        held = find(world, payment_id)
        if held is None:
            return world, Raised(ValueError, "there is no such entry"), ""
        if held.open is None:
            return world, None, ""
        return with_entry(world, replace(held, open=None)), None, "settlements"

    def journal_strip(self, world: World, payment_id: str) -> World:
        """What retention does to a settled entry that the ledger has."""
        held = find(world, payment_id)
        return world if held is None else with_entry(world, replace(held, request=None))

    # --- the ledger --------------------------------------------------------------------------------------

    def _no_writer(self, world: World, region: int) -> Raised | None:
        if region == world.writer or not world.attached:
            return None
        return Raised(LedgerUnavailable, "read-only")

    def ledger_post_all(self, world: World, region: int, payments: Collection[Payment], epoch: int) -> Effect:
        refused = self._no_writer(world, region)
        if refused is not None:
            return world, refused, "read-only"
        database = world.databases[region]
        if self.behind_fence(database, epoch):
            return world, Raised(LedgerUnavailable, "fenced"), "posts behind the fence"
        there = posted(database)
        new = tuple(row(payment, epoch) for payment in payments if payment.payment_id not in there)
        if not new:
            return world, 0, ""
        return committed(world, region, Commit(new)), len(new), self._posting(world, region, new)

    def behind_fence(self, database: Database, epoch: int) -> bool:
        return epoch < fence(database)

    def _posting(self, world: World, region: int, new: tuple[Any, ...]) -> str:
        if region != world.writer:
            return "posted to the old writer"
        elsewhere = posted(world.databases[1 - region])
        again = any(row.payment.payment_id in elsewhere for row in new)
        return "re-postings" if again else "postings"

    def ledger_find(self, world: World, region: int, payment_id: str) -> Effect:
        found = posted(world.databases[region]).get(payment_id)
        return world, None if found is None else found.payment, ""

    def ledger_posted(self, world: World, region: int, ids: Collection[str]) -> Effect:
        return world, frozenset(ids).intersection(posted(world.databases[region])), ""

    def replica_has(self, world: World, region: int, ids: Collection[str], epoch: int) -> Effect:
        """Readers say that they are in recovery, the writer's own included, and the old writer's."""
        if not is_copy(in_recovery=True, fence=fence(world.databases[region]), epoch=epoch):
            return world, Raised(NotStandby), ""
        return self.ledger_posted(world, region, ids)

    def replica_log_page(
        self, world: World, region: int, epoch: int, after: Position, through: Position | None, limit: int
    ) -> Effect:
        database = self.shipped_from(world, region)
        if not is_copy(in_recovery=True, fence=fence(database), epoch=epoch):
            return world, Raised(NotStandby), ""
        found = (row for row in log_rows(database) if row.position > after)
        wanted = tuple(row for row in found if through is None or row.position <= through)[:limit]
        return world, LogPage(len(database) + 1, wanted), ""

    def shipped_from(self, world: World, region: int) -> Database:
        return world.databases[region]

    def ledger_raise_fence(self, world: World, region: int, epoch: int) -> Effect:
        refused = self._no_writer(world, region)
        if refused is not None:
            return world, refused, ""
        held = fence(world.databases[region])
        if epoch < held:
            return world, Raised(LedgerUnavailable, "fenced"), ""
        if epoch == held:
            return world, None, ""
        return committed(world, region, Commit(fence=epoch)), None, "ledger fences"

    # --- the transaction log ---------------------------------------------------------------------------

    def log_read_bookmark(self, world: World, _region: int) -> Effect:
        return world, world.bookmark, ""

    def log_write_bookmark(self, world: World, _region: int, text: str, before: int) -> Effect:
        written = (before + 1, text)
        if world.bookmark[0] != before:
            return world, world.bookmark == written, ""
        return world._replace(bookmark=written), True, ""

    def log_put(self, world: World, _region: int, segment: Segment) -> Effect:
        there = {SEGMENTS[number].number: number for number in world.log}
        number = SEGMENTS.number(segment)
        if there.setdefault(segment.number, number) != number:
            return world, Raised(LogDiverged), ""
        return world._replace(log=tuple(there[each] for each in sorted(there))), None, "segments shipped"

    # --- the global cluster ------------------------------------------------------------------------------

    def cluster_members(self, world: World, _region: int) -> Effect:
        members = tuple(
            Member(name, name, number == world.writer, connected=world.attached or number == world.writer)
            for number, name in enumerate(REGIONS)
        )
        return world, members, ""

    def cluster_look(self, world: World, region: int) -> Effect:
        return self.cluster_members(world, region)

    def cluster_promote(self, world: World, region: int, lossy: bool) -> Effect:
        """Switchover when graceful, failover when not; neither makes a writer of what is not a replica."""
        if region == world.writer:
            return world, None, ""
        if not world.attached or (not lossy and world.cut_off != NOBODY):
            return world, _OUT_OF_REACH, ""
        if lossy:
            lost = world.databases[region] != world.databases[world.writer]
            event = "promotions that lose commits" if lost else "promotions"
            return world._replace(writer=region, attached=False), None, event
        caught_up = with_database(world, region, world.databases[world.writer])
        return caught_up._replace(writer=region), None, "switchovers"

    # --- what a handler and its client see -----------------------------------------------------------------

    def process_mistake(self, _world: World, _region: int, error: str) -> Effect:
        raise Broken(f"a function met a mistake: {error}")

    def handler_starts(self, world: World, _region: int, epoch: int) -> Effect:
        if epoch < world.under:
            raise Broken(
                f"a handler starts under epoch {epoch}, and {world.under} has acknowledged something"
            )
        return world, None, ""

    def client_promised(self, world: World, _region: int, payment: Payment, asked: str, epoch: int) -> Effect:
        held = find(world, payment.payment_id)
        if held is None or (held.fingerprint, held.accepted_at) != (payment.fingerprint, payment.accepted_at):
            raise Broken("a client was promised what the journal does not hold")
        if payment.fingerprint != asked:
            raise Broken("a client was promised another payment than it asked for")
        acknowledged = world.acknowledged
        number = ACKNOWLEDGED.number(payment)
        if number not in acknowledged:
            acknowledged = tuple(sorted((*acknowledged, number)))
        return world._replace(acknowledged=acknowledged, under=max(world.under, epoch)), None, "promises"

    def client_refused(self, world: World, _region: int, payment_id: str, asked: str, reason: str) -> Effect:
        """What the journal does not hold may be refused where an account is closed, although a write that
        somebody gave up on may yet arrive: the API says for how long such an answer is not final.
        """
        held = find(world, payment_id)
        if held is None and reason == "AccountClosed":
            return world, None, ""
        if held is None or held.fingerprint == asked:
            raise Broken(f"a payment that will be executed, or could be, was refused: {reason}")
        return world, None, "refusals"

    def client_not_found(self, world: World, _region: int, payment_id: str) -> Effect:
        if any(ACKNOWLEDGED[number].payment_id == payment_id for number in world.acknowledged):
            raise Broken("an acknowledged payment is not found")
        return world, None, ""

    def client_read(self, world: World, _region: int, payment: Payment, status: Status) -> Effect:
        held = find(world, payment.payment_id)
        if held is None or (held.fingerprint, held.accepted_at) != (payment.fingerprint, payment.accepted_at):
            raise Broken("a client was shown what the journal does not hold")
        return world, None, f"read as {status.value}"

    # --- handing a request to the other region -------------------------------------------------------------

    def peer_invoke(self, world: World, _region: int) -> Effect:
        return (world, None, "forwards") if world.cut_off == NOBODY else (world, _OUT_OF_REACH, "")

    def peer_answer(self, world: World, _region: int) -> Effect:
        return (world, None, "") if world.cut_off == NOBODY else (world, _OUT_OF_REACH, "")
