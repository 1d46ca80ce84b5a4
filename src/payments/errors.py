# ruff: noqa: N818 - the names say what is so; "Error" would add nothing
"""Everything that can go wrong with a request, as one small tree.

PaymentsError
  Refused                the request cannot succeed as it is; it stored nothing
    Malformed            it cannot be understood
    IdempotencyKeyMissing
    Unauthenticated
    NotFound
    NotAcceptable        understood, but not acceptable
      IdempotencyKeyReused, UnknownCurrency, UnknownAccount, AccountClosed, CurrencyMismatch, SameAccount
  NotActive              this region does not take payments now; nothing was stored
  NotSteady              this region is active, but its takeover is not finished: nothing is posted yet
  NotStandby             this region's database is not a copy of the active region's now; nothing was done
  LogDiverged            the transaction log contradicts what it is to hold: somebody has to look
  LedgerUnavailable      the ledger cannot be used now; never reaches a client, who gets `accepted` instead
Unavailable              (failover.errors) an answer is missing; the outcome is unknown
"""

from dataclasses import dataclass

from failover.errors import Unavailable

__all__ = [
    "AccountClosed",
    "CurrencyMismatch",
    "Fault",
    "IdempotencyKeyMissing",
    "IdempotencyKeyReused",
    "LedgerUnavailable",
    "LogDiverged",
    "Malformed",
    "NotAcceptable",
    "NotActive",
    "NotFound",
    "NotStandby",
    "NotSteady",
    "PaymentsError",
    "Refused",
    "SameAccount",
    "Unauthenticated",
    "Unavailable",
    "UnknownAccount",
    "UnknownCurrency",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a malformed request; holds no value the client sent."""

    field: str
    detail: str


class PaymentsError(Exception):
    """The root: `detail` is safe to show to the client."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class Refused(PaymentsError):
    pass


class Malformed(Refused):
    def __init__(self, *faults: Fault) -> None:
        count = len(faults)
        super().__init__(f"The request has {count} fault{'' if count == 1 else 's'}.")
        self.faults = faults


class IdempotencyKeyMissing(Refused):
    pass


class Unauthenticated(Refused):
    pass


class NotFound(Refused):
    pass


class NotAcceptable(Refused):
    pass


class IdempotencyKeyReused(NotAcceptable):
    pass


class UnknownCurrency(NotAcceptable):
    pass


class UnknownAccount(NotAcceptable):
    pass


class AccountClosed(NotAcceptable):
    pass


class CurrencyMismatch(NotAcceptable):
    pass


class SameAccount(NotAcceptable):
    pass


class NotActive(PaymentsError):
    """`active` is the region that takes payments, as the control record has it; never shown to the client."""

    def __init__(self, active: str = "") -> None:
        super().__init__()
        self.active = active


class NotSteady(PaymentsError):
    pass


class NotStandby(PaymentsError):
    pass


class LogDiverged(PaymentsError):
    pass


class LedgerUnavailable(PaymentsError):
    """`detail` is one word for logs and metrics: fenced, read-only, unreachable, ...

    `mistake` is the error behind it where waiting does not help: somebody has to repair something.
    """

    def __init__(self, detail: str = "", *, mistake: Exception | None = None) -> None:
        super().__init__(detail)
        self.mistake = mistake
