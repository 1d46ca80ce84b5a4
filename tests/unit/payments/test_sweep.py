"""Whatever is open and not in the ledger is posted once, whatever happens on the way."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover.control import Phase
from payments.errors import LedgerUnavailable, Unavailable
from payments.journal import shard, shards
from payments.posting import BATCH
from payments.sweep import FRESH, PAUSE_SECONDS, Sweeper, Swept
from tests.unit.payments.fakes import (
    HERE,
    THERE,
    FakeProgress,
    World,
    journalled,
    record,
)

OLD = FRESH.total_seconds() + 60


class Desk(World):
    """A region that sweeps, with entries in the journal."""

    def __init__(self, *ages: float) -> None:
        super().__init__()
        self.progress = FakeProgress()
        self.ids = [self.add(str(number), age) for number, age in enumerate(ages)]

    def add(self, key: str, age: float) -> str:
        entry = journalled(self.clock, key, age=age)
        self.journal.put(entry)
        return entry.payment_id

    def sweep(self, seconds: float = 0.0) -> Swept:
        sweeper = Sweeper(
            region=HERE,
            leases=self.leases,
            work=self.journal,
            ledger=self.ledger,
            progress=self.progress,
            clock=self.clock,
        )
        return sweeper.run(self.clock.now().later(seconds + 1))

    @property
    def unposted(self) -> set[str]:
        return set(self.ids) - self.ledger.payments.keys()

    def check(self) -> None:
        assert not self.unposted
        assert len(self.ledger.lines) == 2 * len(self.ids)


def test_a_fence_that_was_lost_is_raised_again_before_anything_is_posted() -> None:
    """By a promotion that came late: the takeover is long finished, and the ledger is an older one."""
    desk = Desk(1.0)
    desk.control.record = record(epoch=4)
    calls: list[str] = []
    desk.ledger.before = calls.append
    assert desk.sweep(seconds=3 * PAUSE_SECONDS).passes > 1
    assert desk.ledger.fence == 4
    assert calls[0] == "raise_fence"
    assert calls.count("raise_fence") == 1


def test_a_ledger_that_a_later_epoch_fenced_is_not_posted_to() -> None:
    desk = Desk(1.0)
    desk.ledger.fence = 9
    assert desk.sweep().stopped == "ledger-fenced"
    assert not desk.ledger.payments


def test_what_is_open_is_posted_under_the_sweepers_own_epoch() -> None:
    desk = Desk(1.0, OLD, 3 * OLD)
    desk.control.record = record(epoch=7)
    swept = desk.sweep()
    desk.check()
    assert swept.posted == 3
    assert set(desk.ledger.epochs.values()) == {7}
    assert {entry.epoch for entry in desk.journal.entries.values()} == {1}
    assert (swept.passes, swept.stopped, swept.mistakes.count) == (1, "", 0)


def test_posted_entries_stay_open() -> None:
    desk = Desk(1.0)
    desk.sweep()
    assert desk.journal.entries[desk.ids[0]].open is not None
    assert desk.sweep().posted == 0


def test_a_region_that_is_not_active_sweeps_and_reports_nothing() -> None:
    desk = Desk(1.0)
    desk.control.record = record(active=THERE)
    swept = desk.sweep(seconds=50)
    assert (swept.stopped, swept.posted, swept.backlog) == ("not-active", 0, None)
    assert desk.clock.slept == 0


@pytest.mark.parametrize(
    ("phase", "reason"), [(Phase.FENCING, "not-active"), (Phase.RECOVERING, "recovering")]
)
def test_nothing_is_posted_before_a_takeover_is_finished(phase: Phase, reason: str) -> None:
    desk = Desk(1.0)
    desk.control.record = record(phase=phase)
    assert desk.sweep().stopped == reason
    assert desk.unposted


def test_a_takeover_that_is_finished_meanwhile_is_not_waited_for_until_the_next_run() -> None:
    desk = Desk(1.0)
    desk.control.record = record(phase=Phase.RECOVERING)

    def finish() -> None:
        if desk.clock.slept:
            desk.control.record = record()

    desk.control.during_read = finish
    desk.sweep(seconds=20)
    desk.check()


def test_the_lease_is_held_anew_for_every_batch() -> None:
    desk = Desk(*[1.0] * (3 * BATCH))

    def slowly(call: str) -> None:
        if call == "post_all":
            desk.clock.pass_time(4)
            desk.control.record = record(epoch=2, active=THERE)

    desk.ledger.before = slowly
    swept = desk.sweep(seconds=50)
    assert swept.stopped == "not-active"
    assert swept.posted == BATCH


def test_a_ledger_that_is_away_is_tried_again_in_the_same_run() -> None:
    desk = Desk(1.0, OLD)
    desk.ledger.down = "unreachable"

    def back(call: str) -> None:
        if desk.clock.slept >= 20:
            desk.ledger.down = ""

    desk.ledger.before = back
    swept = desk.sweep(seconds=30)
    desk.check()
    assert (swept.posted, swept.stopped) == (2, "")


def test_a_ledger_that_stays_away_is_no_mistake_but_missing_credentials_are() -> None:
    desk = Desk(1.0)
    desk.ledger.down = "unreachable"
    swept = desk.sweep()
    assert (swept.stopped, swept.mistakes.count) == ("ledger-unreachable", 0)
    assert swept.backlog is not None
    assert swept.backlog.count == 1
    desk.ledger.down, desk.ledger.broken = "", LedgerUnavailable("no-credentials", mistake=KeyError("x"))
    swept = desk.sweep()
    assert (swept.stopped, swept.mistakes.count) == ("ledger-no-credentials", 1)


def test_a_fenced_sweeper_posts_nothing() -> None:
    desk = Desk(1.0)
    desk.ledger.fence = 2
    assert desk.sweep().stopped == "ledger-fenced"
    assert not desk.ledger.payments


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 249), max_size=8))
def test_mistakes_hold_up_nothing_else_and_are_named(poison: set[int]) -> None:
    desk = Desk(*[1.0] * 250)
    desk.ledger.poison = {desk.ids[number] for number in poison}
    swept = desk.sweep(seconds=12)
    assert desk.unposted == desk.ledger.poison
    assert {mistake.payment_id for mistake in swept.mistakes.first} == desk.ledger.poison
    assert swept.mistakes.count == len(poison)
    assert swept.passes == 3


def test_what_cannot_be_read_or_was_stripped_or_is_gone_is_told_and_passed_by() -> None:
    desk = Desk(1.0, 1.0, 1.0, 1.0)
    unreadable, stripped, gone, _ = desk.ids
    desk.journal.unreadable = {unreadable: KeyError("fingerprint")}
    desk.journal.entries[stripped] = replace(desk.journal.entries[stripped], request=None)
    real_read = desk.journal.read

    class Forgetful:
        def __getattr__(self, name: str) -> object:
            return getattr(desk.journal, name)

        def read(self, ids: list[str]) -> object:
            return real_read([payment_id for payment_id in ids if payment_id != gone])

    forgetful = Forgetful()
    sweeper = Sweeper(
        region=HERE,
        leases=desk.leases,
        work=forgetful,  # type: ignore[arg-type] # what it does not define, the journal does
        ledger=desk.ledger,
        progress=desk.progress,
        clock=desk.clock,
    )
    swept = sweeper.run(desk.clock.now().later(1))
    assert desk.unposted == {unreadable, stripped, gone}
    told = {mistake.payment_id: type(mistake.error) for mistake in swept.mistakes.first}
    assert told == {unreadable: KeyError, stripped: ValueError, gone: LookupError}


def test_an_entry_settled_before_the_list_says_so_is_left_alone() -> None:
    desk = Desk(1.0)
    (settled,) = desk.ids
    desk.journal.stale[settled] = shard(settled)
    desk.journal.settle(settled)
    swept = desk.sweep()
    assert (swept.posted, swept.mistakes.count) == (0, 0)


def test_an_entry_that_reaches_the_list_late_is_posted_in_the_same_run() -> None:
    desk = Desk(1.0, 2.0)
    late = desk.ids[0]
    desk.journal.unlisted.add(late)

    def arrive(_call: str) -> None:
        if desk.clock.slept >= 40:
            desk.journal.unlisted.clear()

    desk.journal.before = arrive
    desk.sweep(seconds=50)
    desk.check()


@pytest.mark.parametrize("age", [-3600.0, 10 * 86_400.0])
def test_a_wrong_clock_delays_no_payment_beyond_one_walk(age: float) -> None:
    desk = Desk(age)
    swept = desk.sweep()
    desk.check()
    assert swept.backlog is not None
    assert swept.backlog.oldest_age == max(0.0, age)


def test_the_newest_are_posted_before_what_is_old_however_much_that_is() -> None:
    desk = Desk(*[OLD] * 400, *[1.0] * 5)
    old, fresh = set(desk.ids[:400]), set(desk.ids[400:])

    def slowly(call: str) -> None:
        if call == "post_all":
            desk.clock.pass_time(1)

    desk.ledger.before = slowly
    desk.sweep(seconds=3)
    assert fresh <= desk.ledger.payments.keys()
    assert old & desk.unposted
    for _ in range(200):
        desk.sweep(seconds=3)
    desk.check()


def test_the_newest_leave_half_of_the_time_to_what_is_old() -> None:
    """More of them than a run can look at, all posted: as many payments a second, and no standby."""
    desk = Desk(*[1.0] * 1600)
    desk.sweep(seconds=100)
    desk.ids.append(desk.add("forgotten", OLD))

    def slowly(call: str) -> None:
        if call == "posted":
            desk.clock.pass_time(4)

    desk.ledger.before = slowly
    for _ in range(16):
        assert desk.sweep(seconds=50).passes == 0
    desk.check()


def test_a_walk_goes_on_where_it_ended() -> None:
    """Everything old is posted already and stays open, as without a standby; one payment is not."""
    desk = Desk(*[OLD] * 320)
    desk.sweep(seconds=5)
    last = max(desk.ids, key=lambda payment_id: (shard(payment_id), payment_id))
    del desk.ledger.payments[last]

    def slowly(call: str) -> None:
        if call == "posted":
            desk.clock.pass_time(2)

    desk.ledger.before = slowly
    desk.sweep()
    assert last not in desk.ledger.payments
    for _ in range(20):
        desk.sweep()
    assert last in desk.ledger.payments


def test_a_bookmark_that_makes_no_sense_is_begun_anew_and_one_that_leads_nowhere_left() -> None:
    for bookmark in ({"shard": "zz"}, {"shard": "03", "after": 7}, {}):
        desk = Desk(*[OLD] * 40)
        desk.progress.bookmarks[f"sweep#{HERE}"] = {**bookmark, "version": 3}
        desk.sweep()
        desk.check()
    desk = Desk(*[OLD] * 40)
    desk.progress.bookmarks[f"sweep#{HERE}"] = {"shard": "0f", "after": "not a key", "version": 3}
    assert desk.sweep().mistakes.count == 1
    desk.sweep()
    desk.check()


@pytest.mark.parametrize("trouble", [Unavailable("progress"), PermissionError("AccessDenied")])
def test_without_bookmarks_the_newest_are_posted(trouble: Exception) -> None:
    desk = Desk(1.0)
    desk.progress.broken = trouble
    swept = desk.sweep()
    desk.check()
    assert (swept.stopped == "unavailable") is isinstance(trouble, Unavailable)
    assert (swept.mistakes.count > 0) is not isinstance(trouble, Unavailable)


def test_a_shard_that_cannot_be_listed_holds_up_no_other() -> None:
    desk = Desk(*[1.0] * 64)
    bad = shard(desk.ids[0])

    class Broken:
        def __getattr__(self, name: str) -> object:
            return getattr(desk.journal, name)

        def page(self, of: str, *args: object, **options: object) -> object:
            if of == bad:
                raise PermissionError
            return desk.journal.page(of, *args, **options)  # type: ignore[arg-type]

    work = Broken()
    sweeper = Sweeper(
        region=HERE,
        leases=desk.leases,
        work=work,  # type: ignore[arg-type] # what it does not define, the journal does
        ledger=desk.ledger,
        progress=desk.progress,
        clock=desk.clock,
    )
    swept = sweeper.run(desk.clock.now().later(1))
    assert {shard(payment_id) for payment_id in desk.unposted} == {bad}
    assert (swept.passes, swept.mistakes.count) == (0, 2)


def test_what_is_open_is_counted_up_to_a_limit_and_the_oldest_is_exact() -> None:
    desk = Desk(*[30.0] * 20, 500.0)
    swept = desk.sweep()
    assert swept.backlog is not None
    assert (swept.backlog.count, swept.backlog.more, swept.backlog.oldest_age) == (21, False, 500.0)
    assert Desk().sweep().backlog == replace(swept.backlog, count=0, oldest_age=0.0)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.lists(st.integers(1, 60), max_size=12), st.booleans())
def test_however_often_a_sweep_ends_half_way_everything_is_posted_exactly_once(
    entries: int, crashes: list[int], answers_lost: bool
) -> None:
    """A crash before any call to journal or ledger, or after a batch was posted but not answered."""
    desk = Desk(*[1.0, OLD, 4 * OLD] * entries)
    calls, crash_at = 0, 0

    class Crash(BaseException):
        pass

    def step(_call: str) -> None:
        nonlocal calls
        calls += 1
        if calls == crash_at:
            raise Crash

    real_post_all = desk.ledger.post_all

    def posted_but_unanswered(payments: object, epoch: int) -> int:
        posted = real_post_all(payments, epoch)  # type: ignore[arg-type]
        if answers_lost:
            step("answer")
        return posted

    desk.journal.before = desk.ledger.before = step
    desk.ledger.post_all = posted_but_unanswered  # type: ignore[method-assign]
    for after in crashes:
        calls, crash_at = 0, after
        try:
            desk.sweep()
        except Crash:
            continue
    crash_at = 0
    desk.sweep(seconds=10)
    desk.check()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20), st.integers(0, 30))
def test_two_sweepers_at_once_post_everything_exactly_once(entries: int, between: int) -> None:
    """The other one runs completely in the middle of this one's run."""
    desk = Desk(*[1.0, OLD] * entries)
    calls = 0

    def other(_call: str) -> None:
        nonlocal calls
        calls += 1
        if calls == between:
            desk.sweep()

    desk.ledger.before = other
    swept = desk.sweep()
    desk.check()
    assert swept.mistakes.count == 0


def test_pauses_leave_time_for_one_pass_in_five_seconds() -> None:
    desk = Desk()
    assert desk.sweep(seconds=50).passes == 1 + 50 // PAUSE_SECONDS


def test_each_minute_begins_at_another_shard() -> None:
    firsts: set[str] = set()
    for _ in shards():
        desk = Desk()
        desk.clock.pass_time(60 * len(firsts))
        seen: list[str] = []
        real_page = desk.journal.page

        def page(of: str, *args: object, **options: object) -> object:
            seen.append(of)  # noqa: B023 - called within the loop
            return real_page(of, *args, **options)  # type: ignore[arg-type] # noqa: B023 - as above

        desk.journal.page = page  # type: ignore[assignment,method-assign]
        desk.sweep()
        firsts.add(seen[0])
        assert sorted(seen[:16]) == list(shards())
    assert firsts == set(shards())


def test_what_nobody_expected_ends_the_run_and_is_told() -> None:
    desk = Desk(1.0)

    def refused() -> None:
        raise PermissionError("AccessDenied")

    desk.control.during_read = refused
    swept = desk.sweep(seconds=50)
    assert (swept.stopped, swept.mistakes.general) == ("mistake", 1)
    assert swept.backlog is not None


def test_a_list_that_cannot_be_counted_hides_nothing_that_was_done() -> None:
    for trouble, mistakes in ((Unavailable("work list"), 0), (PermissionError("AccessDenied"), 1)):
        desk = Desk(1.0)

        def refused(call: str, trouble: Exception = trouble) -> None:
            if call == "backlog":
                raise trouble

        desk.journal.before = refused
        swept = desk.sweep()
        assert (swept.posted, swept.backlog, swept.mistakes.count) == (1, None, mistakes)
