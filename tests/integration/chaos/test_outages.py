"""One thing is gone, for certain and for long enough: what clients are told, and what becomes of payments."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from failover.control import LEASE_SECONDS
from lab.faults import Mode, Rule, write_conflict
from ops.traffic import Outcome, Sent
from tests.integration.chaos.traffic import HANDSHAKES_CUT_SHORT, PATIENCE, Shop

pytestmark = [pytest.mark.lab, HANDSHAKES_CUT_SHORT]
_GIVE_UP = replace(PATIENCE, payment=8.0)
_SWEPT_WITHIN = 90.0  # seconds
_PUT = "PutItem"


@pytest.fixture(autouse=True)
def healed(shop: Shop) -> Iterator[None]:
    yield
    shop.control.set_faults(shop.region)
    shop.control.start_database(shop.region)


def try_to_pay(shop: Shop, name: str, *rules: Rule) -> tuple[Sent, ...]:
    """A few payments while the rules stand, by clients that give up; afterwards nothing is wrong any more."""
    shop.control.set_faults(shop.region, *rules)
    sent = shop.send(shop.orders(name, rate=4.0, seconds=1.0, seed=0, clients=2), patience=_GIVE_UP)
    shop.control.kill_functions(shop.region, "*-api-*")  # or one that still works for nobody ends it well
    shop.control.set_faults(shop.region)
    return sent


def statuses(sent: tuple[Sent, ...]) -> set[int]:
    """What clients were answered, but for the sessions that were opened."""
    return {
        attempt.status
        for one in sent
        for attempt in one.attempts
        if attempt.status and (attempt.path, attempt.status) != ("/sessions", 201)
    }


def journalled(shop: Shop, sent: tuple[Sent, ...]) -> set[bool]:
    return {shop.journalled(one.order.key) for one in sent}


def test_without_the_journal_nothing_is_acknowledged_and_nothing_stored(shop: Shop) -> None:
    unreachable = Rule(Mode.REFUSE, service="dynamodb", resource=shop.tables.journal)
    sent = try_to_pay(shop, "no-journal", unreachable)
    assert statuses(sent) == {503}
    assert journalled(shop, sent) == {False}
    assert not shop.posted(sent)


def test_conflicts_without_end_are_no_acknowledgement_either(shop: Shop) -> None:
    sent = try_to_pay(shop, "conflicts", write_conflict(shop.tables.journal, probability=1.0, seed=0))
    assert statuses(sent) == {503}
    assert journalled(shop, sent) == {False}


def test_without_the_control_record_payments_end_with_the_lease(shop: Shop) -> None:
    """The leases that functions hold are good for as long as they say; then 503."""
    unreachable = Rule(Mode.REFUSE, service="dynamodb", resource=shop.tables.control)
    shop.control.set_faults(shop.region, unreachable)
    time.sleep(LEASE_SECONDS + 0.2)  # what a lease is: time that passes
    sent = try_to_pay(shop, "no-control", unreachable)
    assert statuses(sent) == {503}
    assert journalled(shop, sent) == {False}


def test_a_journal_write_whose_answer_is_lost_counts_and_the_retry_joins_it(shop: Shop) -> None:
    lost = Rule(Mode.LOSE_ANSWER, service="dynamodb", operation=_PUT, resource=shop.tables.journal)
    sent = try_to_pay(shop, "lost-answers", lost)
    assert statuses(sent) == {503}, "unknown to the client"
    assert journalled(shop, sent) == {True}, "and decided"
    again = shop.send([replace(one.order, due=0.0) for one in sent])
    assert {one.outcome for one in again} == {Outcome.POSTED}
    shop.settle()


def test_a_function_that_dies_between_journal_and_ledger_leaves_a_payment_that_is_posted(shop: Shop) -> None:
    """Nobody asks again: the clients gave up, and the sweep posts what the journal holds."""
    dies = Rule(Mode.KILL, service="dynamodb", operation=_PUT, resource=shop.tables.journal)
    sent = try_to_pay(shop, "dies", dies)
    assert not any(one.acknowledged for one in sent)
    assert journalled(shop, sent) == {True}
    shop.sweep()
    shop.wait_posted(sent, within=_SWEPT_WITHIN)
    shop.settle()


def test_what_the_ledger_missed_is_posted_soon_after_its_return(shop: Shop) -> None:
    """Nobody asks again. At least 95 % within a minute, the rest soon after."""
    shop.control.stop_database(shop.region)
    sent = shop.send(shop.orders("no-ledger", rate=6.0, seconds=5.0, seed=0))
    assert {one.outcome for one in sent} == {Outcome.ACCEPTED}
    shop.control.start_database(shop.region)
    shop.sweep()
    shop.wait_posted(sent, share=0.95, within=60.0)
    shop.wait_posted(sent, within=_SWEPT_WITHIN)
    shop.settle()
