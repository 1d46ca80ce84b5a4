"""What must not be in a ledger, or not be missing from it, is found; and a seed makes one schedule."""

from dataclasses import replace

import pytest

from lab.faults import Mode
from ops.traffic import Order, Outcome, Sent
from tests.integration.chaos.books import Asked, Books, findings
from tests.integration.chaos.schedule import Tables, drawn

TABLES = Tables("journal", "control", "sessions")
ORDER = Order(0.0, 0, "key-1", 500, "USD", "debtor", "creditor", "order 1")


def told(outcome: Outcome, **changes: object) -> Asked:
    known = Asked("shop", Sent(ORDER, outcome, (), 1.0, {}))
    answer = ORDER.body() | {"payment_id": known.payment_id} | changes
    return Asked("shop", replace(known.sent, answer=answer))


def kept(asked: Asked) -> Books:
    return Books((asked.row(),), tuple(asked.entries()))


POSTED = told(Outcome.POSTED)
GOOD = kept(POSTED)
DEBIT, CREDIT = GOOD.entries


@pytest.mark.parametrize("outcome", [Outcome.POSTED, Outcome.ACCEPTED, Outcome.UNKNOWN])
def test_what_is_in_the_ledger_once_is_right_whatever_the_client_knows(outcome: Outcome) -> None:
    assert findings([told(outcome)], GOOD) == []


def test_what_nobody_was_promised_may_be_missing() -> None:
    assert findings([told(Outcome.UNKNOWN)], Books((), ())) == []


@pytest.mark.parametrize("outcome", [Outcome.POSTED, Outcome.ACCEPTED])
def test_what_was_promised_may_not(outcome: Outcome) -> None:
    (found,) = findings([told(outcome)], Books((), ()))
    assert "is not in the ledger" in found


@pytest.mark.parametrize(
    ("books", "said"),
    [
        (Books((replace(POSTED.row(), amount=501),), GOOD.entries), "as another payment"),
        (Books(GOOD.payments, (DEBIT,)), "wrong entries"),
        (Books(GOOD.payments, (DEBIT, CREDIT, DEBIT, CREDIT)), "wrong entries"),
        (Books(GOOD.payments, (replace(DEBIT, amount=-499), CREDIT)), "off by 1 USD"),
        (Books(GOOD.payments * 2, GOOD.entries), "2 times"),
        (
            Books((*GOOD.payments, replace(POSTED.row(), payment_id="pay_other")), GOOD.entries),
            "nobody asked",
        ),
        (Books(GOOD.payments, (*GOOD.entries, replace(DEBIT, payment_id="pay_x", amount=0))), "no payment"),
    ],
)
def test_what_is_wrong_is_found(books: Books, said: str) -> None:
    assert any(said in found for found in findings([POSTED], books))


def test_what_was_there_before_anybody_asked_is_nobody_s_fault() -> None:
    assert findings([], GOOD, before=GOOD.ids) == []
    assert findings([], GOOD)


def test_an_answer_about_another_payment_is_found() -> None:
    assert findings([told(Outcome.POSTED, amount=1)], GOOD)
    assert findings([told(Outcome.REFUSED)], GOOD)


def test_a_seed_makes_one_schedule_and_all_faults_are_drawn() -> None:
    assert drawn(1, 4.0, TABLES) == drawn(1, 4.0, TABLES) != drawn(2, 4.0, TABLES)
    events = [event for seed in range(200) for event in drawn(seed, 4.0, TABLES).events]
    assert {event.rule.mode for event in events if event.rule} == set(Mode) - {Mode.LAG}
    assert {"cut", "stop", "crash", "kill", "kill everything"} < {event.what for event in events}
    assert all(0 < event.at <= 4.0 and 0 <= event.seconds <= 1.5 for event in events)
