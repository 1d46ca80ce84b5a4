"""A takeover is finished when what was open is posted under its epoch, and no older one posts any more."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.control import LEASE_SECONDS, Phase
from payments.errors import LedgerUnavailable, NotActive, Unavailable
from payments.journal import SHARDS, shards
from payments.mistakes import Each
from payments.posting import BATCH
from payments.recover import BooksDoNotBalance, Recovered, Recovery
from payments.sweep import PAGE as SWEPT_PAGE
from tests.unit.payments.fakes import THERE, FakeLedger, World, journalled, record

EPOCH = 7
PAGE = 5  # of what is small enough to be read in several pages here


class Takeover(World):
    """A region that was just fenced for, with entries that the old one accepted."""

    def __init__(self, entries: int = 3) -> None:
        super().__init__()
        self.control.record = record(phase=Phase.RECOVERING, epoch=EPOCH)
        self.ids = []
        for number in range(entries):
            entry = journalled(self.clock, str(number), age=number + 1.0)
            self.journal.put(entry)
            self.ids.append(entry.payment_id)

    def recovery(self, each: Each = map, page: int = PAGE) -> Recovery:
        return Recovery(
            leases=self.leases,
            work=self.journal,
            ledger=lambda: self.ledger,
            clock=self.clock,
            each=each,
            page=page,
        )

    def recover(self, seconds: float = 600.0, page: int = PAGE) -> Recovered:
        return self.recovery(page=page).run(EPOCH, self.clock.now().later(seconds))


def test_what_is_open_is_posted_once_under_the_new_epoch() -> None:
    takeover = Takeover()
    recovered = takeover.recover()
    assert (recovered.posted, recovered.complete, recovered.mistakes.count) == (3, True, 0)
    assert set(takeover.ledger.epochs.values()) == {EPOCH}
    assert takeover.ledger.fence == EPOCH
    again = takeover.recover()
    assert (again.posted, again.complete) == (0, True)
    assert len(takeover.ledger.lines) == 6


def test_the_list_is_asked_for_more_than_is_posted_at_once() -> None:
    """Without a standby for a day, millions are open; each page is a round trip that recovery waits for."""
    takeover = Takeover(entries=2 * BATCH * SHARDS)
    calls: list[str] = []
    takeover.journal.before = calls.append
    assert takeover.recover(page=SWEPT_PAGE).complete
    assert calls.count("page") == SHARDS


def test_the_fence_is_raised_before_anything_is_posted() -> None:
    takeover = Takeover()
    calls: list[str] = []
    takeover.ledger.before = calls.append
    takeover.recover()
    assert calls.index("raise_fence") < calls.index("post_all")


def test_a_ledger_that_a_later_epoch_fenced_is_left_alone() -> None:
    takeover = Takeover()
    takeover.ledger.fence = EPOCH + 1
    with pytest.raises(LedgerUnavailable, match="fenced"):
        takeover.recover()
    assert not takeover.ledger.payments


@pytest.mark.parametrize("overtaken", [record(epoch=EPOCH + 1), record(active=THERE, epoch=EPOCH + 1)])
def test_nothing_is_posted_under_an_epoch_that_is_over(overtaken: object) -> None:
    takeover = Takeover()
    takeover.control.record = overtaken  # type: ignore[assignment]
    with pytest.raises(NotActive):
        takeover.recover()
    assert not takeover.ledger.payments


MANY = 4 * PAGE * SHARDS


def test_out_of_time_is_not_complete_and_the_next_run_goes_on_where_it_ended() -> None:
    takeover = Takeover(entries=MANY)
    pages: list[str] = []

    def slowly(call: str) -> None:
        takeover.clock.pass_time(0.01)
        if call == "page":
            pages.append(call)

    takeover.ledger.before = takeover.journal.before = slowly
    first = takeover.recover(seconds=1)
    assert not first.complete
    assert 0 < first.posted < MANY
    runs = 1
    while not takeover.recover(seconds=1).complete:
        runs += 1
    assert runs > 2
    assert len(takeover.ledger.payments) == MANY
    assert len(pages) <= MANY / PAGE + SHARDS * (runs + 2)  # the last page of each shard, again each time


def test_a_killed_run_costs_no_more_than_a_few_pages_of_each_shard() -> None:
    takeover = Takeover(entries=40 * PAGE)
    takeover.journal.entries = {
        payment_id: replace(entry, open="00") for payment_id, entry in takeover.journal.entries.items()
    }
    pages = 0

    def killed(call: str) -> None:
        nonlocal pages
        pages += call == "page"
        if pages == 35:
            raise KeyboardInterrupt

    takeover.journal.before = killed
    with pytest.raises(KeyboardInterrupt):
        takeover.recover()
    takeover.journal.before = lambda _call: None
    assert takeover.recover().posted == (40 - 34) * PAGE
    asked: list[str] = []
    takeover.journal.before = asked.append
    assert takeover.recover().complete
    assert asked.count("page") == SHARDS


def test_a_ledger_that_lost_rows_lost_the_bookmarks_that_spoke_for_them() -> None:
    """Under the same epoch, another copy was promoted, which had not got everything."""
    takeover = Takeover(entries=MANY)
    lagging = FakeLedger()
    lagging.before = lambda _call: None
    assert takeover.recover().complete
    takeover.ledger = lagging
    assert takeover.recover().complete
    assert set(lagging.payments) == set(takeover.ids)


def test_another_epoch_s_bookmarks_are_not_believed() -> None:
    takeover = Takeover(entries=MANY)
    takeover.ledger.bookmarks = dict.fromkeys(shards(), (EPOCH - 1, '["9999", "x"]'))
    assert takeover.recover().posted == MANY


@pytest.mark.parametrize("error", [LedgerUnavailable("no-schema"), PermissionError("no grant")])
def test_without_bookmarks_all_is_posted_all_the_same(error: Exception) -> None:
    """The standby is released first: its functions may meet a ledger without the table."""
    takeover = Takeover(entries=MANY)

    def none(call: str) -> None:
        if call in ("recovered", "mark_recovered"):
            raise error

    takeover.ledger.before = none
    recovered = takeover.recover()
    assert (recovered.posted, recovered.complete) == (MANY, True)


def test_a_bookmark_that_makes_no_sense_is_passed_over() -> None:
    takeover = Takeover()
    takeover.ledger.bookmarks = dict.fromkeys(shards(), (EPOCH, "nonsense"))
    recovered = takeover.recover()
    assert (recovered.posted, recovered.complete, recovered.mistakes.count) == (3, True, 0)


def test_several_shards_at_a_time_post_the_same_and_one_that_stops_stops_all() -> None:
    with ThreadPoolExecutor(4) as pool:
        takeover = Takeover(entries=MANY)
        recovery = takeover.recovery(pool.map)
        assert recovery.run(EPOCH, takeover.clock.now().later(600)).complete
        assert set(takeover.ledger.payments) == set(takeover.ids)

        takeover = Takeover(entries=MANY)
        failing = iter(range(10**6))

        def down(call: str) -> None:
            if call == "post_all" and next(failing) > 5:
                raise LedgerUnavailable("unreachable")

        takeover.ledger.before = down
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            takeover.recovery(pool.map).run(EPOCH, takeover.clock.now().later(600))
        assert 0 < len(takeover.ledger.payments) < MANY


def test_what_is_accepted_while_it_recovers_is_posted_one_lease_after_steady() -> None:
    """Until then somebody may still hold a lease that says `recovering`, and journal without posting."""
    takeover = Takeover()
    assert takeover.recover().complete
    steady_at = takeover.clock.monotonic
    takeover.control.record = record(epoch=EPOCH)
    late = journalled(takeover.clock, "late")

    def journalled_late(_call: str) -> None:
        if takeover.clock.monotonic >= steady_at + LEASE_SECONDS:
            takeover.journal.entries[late.payment_id] = late

    takeover.journal.before = journalled_late
    rest = takeover.recovery().rest(EPOCH, takeover.clock.now().later(60))
    assert (rest.posted, rest.complete) == (1, True)
    assert takeover.ledger.epochs[late.payment_id] == EPOCH
    assert takeover.clock.monotonic - steady_at == LEASE_SECONDS


def test_the_rest_is_left_to_the_sweeper_where_it_cannot_be_posted() -> None:
    takeover = Takeover()
    takeover.control.record = record(epoch=EPOCH + 1, active=THERE)
    rest = takeover.recovery().rest(EPOCH, takeover.clock.now().later(60))
    assert (rest.posted, rest.complete, rest.stopped) == (0, False, "not-active")


def test_one_payment_s_mistake_holds_up_neither_the_others_nor_the_takeover() -> None:
    takeover = Takeover()
    takeover.ledger.poison = {takeover.ids[1]}
    recovered = takeover.recover()
    assert recovered.complete
    assert [mistake.payment_id for mistake in recovered.mistakes.first] == [takeover.ids[1]]
    assert set(takeover.ledger.payments) == {takeover.ids[0], takeover.ids[2]}
    assert takeover.journal.entries[takeover.ids[1]].open is not None


def test_a_list_that_cannot_be_read_is_not_recovered_from() -> None:
    takeover = Takeover()

    def broken(call: str) -> None:
        if call == "page":
            raise KeyError("page")

    takeover.journal.before = broken
    assert not takeover.recover().complete


@pytest.mark.parametrize("call", ["posted", "read"])
def test_no_bookmark_passes_over_what_could_not_be_worked_off(call: str) -> None:
    """The next run would find nothing there, and say that all was posted."""
    takeover = Takeover(entries=MANY)
    calls = 0

    def once(asked: str) -> None:
        nonlocal calls
        calls += asked == call
        if asked == call and calls == 2:
            raise KeyError("a mistake")

    takeover.ledger.before = takeover.journal.before = once
    assert not takeover.recover().complete
    assert len(takeover.ledger.payments) < MANY
    assert takeover.recover().complete
    assert len(takeover.ledger.payments) == MANY


def test_books_that_do_not_balance_stop_it() -> None:
    takeover = Takeover()
    takeover.ledger.out_of_balance = {takeover.ids[0]}
    with pytest.raises(BooksDoNotBalance, match=takeover.ids[0]):
        takeover.recover()


@given(st.data())
def test_broken_off_anywhere_and_begun_again_it_posts_everything_once(data: st.DataObject) -> None:
    takeover = Takeover(entries=data.draw(st.integers(0, 12)))
    calls = 0
    breaks = data.draw(st.sets(st.integers(1, 40), max_size=5))

    def failing(_call: str) -> None:
        nonlocal calls
        calls += 1
        if calls in breaks:
            raise Unavailable("no answer")

    takeover.ledger.before = takeover.journal.before = failing
    attempts, complete = 0, False
    while not complete:
        attempts += 1
        assert attempts <= len(breaks) + 1
        with suppress(Unavailable):
            complete = takeover.recover().complete
    assert set(takeover.ledger.payments) == set(takeover.ids)
    assert len(takeover.ledger.lines) == 2 * len(takeover.ids)
