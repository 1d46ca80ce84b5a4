"""A takeover is finished when what was open is posted under its epoch, and no older one posts any more."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.control import Phase
from payments.errors import LedgerUnavailable, NotActive, Unavailable
from payments.journal import SHARDS
from payments.recover import BooksDoNotBalance, Recovered, Recovery
from payments.sweep import BATCH
from tests.unit.payments.fakes import THERE, World, journalled, record

EPOCH = 7


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

    def recover(self, seconds: float = 600.0) -> Recovered:
        recovery = Recovery(leases=self.leases, work=self.journal, ledger=self.ledger, clock=self.clock)
        return recovery.run(EPOCH, self.clock.now().later(seconds))


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
    assert takeover.recover().complete
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


def test_out_of_time_is_not_complete() -> None:
    takeover = Takeover(entries=BATCH + 50)
    takeover.ledger.before = lambda _call: takeover.clock.pass_time(1)
    first = takeover.recover(seconds=1)
    assert not first.complete
    assert 0 < first.posted < BATCH + 50
    assert takeover.recover().complete
    assert len(takeover.ledger.payments) == BATCH + 50


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
