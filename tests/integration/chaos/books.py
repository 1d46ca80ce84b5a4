"""What a region's PostgreSQL holds, and what is wrong with it given what clients sent and were told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ops.traffic import Outcome, Sent
from payments.idempotency import payment_id

_PAYMENTS = """
    SELECT payment_id, merchant_id, amount, currency, debtor, creditor, reference FROM ledger.payment
"""
_ENTRIES = "SELECT payment_id, line, account, amount, currency FROM ledger.entry ORDER BY payment_id, line"


@dataclass(frozen=True, slots=True)
class Posted:
    """A ledger row without its entries."""

    payment_id: str
    merchant_id: str
    amount: int
    currency: str
    debtor: str
    creditor: str
    reference: str


@dataclass(frozen=True, slots=True)
class Entry:
    payment_id: str
    line: int
    account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Books:
    payments: tuple[Posted, ...]
    entries: tuple[Entry, ...]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(row.payment_id for row in self.payments)


def read(connection: psycopg.Connection[Any]) -> Books:
    """As of one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return Books(
            tuple(Posted(*row) for row in connection.execute(_PAYMENTS)),
            tuple(Entry(*row) for row in connection.execute(_ENTRIES)),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment that somebody asked for, and what they were told."""

    merchant_id: str
    sent: Sent

    @property
    def payment_id(self) -> str:
        return payment_id(self.merchant_id, self.sent.order.key)

    def row(self) -> Posted:
        order = self.sent.order
        return Posted(
            self.payment_id,
            self.merchant_id,
            order.amount,
            order.currency,
            order.debtor,
            order.creditor,
            order.reference,
        )

    def entries(self) -> list[Entry]:
        order = self.sent.order
        return [
            Entry(self.payment_id, 1, order.debtor, -order.amount, order.currency),
            Entry(self.payment_id, 2, order.creditor, order.amount, order.currency),
        ]


def findings(asked: Sequence[Asked], books: Books, *, before: frozenset[str] = frozenset()) -> list[str]:
    """Everything that must not be, one line each. `before` were in the ledger before anybody asked."""
    return [
        *_answered_wrongly(asked),
        *_lost(asked, books),
        *_wrong(asked, books),
        *_unasked(asked, books, before),
        *_unbalanced(books),
    ]


def _answered_wrongly(asked: Iterable[Asked]) -> Iterator[str]:
    for one in asked:
        sent, expected = one.sent, one.sent.order.body() | {"payment_id": one.payment_id}
        if sent.outcome is Outcome.REFUSED:
            yield f"{sent.order.key} was refused: {sent.answer}"
        elif sent.acknowledged and {name: sent.answer.get(name) for name in expected} != expected:
            yield f"{sent.order.key} was acknowledged as another payment: {sent.answer}"


def _lost(asked: Iterable[Asked], books: Books) -> Iterator[str]:
    ids = books.ids
    for one in asked:
        if one.sent.acknowledged and one.payment_id not in ids:
            yield f"{one.sent.order.key} was acknowledged ({one.sent.outcome}) and is not in the ledger"


def _wrong(asked: Iterable[Asked], books: Books) -> Iterator[str]:
    rows = {row.payment_id: row for row in books.payments}
    entries: dict[str, list[Entry]] = {}
    for entry in books.entries:
        entries.setdefault(entry.payment_id, []).append(entry)
    for one in asked:
        if one.payment_id in rows and rows[one.payment_id] != one.row():
            yield f"{one.sent.order.key} is in the ledger as another payment: {rows[one.payment_id]}"
        if one.payment_id in rows and entries.get(one.payment_id, []) != one.entries():
            yield f"{one.sent.order.key} has wrong entries: {entries.get(one.payment_id, [])}"


def _unasked(asked: Iterable[Asked], books: Books, before: frozenset[str]) -> Iterator[str]:
    known = before | {one.payment_id for one in asked}
    for identifier, times in Counter(row.payment_id for row in books.payments).items():
        if identifier not in known:
            yield f"{identifier} is in the ledger, and nobody asked for it"
        if times > 1:
            yield f"{identifier} is in the ledger {times} times"
    for identifier in sorted({entry.payment_id for entry in books.entries} - books.ids):
        yield f"{identifier} has entries and no payment"


def _unbalanced(books: Books) -> Iterator[str]:
    sums: Counter[str] = Counter()
    for entry in books.entries:
        sums[entry.currency] += entry.amount
    for currency, amount in sums.items():
        if amount:
            yield f"the books are off by {amount} {currency}"
