from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.control import LEASE_SECONDS, Phase
from payments import errors
from payments.accept import accept_payment
from payments.find import find_payment
from payments.health import healthy
from payments.model import Standing, Status
from payments.outcome import Outcome
from payments.sessions import secret_hash
from tests.unit.payments.fakes import BODY, HERE, OTHER_TOKEN, THERE, TOKEN, World, record


def accept(
    world: World, key: str | None = "order-1", body: bytes = BODY, token: str | None = TOKEN
) -> Outcome:
    return accept_payment(
        token,
        key,
        body,
        sessions=world.sessions,
        directory=world.directory,
        leases=world.leases,
        journal=world.journal,
        ledger=world.ledger,
        clock=world.clock,
    )


def find(world: World, payment_id: str, token: str = TOKEN) -> Outcome:
    return find_payment(
        token,
        payment_id,
        sessions=world.sessions,
        directory=world.directory,
        leases=world.leases,
        journal=world.journal,
        ledger=world.ledger,
        clock=world.clock,
    )


def test_a_payment_is_journalled_then_posted() -> None:
    world = World()
    outcome = accept(world)
    assert outcome.status is Status.POSTED
    entry = world.journal.entries[outcome.payment.payment_id]
    assert (entry.epoch, entry.open is not None) == (1, True)
    assert [line.money.amount for line in world.ledger.lines] == [-1250, 1250]


def test_the_time_of_acceptance_survives_the_journal() -> None:
    world = World()
    world.clock.wall += 0.123456
    assert accept(world).payment.accepted_at.microsecond == 123000


def test_a_retry_joins_and_changes_nothing() -> None:
    world = World()
    first = accept(world)
    world.clock.pass_time(100)
    assert accept(world) == first
    assert len(world.ledger.lines) == 2


def test_a_retry_posts_what_could_not_be_posted() -> None:
    world = World()
    world.ledger.down = "unreachable"
    first = accept(world)
    assert (first.status, first.not_posted) == (Status.ACCEPTED, "unreachable")
    world.ledger.down = ""
    second = accept(world)
    assert (second.status, second.payment) == (Status.POSTED, first.payment)


def test_what_the_journal_holds_is_never_a_failure_whatever_the_ledger_does() -> None:
    world = World()
    world.ledger.broken = mistake = ZeroDivisionError()
    outcome = accept(world)
    assert (outcome.status, outcome.not_posted, outcome.mistake) == (Status.ACCEPTED, "mistake", mistake)
    read = find(world, outcome.payment.payment_id)
    assert (read.status, read.not_posted, read.mistake) == (Status.ACCEPTED, "mistake", mistake)
    world.ledger.broken = errors.LedgerUnavailable("no-credentials", mistake=mistake)
    outcome = accept(world)
    assert (outcome.status, outcome.not_posted) == (Status.ACCEPTED, "no-credentials")
    assert outcome.mistake is mistake


def test_a_lost_answer_of_the_journal_is_unknown_and_the_retry_joins() -> None:
    world = World()
    world.journal.answers_lost = 1
    with pytest.raises(errors.Unavailable):
        accept(world)
    assert accept(world).status is Status.POSTED
    assert len(world.journal.entries) == 1


def test_the_same_key_with_another_payment_is_refused() -> None:
    world = World()
    accept(world)
    with pytest.raises(errors.IdempotencyKeyReused):
        accept(world, body=BODY.replace(b"1250", b"1251"))
    assert len(world.ledger.payments) == 1


def test_keys_belong_to_a_merchant() -> None:
    world = World()
    assert accept(world).payment.payment_id != accept(world, token=OTHER_TOKEN).payment.payment_id


def test_while_recovering_nothing_is_posted() -> None:
    world = World()
    world.control.record = record(phase=Phase.RECOVERING)
    outcome = accept(world)
    assert (outcome.status, outcome.not_posted) == (Status.ACCEPTED, "recovering")
    assert not world.ledger.payments


def test_the_posters_epoch_counts_not_the_entrys() -> None:
    world = World()
    world.ledger.down = "unreachable"
    accept(world)
    world.control.record = record(epoch=2)
    world.clock.pass_time(LEASE_SECONDS)
    world.ledger.down, world.ledger.fence = "", 2
    assert accept(world).status is Status.POSTED


def test_behind_the_fence_a_payment_stays_accepted() -> None:
    world = World()
    world.ledger.fence = 2
    outcome = accept(world)
    assert (outcome.status, outcome.not_posted) == (Status.ACCEPTED, "fenced")


@pytest.mark.parametrize("fault", ["standby", "control", "journal"])
def test_without_lease_or_journal_nothing_is_acknowledged(fault: str) -> None:
    world = World()
    world.control.record = record(THERE if fault == "standby" else HERE)
    world.control.down = fault == "control"
    world.journal.down = fault == "journal"
    with pytest.raises(errors.NotActive if fault == "standby" else errors.Unavailable):
        accept(world)
    assert not world.journal.entries
    assert not world.ledger.payments


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ((b"alice", b"nobody"), errors.UnknownAccount),
        ((b"bob", b"nobody"), errors.UnknownAccount),
        ((b"alice", b"bob"), errors.SameAccount),
        ((b"bob", b"carol"), errors.CurrencyMismatch),
        ((b"bob", b"dave"), errors.AccountClosed),
        ((b"USD", b"XTS"), errors.UnknownCurrency),
        ((b"1250", b"0"), errors.Malformed),
    ],
)
def test_what_is_refused_is_not_stored(change: tuple[bytes, bytes], error: type[Exception]) -> None:
    world = World()
    with pytest.raises(error):
        accept(world, body=BODY.replace(*change))
    assert not world.journal.entries


def close_alice(world: World) -> None:
    alice = world.directory.accounts["alice"]
    world.directory.accounts["alice"] = replace(alice, status=Standing.CLOSED)


def test_a_retry_is_not_refused_for_what_changed_since_the_journal_decided() -> None:
    """Who is told that a decided payment was refused pays again, under another key."""
    world = World()
    world.journal.answers_lost = 1
    with pytest.raises(errors.Unavailable):
        accept(world)
    close_alice(world)
    assert accept(world).status is Status.POSTED
    assert accept(world) == accept(world)
    with pytest.raises(errors.AccountClosed):
        accept(world, "order-2")
    assert len(world.journal.entries) == 1


def test_a_key_that_was_used_is_said_to_be_even_if_the_other_payment_is_not_acceptable() -> None:
    world = World()
    accept(world)
    close_alice(world)
    with pytest.raises(errors.IdempotencyKeyReused):
        accept(world, body=BODY.replace(b"1250", b"1251"))


@pytest.mark.parametrize("fault", ["standby", "journal"])
def test_nothing_is_refused_while_it_is_unknown_what_the_journal_decided(fault: str) -> None:
    world = World()
    accept(world)
    close_alice(world)
    world.clock.pass_time(LEASE_SECONDS)
    world.control.record = record(THERE if fault == "standby" else HERE)
    world.journal.down = fault == "journal"
    with pytest.raises(errors.NotActive if fault == "standby" else errors.Unavailable):
        accept(world)


def test_another_merchants_account_can_be_credited_but_not_debited() -> None:
    world = World()
    turned = BODY.replace(b"alice", b"x").replace(b"bob", b"alice").replace(b'"x"', b'"bob"')
    with pytest.raises(errors.UnknownAccount):
        accept(world, body=turned)
    assert accept(world, body=turned, token=OTHER_TOKEN).status is Status.POSTED


@pytest.mark.parametrize("token", [None, "", "ses_wrong", "x" * 5000, "caf\u00e9"])
def test_a_session_is_needed(token: str | None) -> None:
    with pytest.raises(errors.Unauthenticated):
        accept(World(), token=token)


def test_a_session_ends_even_while_it_is_still_stored() -> None:
    world = World()
    world.clock.pass_time(600)
    with pytest.raises(errors.Unauthenticated):
        accept(world)


def test_a_closed_merchant_is_not_served() -> None:
    world = World()
    payment_id = accept(world).payment.payment_id
    world.directory.merchants["shop"] = replace(world.directory.merchants["shop"], status=Standing.CLOSED)
    with pytest.raises(errors.Unauthenticated):
        accept(world, "order-2")
    with pytest.raises(errors.Unauthenticated):
        find(world, payment_id)


def test_a_payment_reads_as_the_ledger_has_it() -> None:
    world = World()
    payment_id = accept(world).payment.payment_id
    assert find(world, payment_id).status is Status.POSTED
    world.ledger.payments.clear()  # a failover lost it; it will be posted again
    assert find(world, payment_id).status is Status.ACCEPTED
    world.ledger.down = "unreachable"
    assert find(world, payment_id).status is Status.ACCEPTED


def test_a_payment_is_found_only_by_its_merchant_and_only_under_a_lease() -> None:
    world = World()
    payment_id = accept(world).payment.payment_id
    with pytest.raises(errors.NotFound):
        find(world, payment_id, OTHER_TOKEN)
    with pytest.raises(errors.NotFound):
        find(world, "pay_" + "a" * 32)
    with pytest.raises(errors.NotFound):
        find(world, "../health")
    world.control.record = record(THERE, epoch=2)
    world.clock.pass_time(LEASE_SECONDS)
    with pytest.raises(errors.NotActive):
        find(world, payment_id)


def strip(world: World, payment_id: str) -> None:
    """As the retention time leaves an entry."""
    world.journal.settle(payment_id)
    world.journal.strip(payment_id)


def test_a_key_is_good_for_ever_even_when_the_request_is_gone() -> None:
    world = World()
    first = accept(world)
    strip(world, first.payment.payment_id)
    world.clock.pass_time(500 * 86_400.0)
    token = "ses_later"
    session = next(iter(world.sessions.sessions.values()))
    expires_at = datetime.fromtimestamp(world.clock.wall + 600, UTC)
    world.sessions.put(replace(session, token_hash=secret_hash(token), expires_at=expires_at))
    assert accept(world, token=token).payment == first.payment
    with pytest.raises(errors.IdempotencyKeyReused):
        accept(world, body=BODY.replace(b"1250", b"1251"), token=token)
    assert len(world.ledger.lines) == 2


def test_a_payment_whose_request_is_gone_is_read_from_the_ledger_by_its_merchant() -> None:
    world = World()
    outcome = accept(world)
    strip(world, outcome.payment.payment_id)
    assert find(world, outcome.payment.payment_id) == outcome
    with pytest.raises(errors.NotFound):
        find(world, outcome.payment.payment_id, OTHER_TOKEN)


def test_without_the_ledger_a_payment_whose_request_is_gone_is_unknown() -> None:
    world = World()
    payment_id = accept(world).payment.payment_id
    strip(world, payment_id)
    world.ledger.down = "unreachable"
    with pytest.raises(errors.Unavailable):
        find(world, payment_id)
    world.ledger.down = ""
    mistake = KeyError("password")
    world.ledger.broken = errors.LedgerUnavailable("no-credentials", mistake=mistake)
    with pytest.raises(KeyError, match="password"):
        find(world, payment_id)
    world.ledger.broken = None
    world.ledger.payments.clear()
    with pytest.raises(errors.Unavailable):
        find(world, payment_id)


def test_health_follows_the_lease_and_the_journal_but_not_the_ledger() -> None:
    world = World()
    assert healthy(leases=world.leases, journal=world.journal)
    world.ledger.down = "unreachable"
    assert healthy(leases=world.leases, journal=world.journal)
    world.journal.down = True
    assert not healthy(leases=world.leases, journal=world.journal)
    world.journal.down = False
    world.clock.pass_time(LEASE_SECONDS)
    world.control.record = record(HERE, Phase.FENCING, epoch=2)
    assert not healthy(leases=world.leases, journal=world.journal)
    assert world.clock.slept == 0


@given(st.lists(st.sampled_from(["send", "ledger", "lose", "fence", "recover", "steady"]), max_size=25))
def test_whatever_happens_one_key_is_one_payment(steps: list[str]) -> None:
    world = World()
    acknowledged = 0
    epoch = 1
    for step in steps:
        world.clock.pass_time(LEASE_SECONDS)
        match step:
            case "send":
                try:
                    accept(world)
                    acknowledged += 1
                except (errors.Unavailable, errors.NotActive):
                    pass
            case "ledger":
                world.ledger.down = "" if world.ledger.down else "unreachable"
            case "lose":
                world.journal.answers_lost = 1
            case "fence":
                epoch += 1
                world.control.record = record(HERE, Phase.FENCING, epoch)
            case "recover" | "steady":
                world.ledger.fence = epoch if step == "steady" else world.ledger.fence
                phase = Phase.STEADY if step == "steady" else Phase.RECOVERING
                world.control.record = record(HERE, phase, epoch)
    assert len(world.journal.entries) <= 1
    assert len(world.journal.entries) >= min(acknowledged, 1)
    assert world.ledger.payments.keys() <= world.journal.entries.keys()
    assert len(world.ledger.lines) == 2 * len(world.ledger.payments)
