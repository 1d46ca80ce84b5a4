"""Accepting a payment: refuse what can be refused, decide in the journal, then post to the ledger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from failover.clock import Clock
from failover.control import Phase
from payments.currencies import CURRENCIES
from payments.errors import (
    AccountClosed,
    CurrencyMismatch,
    IdempotencyKeyReused,
    NotAcceptable,
    SameAccount,
    UnknownAccount,
    UnknownCurrency,
)
from payments.idempotency import fingerprint, idempotency_key, payment_id
from payments.journal import new_entry
from payments.lease import Lease, Leases
from payments.model import Account, Payment, PaymentRequest, Standing, Status
from payments.outcome import Outcome, outcome
from payments.parse import payment_request
from payments.ports import Directory, Journal, Ledger, Parties, Sessions
from payments.sessions import authenticated, check_open


def accept_payment(
    token: str | None,
    key: str | None,
    body: bytes,
    *,
    sessions: Sessions,
    directory: Directory,
    leases: Leases,
    journal: Journal,
    ledger: Ledger,
    clock: Clock,
) -> Outcome:
    """The payment path. Once the journal holds the entry nothing may refuse it any more: it will be posted.

    Both outcomes promise the same: executed exactly once. A retry joins here and may post; nothing is ever
    "in flight". Raises Refused or NotActive when nothing was stored, Unavailable when that is unknown.
    """
    merchant_id = authenticated(token, sessions=sessions, clock=clock)
    idempotent_id = payment_id(merchant_id, idempotency_key(key))
    request = payment_request(merchant_id, body)
    parties = directory.parties(merchant_id, (request.debtor, request.creditor))
    lease = leases.hold()
    payment = Payment(idempotent_id, fingerprint(request), request, _time(clock))
    try:
        check_acceptable(request, parties)
    except NotAcceptable:
        # What was acceptable once, and was journalled then, is paid: a retry is not told otherwise.
        held = journal.find(idempotent_id)
        if held is None:
            raise
    else:
        held = journal.put(new_entry(payment, lease.epoch))
    if held.fingerprint != payment.fingerprint:
        raise IdempotencyKeyReused
    # The fingerprint covers the whole request, so this is what was decided, even where only it is kept.
    return _posted(replace(payment, accepted_at=held.accepted_at), lease, ledger)


def check_acceptable(request: PaymentRequest, parties: Parties) -> None:
    """Everything a payment can be refused for, before anything is stored. There is no balance check."""
    check_open(parties.merchant)
    if request.money.currency not in CURRENCIES:
        raise UnknownCurrency
    if request.debtor == request.creditor:
        raise SameAccount
    debtor = parties.accounts.get(request.debtor)
    if debtor is not None and debtor.merchant_id not in (None, request.merchant_id):
        debtor = None  # somebody else's account is as good as none, and is not given away
    for field, account in (("debtor", debtor), ("creditor", parties.accounts.get(request.creditor))):
        _check_account(field, account, request.money.currency)


def _check_account(field: str, account: Account | None, currency: str) -> None:
    if account is None:
        raise UnknownAccount(field)
    if account.status is not Standing.OPEN:
        raise AccountClosed(field)
    if account.currency != currency:
        raise CurrencyMismatch(field)


def _time(clock: Clock) -> datetime:
    """To the millisecond, as the journal stores it: whoever posts the payment posts the same."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(clock.now().wall * 1000))


def _posted(payment: Payment, lease: Lease, ledger: Ledger) -> Outcome:
    """The ledger compares the epoch of the poster's own lease with its fence, never the entry's."""
    if lease.phase is not Phase.STEADY:
        return Outcome(payment, Status.ACCEPTED, lease.phase.value)

    def post() -> bool:
        ledger.post(payment, lease.epoch)
        return True

    return outcome(payment, post)
