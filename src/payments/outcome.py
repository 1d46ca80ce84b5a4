"""What a client is told of a payment that the journal holds, whatever the ledger does."""

from collections.abc import Callable
from dataclasses import dataclass

from payments.errors import LedgerUnavailable
from payments.model import Payment, Status

_MISTAKE = "mistake"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A payment as its client sees it. The rest is for logs and metrics: why the ledger lacks it or could not
    be asked, and the error behind that where it is one to repair.
    """

    payment: Payment
    status: Status
    not_posted: str = ""
    mistake: Exception | None = None


def outcome(payment: Payment, posted: Callable[[], bool]) -> Outcome:
    """Asks the ledger, and raises nothing: the payment is decided, and no failure of ours changes that.

    A client that is told of one may pay again under another key. Who repairs it is told instead.
    """
    try:
        return Outcome(payment, Status.POSTED if posted() else Status.ACCEPTED)
    except LedgerUnavailable as reason:
        return Outcome(payment, Status.ACCEPTED, reason.detail, reason.mistake)
    except Exception as mistake:  # noqa: BLE001 - whatever it is, the payment will be posted
        return Outcome(payment, Status.ACCEPTED, _MISTAKE, mistake)
