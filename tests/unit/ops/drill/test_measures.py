"""The numbers a drill is judged by."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.drill.books import Books
from ops.drill.measures import (
    PAYMENTS,
    Acknowledgement,
    Asked,
    Entry,
    Try,
    acknowledgements,
    duplicated,
    lost,
    posted_in_time,
    recovered,
    rpo,
    tried,
    two_active,
)
from ops.traffic import Attempt, Outcome
from tests.unit.ops.drill.recorded import BEGAN, asked, booked, failed, lines, order, paid, row, steady


def test_without_a_failure_it_takes_no_time() -> None:
    assert recovered(steady(2, 0, 80), since=10.0, window=60.0, clients=2) == 10.0


def test_it_counts_to_the_end_of_the_last_failure_before_the_window() -> None:
    attempts = [*steady(2, 0, 10), failed(0, 10.0, 2.0), failed(1, 30.0, 5.0), *steady(2, 35.0, 100.0)]
    assert recovered(attempts, since=10.0, window=60.0, clients=2) == 35.0


def test_one_failure_inside_the_window_begins_it_anew() -> None:
    attempts = [*steady(2, 0, 50), failed(0, 50.0), *steady(2, 50.1, 120.0)]
    assert recovered(attempts, since=5.0, window=60.0, clients=2) == pytest.approx(50.1)


def test_a_window_that_has_not_ended_is_none() -> None:
    assert recovered(steady(2, 0, 50), since=10.0, window=60.0, clients=2) is None


def test_every_client_has_to_succeed() -> None:
    attempts = steady(2, 0, 100)
    assert recovered(attempts, since=10.0, window=60.0, clients=3) is None
    only_later = [*attempts, paid(2, 95.0)]
    assert recovered(only_later, since=10.0, window=60.0, clients=3) is None


def test_what_failed_before_the_fault_is_not_its_doing() -> None:
    assert recovered([failed(0, 1.0), *steady(1, 2, 80)], since=10.0, window=60.0, clients=1) == 10.0


def test_an_attempt_begun_before_the_fault_that_fails_after_it_is() -> None:
    attempts = [*steady(1, 0, 9), failed(0, 9.0, 4.0), *steady(1, 13.0, 80)]
    assert recovered(attempts, since=10.0, window=60.0, clients=1) == 13.0


attempts_of_two = st.lists(
    st.builds(
        lambda client, at, seconds, fails: (failed if fails else paid)(client, at, seconds),
        st.integers(0, 1),
        st.floats(0, 60),
        st.floats(0, 9),
        st.booleans(),
    ),
    max_size=30,
)


@given(attempts_of_two, st.floats(1, 20))
def test_whatever_happened_no_failure_reaches_into_the_window(attempts: list[Try], window: float) -> None:
    begins = recovered(attempts, since=5.0, window=window, clients=2)
    if begins is not None:
        assert begins >= 5.0
        assert not any(one.failed and one.at < begins + window and one.ended > begins for one in attempts)
        inside = [one for one in attempts if one.paid and begins <= one.at and one.ended <= begins + window]
        assert {one.client for one in inside} == {0, 1}


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (PAYMENTS, 201, (True, False)),
        (PAYMENTS, 202, (True, False)),
        (PAYMENTS, 503, (False, True)),
        (PAYMENTS, None, (False, True)),
        (PAYMENTS, 422, (False, True)),
        (PAYMENTS, 401, (False, False)),
        ("/sessions", 201, (False, False)),
        ("/sessions", 503, (False, True)),
    ],
)
def test_what_an_attempt_is_to_its_client(path: str, status: int | None, expected: tuple[bool, bool]) -> None:
    one = tried(order(), Attempt(path, 1.0, 0.5, status))
    assert (one.paid, one.failed) == expected


def test_what_is_in_the_ledger_as_it_was_asked_for_is_not_lost() -> None:
    one, other = asked(1), asked(2, outcome=Outcome.ACCEPTED)
    assert lost([one, other], booked(one, other)) == []


def test_what_was_never_acknowledged_cannot_be_lost() -> None:
    assert lost([asked(1, outcome=Outcome.UNKNOWN), asked(2, outcome=Outcome.REFUSED)], booked()) == []


@pytest.mark.parametrize(
    "books",
    [
        booked(),
        Books((row(asked(1), amount=99),), {asked(1).id: lines(asked(1))}),
        Books((row(asked(1)),), {}),
        Books((row(asked(1)), row(asked(1))), {asked(1).id: lines(asked(1))}),
        Books((row(asked(1)),), {asked(1).id: ((1, "debtor", -100, "USD"),)}),
    ],
    ids=["missing", "another amount", "no entries", "twice", "one entry"],
)
def test_acknowledged_and_not_there_exactly_once_and_right_is_lost(books: Books) -> None:
    assert lost([asked(1)], books) == [asked(1)]


def test_twice_is_found_also_under_another_id() -> None:
    one = asked(1)
    again = replace(row(one), payment_id="pay_other")
    assert duplicated([one], booked(one)) == 0
    assert duplicated([one], Books((row(one), again), {})) == 1


def test_the_rpo_reaches_back_to_the_oldest_payment_that_is_missing() -> None:
    assert rpo([], fault=30.0) == 0.0
    assert rpo([asked(1, at=29.0), asked(2, at=25.5)], fault=30.0) == 4.5
    assert rpo([asked(1, at=31.0)], fault=30.0) == 0.0


def entry(seconds: float, epoch: int) -> Entry:
    return Entry(BEGAN + timedelta(seconds=seconds), epoch)


def test_the_epoch_of_an_acknowledgement_is_known_where_its_attempt_made_the_entry() -> None:
    one = asked(1, at=4.0)
    assert acknowledgements([one], {one.id: entry(4.05, 3)}, BEGAN) == [Acknowledgement(3, 4.0, 4.1)]


def test_a_retry_that_joins_an_older_entry_says_nothing_about_epochs() -> None:
    """Or the old epoch would seem to acknowledge as long as clients retry what it left unanswered."""
    one = asked(1, attempts=(Attempt(PAYMENTS, 4.0, 1.0, None), Attempt(PAYMENTS, 90.0, 0.1, 201)))
    assert acknowledgements([one], {one.id: entry(4.05, 3)}, BEGAN) == []


def test_what_has_no_entry_or_no_acknowledgement_is_left_out() -> None:
    refused: Asked = asked(2, outcome=Outcome.REFUSED)
    assert acknowledgements([asked(1), refused], {refused.id: entry(0.05, 3)}, BEGAN) == []


def test_epochs_one_after_the_other_do_not_overlap() -> None:
    found = [Acknowledgement(1, 0.0, 0.1), Acknowledgement(1, 9.0, 9.5), Acknowledgement(2, 9.3, 9.6)]
    assert two_active(found) == 0.0


def test_who_is_asked_after_another_epoch_answered_and_acknowledges_under_an_older_one_overlaps() -> None:
    found = [Acknowledgement(2, 10.0, 10.2), Acknowledgement(1, 11.0, 11.1), Acknowledgement(1, 13.2, 13.4)]
    assert two_active(found) == pytest.approx(3.0)


def test_the_share_of_202s_that_were_posted_in_a_minute() -> None:
    accepted = [asked(number, outcome=Outcome.ACCEPTED) for number in range(4)]
    steady_at = BEGAN + timedelta(seconds=100)
    in_time = booked(*accepted[:2], posted_at=steady_at + timedelta(seconds=60))
    late = booked(accepted[2], posted_at=steady_at + timedelta(seconds=61))
    books = Books((*in_time.rows, *late.rows), {})
    assert posted_in_time(accepted, books, BEGAN, steady_at) == 0.5
    assert posted_in_time([asked(9)], books, BEGAN, steady_at) is None
    assert posted_in_time(accepted, books, BEGAN, None) is None


def test_what_was_accepted_after_steady_has_its_minute_from_then_on() -> None:
    one = asked(1, at=130.0, outcome=Outcome.ACCEPTED)
    books = booked(one, posted_at=BEGAN + timedelta(seconds=180))
    assert posted_in_time([one], books, BEGAN, BEGAN + timedelta(seconds=100)) == 1.0
