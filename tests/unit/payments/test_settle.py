"""Only what the standby's own copy has is settled, and only while it is a copy of this epoch's ledger."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover.control import Phase
from failover.writer import Member
from payments.errors import LedgerUnavailable, NotStandby, Unavailable
from payments.journal import shard
from payments.mistakes import MOST_UNKNOWN
from payments.settle import BATCH, Settled, Settler
from payments.standby import Standby, is_copy
from tests.unit.payments.fakes import HERE, THERE, FakeClock, FakeControl, FakeJournal, journalled, record

ACTIVE = Member(THERE, "ledger-secondary", writer=True, connected=True)
MINE = Member(HERE, "ledger-primary", writer=False, connected=True)


@dataclass
class FakeClusters:
    found: tuple[Member, ...] = (ACTIVE, MINE)
    asked: int = 0

    def members(self) -> tuple[Member, ...]:
        self.asked += 1
        return self.found


@dataclass
class FakeReplica:
    rows: set[str] = field(default_factory=set)
    in_recovery: bool = True
    fence: int = 0
    down: str = ""
    during: Callable[[], None] = lambda: None

    def has(self, ids: Collection[str], epoch: int) -> frozenset[str]:
        if self.down:
            raise LedgerUnavailable(self.down)
        if not is_copy(in_recovery=self.in_recovery, fence=self.fence, epoch=epoch):
            raise NotStandby
        found = frozenset(ids) & self.rows
        self.during()
        return found


class Desk:
    """The standby: another region is active; the copy has what it is given."""

    def __init__(self, entries: int = 3) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal()
        self.control = FakeControl(record(active=THERE))
        self.clusters = FakeClusters()
        self.replica = FakeReplica()
        self.ids = []
        for number in range(entries):
            entry = self.journal.put(journalled(self.clock, str(number)))
            self.ids.append(entry.payment_id)
        self.replica.rows = set(self.ids)

    def settle(self, seconds: float = 50) -> Settled:
        settler = Settler(
            standby=Standby(self.control, self.clusters, HERE, MINE.cluster),
            work=self.journal,
            replica=self.replica,
            clock=self.clock,
        )
        return settler.run(self.clock.now().later(seconds))

    @property
    def settled(self) -> set[str]:
        return {payment_id for payment_id, entry in self.journal.entries.items() if entry.open is None}


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 60)))
def test_exactly_what_the_copy_has_is_settled(replicated: set[int]) -> None:
    desk = Desk(61)
    desk.replica.rows = {desk.ids[number] for number in replicated}
    done = desk.settle()
    assert desk.settled == desk.replica.rows
    assert (done.settled, done.stopped, done.mistakes.count) == (len(replicated), "", 0)


def test_settled_entries_keep_all_the_rest() -> None:
    desk = Desk(1)
    before = desk.journal.entries[desk.ids[0]]
    desk.settle()
    assert desk.journal.entries[desk.ids[0]] == replace(before, open=None)


def test_what_is_still_listed_after_it_was_settled_is_settled_again() -> None:
    desk = Desk(1)
    desk.settle()
    desk.journal.stale[desk.ids[0]] = shard(desk.ids[0])
    assert desk.settle().mistakes.count == 0
    assert desk.settled == set(desk.ids)


@pytest.mark.parametrize(
    "now",
    [record(active=HERE), *(record(THERE, phase) for phase in (Phase.FENCING, Phase.RECOVERING))],
    ids=["active", "fencing", "recovering"],
)
def test_only_a_standby_settles(now: object) -> None:
    desk = Desk()
    desk.control.record = now  # type: ignore[assignment]
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled


@pytest.mark.parametrize(
    "members",
    [
        (replace(ACTIVE, writer=False), replace(MINE, writer=True)),
        (ACTIVE, replace(MINE, connected=False)),
    ],
    ids=["my-cluster-is-the-writer", "my-cluster-was-left-behind"],
)
def test_only_a_cluster_that_replicates_is_a_standby(members: tuple[Member, ...]) -> None:
    desk = Desk()
    desk.clusters.found = members
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled


@pytest.mark.parametrize(
    "members",
    [(ACTIVE,), (MINE,), (ACTIVE, replace(MINE, connected=None)), ()],
    ids=["not-a-member", "no-writer", "not-told", "nobody"],
)
def test_a_cluster_nobody_knows_enough_of_is_unknown(members: tuple[Member, ...]) -> None:
    desk = Desk()
    desk.clusters.found = members
    assert desk.settle().stopped == "unavailable"
    assert not desk.settled


def test_a_database_that_is_no_copy_settles_nothing() -> None:
    desk = Desk()
    desk.replica.in_recovery = False
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled


def test_the_copy_of_an_older_epochs_ledger_settles_nothing() -> None:
    """The readers of a writer that a failover left behind are in recovery, and have rows nobody else has."""
    desk = Desk()
    desk.control.record = record(THERE, epoch=4)
    desk.replica.fence = 3
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled
    desk.replica.fence = 4
    assert desk.settle().settled == 3


@pytest.mark.parametrize(
    "becomes",
    [record(HERE, Phase.FENCING, 2), record(HERE, epoch=2), record(THERE, epoch=3)],
    ids=["taken-over", "active", "there-and-back"],
)
def test_a_promotion_between_reading_and_settling_settles_nothing(becomes: object) -> None:
    desk = Desk()

    def promote() -> None:
        desk.control.record = becomes  # type: ignore[assignment]

    desk.replica.during = promote
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled


def test_a_promotion_between_holding_and_reading_settles_nothing() -> None:
    """The region was active when it read its own readers, and is the standby again when it settles."""
    desk = Desk()
    reads = iter([record(THERE, epoch=1), record(THERE, epoch=3)])

    def next_record() -> None:
        desk.control.record = next(reads)

    desk.control.during_read = next_record
    assert desk.settle().stopped == "not-standby"
    assert not desk.settled


@pytest.mark.parametrize("reason", ["unreachable", "no-schema"])
def test_a_copy_out_of_reach_ends_the_run_well(reason: str) -> None:
    desk = Desk()
    desk.replica.down = reason
    assert desk.settle().stopped == f"ledger-{reason}"


def test_a_missing_answer_settles_what_it_can_and_ends_the_run() -> None:
    desk = Desk(5)
    lost = sorted(desk.ids)[1]
    real_settle = desk.journal.settle

    def settle(payment_id: str) -> None:
        if payment_id == lost:
            raise Unavailable("journal")
        real_settle(payment_id)

    desk.journal.settle = settle  # type: ignore[method-assign]
    done = desk.settle()
    assert (done.settled, done.stopped, done.mistakes.count) == (4, "unavailable", 0)
    assert desk.settled == set(desk.ids) - {lost}


def test_a_journal_out_of_reach_is_not_tried_for_every_entry() -> None:
    """Each attempt may take its clients' whole patience, and the function has two minutes."""
    desk = Desk(entries=100)
    desk.replica.rows = set(desk.ids)
    tried: list[str] = []

    def settle(payment_id: str) -> None:
        tried.append(payment_id)
        raise Unavailable("journal")

    desk.journal.settle = settle  # type: ignore[method-assign]
    assert desk.settle().stopped == "unavailable"
    assert len(tried) == MOST_UNKNOWN


def test_a_mistake_holds_up_no_other_and_is_named() -> None:
    desk = Desk(BATCH + 10)
    bad = desk.ids[7]
    real_settle = desk.journal.settle

    def settle(payment_id: str) -> None:
        if payment_id == bad:
            raise KeyError(payment_id)
        real_settle(payment_id)

    desk.journal.settle = settle  # type: ignore[method-assign]
    done = desk.settle()
    assert desk.settled == set(desk.ids) - {bad}
    assert [mistake.payment_id for mistake in done.mistakes.first] == [bad]


def test_a_run_ends_in_time_and_the_next_goes_on() -> None:
    desk = Desk(3 * BATCH)
    desk.replica.during = lambda: desk.clock.pass_time(30)
    done = desk.settle()
    assert (done.settled, done.stopped) == (2 * BATCH, "time")
    assert desk.settle().settled == BATCH


def test_who_the_writer_is_is_asked_once_for_a_batch() -> None:
    desk = Desk(2 * BATCH)
    desk.settle()
    assert desk.clusters.asked == 1 + 2


def test_what_nobody_expected_ends_the_run_and_is_told() -> None:
    desk = Desk()

    def refused() -> None:
        raise PermissionError("AccessDenied")

    desk.replica.during = refused
    done = desk.settle()
    assert (done.stopped, done.mistakes.general) == ("mistake", 1)
    assert not desk.settled
