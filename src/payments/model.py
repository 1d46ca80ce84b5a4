"""What a payment is: money, the request, the accepted payment and its two ledger entries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

MAX_AMOUNT = (
    999_999_999_999  # twelve digits, as in ISO 8583; far inside bigint and JavaScript's exact integers
)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency; negative in a debit. Never a float."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError(f"money is an integer in minor units, not {type(self.amount).__name__}")

    def __neg__(self) -> Self:
        return type(self)(-self.amount, self.currency)

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return Money(self.amount + other.amount, self.currency)


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What a merchant asks for: move `money` from `debtor` to `creditor` (account tokens)."""

    merchant_id: str
    money: Money
    debtor: str
    creditor: str
    reference: str


@dataclass(frozen=True, slots=True)
class Payment:
    """An accepted payment, as the journal decided it and the ledger will show it."""

    payment_id: str
    fingerprint: str
    request: PaymentRequest
    accepted_at: datetime


class Status(StrEnum):
    ACCEPTED = "accepted"  # in the journal; will be posted
    POSTED = "posted"  # in the ledger


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a double entry: debits negative, credits positive; the lines of a payment sum to zero."""

    line: int
    account: str
    money: Money


def entries(request: PaymentRequest) -> tuple[Entry, Entry]:
    return Entry(1, request.debtor, -request.money), Entry(2, request.creditor, request.money)


class Standing(StrEnum):
    """Whether a merchant or an account may be used."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Merchant:
    merchant_id: str
    name: str
    status: Standing
    key_hash: str


@dataclass(frozen=True, slots=True)
class Account:
    """With a `merchant_id`, only that merchant may debit the account; anyone may credit it."""

    account_id: str
    currency: str
    status: Standing
    merchant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    token_hash: str
    merchant_id: str
    expires_at: datetime
