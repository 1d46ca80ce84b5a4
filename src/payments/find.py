"""Reading a payment: what the journal decided, and whether the ledger has it yet."""

from payments.clock import Clock
from payments.errors import NotFound
from payments.idempotency import is_payment_id
from payments.lease import Leases
from payments.outcome import Outcome, outcome
from payments.ports import Journal, Ledger, Sessions
from payments.sessions import authenticated


def find_payment(
    token: str | None,
    payment_id: str,
    *,
    sessions: Sessions,
    leases: Leases,
    journal: Journal,
    ledger: Ledger,
    clock: Clock,
) -> Outcome:
    """The journal is complete: what it lacks does not exist. A ledger that cannot be asked reads `accepted`.

    Another merchant's payment is not found either: its id gives nothing away.
    """
    merchant_id = authenticated(token, sessions=sessions, clock=clock)
    if not is_payment_id(payment_id):
        raise NotFound
    leases.hold()
    entry = journal.find(payment_id)
    if entry is None or entry.payment.request.merchant_id != merchant_id:
        raise NotFound
    return outcome(entry.payment, lambda: ledger.has(payment_id))
