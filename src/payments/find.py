"""Reading a payment: what the journal decided, and whether the ledger has it yet."""

from failover.clock import Clock
from payments.errors import LedgerUnavailable, NotFound, Unavailable
from payments.idempotency import is_payment_id
from payments.journal import JournalEntry
from payments.lease import Leases
from payments.model import Status
from payments.outcome import Outcome, outcome
from payments.ports import Directory, Journal, Ledger, Sessions
from payments.sessions import authenticated, check_open


def find_payment(
    token: str | None,
    payment_id: str,
    *,
    sessions: Sessions,
    directory: Directory,
    leases: Leases,
    journal: Journal,
    ledger: Ledger,
    clock: Clock,
) -> Outcome:
    """The journal is complete: what it lacks does not exist. A ledger that cannot be asked reads `accepted`.

    Another merchant's payment is not found either: its id gives nothing away.
    """
    merchant_id = authenticated(token, sessions=sessions, clock=clock)
    check_open(directory.parties(merchant_id, ()).merchant)
    if not is_payment_id(payment_id):
        raise NotFound
    leases.hold()
    entry = journal.find(payment_id)
    if entry is None:
        raise NotFound
    if entry.request is None:
        return _from_ledger(entry, merchant_id, ledger)
    if entry.request.merchant_id != merchant_id:
        raise NotFound
    return outcome(entry.payment, lambda: ledger.find(payment_id) is not None)


def _from_ledger(entry: JournalEntry, merchant_id: str, ledger: Ledger) -> Outcome:
    """After the retention time only the ledger knows what was paid, and whose payment it was."""
    try:
        payment = ledger.find(entry.payment_id)
    except LedgerUnavailable as reason:
        raise reason.mistake or Unavailable(f"ledger: {reason.detail}") from reason
    if payment is None:  # settled, so it was there: the audit names it
        raise Unavailable("ledger: lacks a settled payment")
    if payment.request.merchant_id != merchant_id:
        raise NotFound
    return Outcome(payment, Status.POSTED)
