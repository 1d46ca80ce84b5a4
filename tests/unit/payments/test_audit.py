"""The audit finds what differs between journal and ledger, all of it and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover.control import Phase
from payments.audit import PAGE, Audited, Auditor, bookmark
from payments.comparison import YOUNG, Difference
from payments.errors import LedgerUnavailable, Unavailable
from payments.journal import shard
from payments.model import Entry, Money, Payment, PaymentRequest
from tests.unit.payments.fakes import HERE, THERE, FakeProgress, World, journalled, record

DAYS = 400
OLD = 3600.0
ANCIENT = (DAYS + 1) * 86_400.0


class Desk(World):
    """Entries in journal and ledger, equal and settled, each accepted so many seconds ago."""

    def __init__(self, *ages: float) -> None:
        super().__init__()
        self.progress = FakeProgress()
        self.told: list[Difference] = []
        self.ids = [self.add(str(number), age) for number, age in enumerate(ages)]

    def add(self, key: str, age: float) -> str:
        entry = journalled(self.clock, key, age=age)
        self.journal.put(replace(entry, open=None))
        self.ledger.post(entry.payment, 1)
        return entry.payment_id

    def audit(self, seconds: float = 600, days: int = DAYS, page: int = PAGE) -> Audited:
        def tell(differences: Sequence[Difference]) -> None:
            self.told += differences

        auditor = Auditor(
            leases=self.leases,
            journal=self.journal,
            books=lambda: self.ledger,
            progress=self.progress,
            clock=self.clock,
            retention_days=days,
            tell=tell,
            page=page,
        )
        return auditor.run(self.clock.now().later(seconds))

    def request(self, payment_id: str, **changes: Any) -> None:
        """Another request in the ledger."""
        posted = self.ledger.payments[payment_id]
        self.ledger.payments[payment_id] = replace(posted, request=replace(posted.request, **changes))

    def lines(self, payment_id: str, *lines: Entry) -> None:
        self.ledger.booked[payment_id] = lines

    def entry(self, payment_id: str, **changes: Any) -> None:
        self.journal.entries[payment_id] = replace(self.journal.entries[payment_id], **changes)


def _lose_row(desk: Desk, payment_id: str) -> None:
    del desk.ledger.payments[payment_id]


def _lose_open_row(desk: Desk, payment_id: str) -> None:
    entry = journalled(desk.clock, "x")
    desk.entry(payment_id, open=shard(payment_id), accepted_at=entry.accepted_at - 2 * YOUNG)
    del desk.ledger.payments[payment_id]


def _lose_entry(desk: Desk, payment_id: str) -> None:
    del desk.journal.entries[payment_id]


def _unreadable(desk: Desk, payment_id: str) -> None:
    desk.journal.unreadable[payment_id] = KeyError("fingerprint")


def _amount(desk: Desk, payment_id: str) -> None:
    """With lines to match: only the comparison with the journal tells."""
    desk.request(payment_id, money=Money(1251, "USD"))
    desk.lines(payment_id, Entry(1, "alice", Money(-1251, "USD")), Entry(2, "bob", Money(1251, "USD")))


def _unbalanced(desk: Desk, payment_id: str) -> None:
    desk.lines(payment_id, Entry(1, "alice", Money(-1250, "USD")), Entry(2, "bob", Money(1249, "USD")))


def _two_currencies(desk: Desk, payment_id: str) -> None:
    desk.lines(payment_id, Entry(1, "alice", Money(-1250, "USD")), Entry(2, "bob", Money(1250, "EUR")))


def _no_lines(desk: Desk, payment_id: str) -> None:
    desk.lines(payment_id)


def _other_account(desk: Desk, payment_id: str) -> None:
    desk.lines(payment_id, Entry(1, "alice", Money(-1250, "USD")), Entry(2, "eve", Money(1250, "USD")))


def _reference(desk: Desk, payment_id: str) -> None:
    desk.request(payment_id, reference="another")


def _later(desk: Desk, payment_id: str) -> None:
    posted = desk.ledger.payments[payment_id]
    desk.ledger.payments[payment_id] = replace(posted, accepted_at=posted.accepted_at + timedelta(seconds=1))


def _forged(desk: Desk, payment_id: str) -> None:
    """The journal's request was changed, and the ledger's with it."""
    request = desk.ledger.payments[payment_id].request
    changed = replace(request, reference="another")
    desk.entry(payment_id, request=changed)
    desk.request(payment_id, reference="another")


def _hidden(desk: Desk, payment_id: str) -> None:
    desk.entry(payment_id, open="zz")


def _stripped_and_changed(desk: Desk, payment_id: str) -> None:
    desk.entry(payment_id, request=None)
    desk.request(payment_id, reference="another")


SEEDS: dict[str, tuple[Callable[[Desk, str], None], str]] = {
    "lost-row": (_lose_row, "is settled, but not in the ledger"),
    "never-posted": (_lose_open_row, "is not in the ledger"),
    "never-accepted": (_lose_entry, "was posted, but never accepted"),
    "unreadable": (_unreadable, "its entry cannot be read"),
    "amount": (_amount, "journal and ledger differ in amount"),
    "unbalanced": (_unbalanced, "its lines do not balance"),
    "two-currencies": (_two_currencies, "its lines do not balance"),
    "no-lines": (_no_lines, "its lines are not those of the payment"),
    "other-account": (_other_account, "its lines are not those of the payment"),
    "reference": (_reference, "journal and ledger differ in reference"),
    "accepted-at": (_later, "journal and ledger differ in accepted_at"),
    "forged": (_forged, "the journal's request is not what its fingerprint says"),
    "hidden": (_hidden, "is in a shard of the work list where nobody looks for it"),
    "stripped-and-changed": (_stripped_and_changed, "journal and ledger differ in request"),
}


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.integers(0, 29), st.sampled_from(sorted(SEEDS)), max_size=8),
    st.integers(1, 12),
    st.integers(1, 5),
)
def test_exactly_the_seeded_differences_are_found_whatever_the_pages(
    seeds: dict[int, str], page: int, seconds: int
) -> None:
    """In as many invocations as it takes."""
    desk = Desk(*[OLD] * 30)
    expected = set()
    for number, kind in seeds.items():
        seed, told = SEEDS[kind]
        seed(desk, desk.ids[number])
        expected.add(Difference(desk.ids[number], told))
    desk.journal.before = desk.ledger.before = lambda _call: desk.clock.pass_time(1)
    for _ in range(200):
        done = desk.audit(seconds, page=page)
        assert done.mistakes.count == 0
        if done.finished:
            break
    assert done.finished
    assert set(desk.told) == expected
    assert len(desk.told) == len(expected)


def test_every_field_of_a_payment_is_compared() -> None:
    changes: dict[str, PaymentRequest] = {}
    desk = Desk(*[OLD] * 6)
    posted = desk.ledger.payments
    for name, change in {
        "merchant_id": {"merchant_id": "rival"},
        "amount": {"money": Money(1, "USD")},
        "currency": {"money": Money(1250, "EUR")},
        "debtor": {"debtor": "eve"},
        "creditor": {"creditor": "eve"},
        "reference": {"reference": "x"},
    }.items():
        changes[name] = replace(posted[desk.ids[len(changes)]].request, **change)  # type: ignore[arg-type]
    for payment_id, request in zip(desk.ids, changes.values(), strict=True):
        posted[payment_id] = replace(posted[payment_id], request=request)
    desk.audit()
    kinds = {each.kind for each in desk.told if each.kind.startswith("journal")}
    assert kinds == {f"journal and ledger differ in {name}" for name in changes}


@pytest.mark.parametrize("age", [0.0, YOUNG.total_seconds() - 1, -60.0])
def test_what_may_be_on_its_way_is_no_difference_yet(age: float) -> None:
    desk = Desk()
    desk.journal.put(journalled(desk.clock, "young", age=age))
    assert desk.audit().finished
    assert not desk.told


@pytest.mark.parametrize("age", [YOUNG.total_seconds(), -3600.0], ids=["old", "from-the-future"])
def test_what_should_have_arrived_is_a_difference(age: float) -> None:
    desk = Desk()
    desk.journal.put(journalled(desk.clock, "late", age=age))
    desk.audit()
    assert [each.kind for each in desk.told] == ["is not in the ledger"]


def test_payments_made_while_it_runs_are_no_differences() -> None:
    """Accepted and posted between reading one side and the other, and settled, too."""
    desk = Desk(*[OLD] * 5)
    number = iter(range(1000))

    def busy(_call: str) -> None:
        desk.ledger.before = desk.journal.before = lambda _call: None
        desk.add(f"new {next(number)}", 0.0)
        desk.journal.put(journalled(desk.clock, f"open {next(number)}", age=0.0))
        desk.ledger.before = desk.journal.before = busy

    desk.ledger.before = desk.journal.before = busy
    assert desk.audit().finished
    assert not desk.told


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (record(active=THERE), "not-active"),
        (record(phase=Phase.FENCING), "not-active"),
        (record(phase=Phase.RECOVERING), "recovering"),
    ],
)
def test_only_the_active_region_audits(now: Any, reason: str) -> None:
    desk = Desk(OLD)
    desk.control.record = now
    done = desk.audit()
    assert (done.stopped, done.compared, done.age_hours) == (reason, 0, None)
    assert not desk.progress.bookmarks


def test_one_audit_a_day() -> None:
    desk = Desk(OLD)
    first = desk.audit()
    assert (first.compared, first.finished, first.age_hours) == (1, True, 0.0)
    desk.clock.pass_time(3600)
    again = desk.audit()
    assert (again.compared, again.finished, again.age_hours) == (0, True, 1.0)
    desk.clock.pass_time(24 * 3600)
    assert desk.audit().compared == 1


def test_the_age_counts_from_the_first_audit_until_one_got_through() -> None:
    desk = Desk(OLD)
    desk.journal.before = lambda _call: desk.clock.pass_time(2)
    assert desk.audit(seconds=1).stopped == "time"
    desk.journal.before = lambda _call: None
    desk.clock.pass_time(7200)
    desk.ledger.down = "unreachable"
    done = desk.audit()
    assert done.stopped == "ledger-unreachable"
    assert done.age_hours is not None
    assert done.age_hours > 1.9


def test_a_takeover_makes_an_audit_begin_anew() -> None:
    desk = Desk(*[OLD] * 3)
    desk.journal.before = lambda _call: desk.clock.pass_time(2)
    assert desk.audit(seconds=1).stopped == "time"
    desk.control.record = record(epoch=2)
    desk.journal.before = lambda _call: None
    desk.clock.pass_time(4)
    assert desk.audit().compared == 3


def test_a_takeover_while_a_page_is_read_says_nothing_of_that_page() -> None:
    desk = Desk(OLD)
    _lose_row(desk, desk.ids[0])

    def take_over(call: str) -> None:
        if call == "held":
            desk.clock.pass_time(4)
            desk.control.record = record(epoch=2, active=HERE)

    desk.ledger.before = take_over
    assert desk.audit().stopped == "unavailable"
    assert not desk.told


def test_of_two_auditors_one_gives_way() -> None:
    desk = Desk(*[OLD] * 3)
    other: list[Audited] = []

    def both(call: str) -> None:
        if call == "scan":
            desk.journal.before = lambda _call: None
            other.append(desk.audit())

    desk.journal.before = both
    assert desk.audit().stopped == "overtaken"
    assert other[0].finished


@pytest.mark.parametrize(
    ("trouble", "stopped"),
    [
        (LedgerUnavailable("slow"), "ledger-slow"),
        (LedgerUnavailable("no-credentials", mistake=KeyError("x")), "ledger-no-credentials"),
        (PermissionError("AccessDenied"), "mistake"),
    ],
)
def test_trouble_ends_a_run_well_and_the_next_goes_on(trouble: Exception, stopped: str) -> None:
    desk = Desk(*[OLD] * 3)
    desk.ledger.broken = trouble
    done = desk.audit()
    assert done.stopped == stopped
    assert done.mistakes.count == (stopped != "ledger-slow")
    desk.ledger.broken = None
    assert desk.audit().finished


def test_a_difference_is_told_before_the_bookmark_moves_past_it() -> None:
    desk = Desk(OLD)
    _lose_row(desk, desk.ids[0])
    real_write = desk.progress.write

    def crash(*_arguments: object) -> bool:
        raise Unavailable("progress")

    desk.progress.write = crash  # type: ignore[method-assign,assignment]
    desk.audit()
    desk.progress.write = real_write  # type: ignore[method-assign]
    desk.audit()
    assert [each.kind for each in desk.told] == ["is settled, but not in the ledger"] * 2


def test_a_bookmark_that_makes_no_sense_is_begun_anew() -> None:
    desk = Desk(OLD)
    desk.progress.bookmarks["audit"] = {"stage": "odd", "version": 4}
    assert desk.audit().finished
    kept = bookmark(desk.progress.bookmarks["audit"])
    assert kept is not None
    assert bookmark(kept.stored()) == kept


def test_only_old_settled_entries_that_are_equal_lose_their_request() -> None:
    desk = Desk(ANCIENT, ANCIENT, ANCIENT, ANCIENT, OLD)
    kept_open, differs, lost, stripped, recent = desk.ids
    desk.entry(kept_open, open=shard(kept_open))
    _reference(desk, differs)
    _lose_row(desk, lost)
    done = desk.audit()
    assert (done.stripped, done.mistakes.count) == (1, 0)
    requests = {each: entry.request for each, entry in desk.journal.entries.items()}
    assert requests.pop(stripped) is None
    assert None not in requests.values()
    assert recent in requests
    desk.clock.pass_time(86_400)
    assert desk.audit().stripped == 0


def test_a_stripped_entry_still_holds_its_key_and_is_still_compared() -> None:
    desk = Desk(ANCIENT)
    (old,) = desk.ids
    before = desk.journal.entries[old]
    desk.audit()
    assert desk.journal.entries[old] == replace(before, request=None)
    assert not desk.told
    posted: Payment = desk.ledger.payments[old]
    assert posted.fingerprint == before.fingerprint


def test_a_retention_of_no_days_is_a_mistake_and_strips_nothing() -> None:
    desk = Desk(ANCIENT)
    assert desk.audit(days=0).stopped == "mistake"
    assert desk.journal.entries[desk.ids[0]].request is not None


def test_an_entry_that_cannot_be_stripped_holds_up_no_other() -> None:
    desk = Desk(ANCIENT, ANCIENT)
    real_strip = desk.journal.strip

    def strip(payment_id: str) -> None:
        if payment_id == desk.ids[0]:
            raise KeyError(payment_id)
        real_strip(payment_id)

    desk.journal.strip = strip  # type: ignore[method-assign]
    done = desk.audit()
    assert (done.stripped, done.finished) == (1, True)
    assert [mistake.payment_id for mistake in done.mistakes.first] == [desk.ids[0]]
