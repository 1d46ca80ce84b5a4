"""What the surviving ledger holds, read by SQL: the drill does not ask the API how it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

_ROWS: Final = """
SELECT payment_id, merchant_id, amount, currency, debtor, creditor, reference, epoch, posted_at
FROM ledger.payment WHERE merchant_id = %(merchant)s
"""
_LINES: Final = """
SELECT payment_id, line, account, entry.amount, entry.currency
FROM ledger.entry JOIN ledger.payment USING (payment_id)
WHERE merchant_id = %(merchant)s ORDER BY payment_id, line
"""

Line = tuple[int, str, int, str]


@dataclass(frozen=True, slots=True)
class Row:
    payment_id: str
    merchant: str
    amount: int
    currency: str
    debtor: str
    creditor: str
    reference: str
    epoch: int
    posted_at: datetime

    @property
    def says(self) -> tuple[str, int, str, str, str, str]:
        return self.merchant, self.amount, self.currency, self.debtor, self.creditor, self.reference


@dataclass(frozen=True, slots=True)
class Books:
    rows: tuple[Row, ...]
    lines: Mapping[str, tuple[Line, ...]]

    def by_id(self) -> Mapping[str, Sequence[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.payment_id, []).append(row)
        return found


def read(dsn: str, merchant: str) -> Books:
    """As of one moment. Raises psycopg.Error."""
    values: dict[str, Any] = {"merchant": merchant}
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows = tuple(Row(*row) for row in connection.execute(_ROWS, values))
        lines: dict[str, tuple[Line, ...]] = {}
        for name, *line in connection.execute(_LINES, values):
            lines[name] = (*lines.get(name, ()), (line[0], line[1], line[2], line[3]))
        return Books(rows, lines)
