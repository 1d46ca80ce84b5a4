"""Why work on many payments ended before it was done, in one word for the log."""

from typing import Final

from payments.errors import LedgerUnavailable, NotActive, NotStandby, NotSteady, Unavailable
from payments.mistakes import Mistakes

NOT_ACTIVE: Final = "not-active"
NOT_STANDBY: Final = "not-standby"
MISTAKE: Final = "mistake"


def why_stopped(error: Exception, mistakes: Mistakes) -> str:
    """Where waiting does not help, it is added to the mistakes; else the next run may do better."""
    match error:
        case NotActive():
            return NOT_ACTIVE
        case NotSteady():
            return "recovering"
        case NotStandby():
            return NOT_STANDBY
        case LedgerUnavailable():
            if error.mistake is not None:
                mistakes.add(error.mistake)
            return f"ledger-{error.detail}"
        case Unavailable():
            return "unavailable"
        case _:
            mistakes.add(error)
            return MISTAKE
