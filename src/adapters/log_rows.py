"""This region's copy of the ledger in the order of the transaction log, with the cutoff it saw itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from adapters.ledger import PostgresLedger
from payments.errors import NotStandby
from payments.model import Entry, Money, Payment, PaymentRequest
from payments.ship import LogPage
from payments.standby import is_copy
from payments.transaction_log import LedgerRow, Position

_END: Final = Position(2**63 - 1, "")

# One statement, so one snapshot: the rows it sees, and the oldest transaction that it takes for running, go
# together. A replica takes every number below the highest it heard of for running, until it hears of
# its end: https://github.com/postgres/postgres/blob/REL_16_STABLE/src/backend/storage/ipc/procarray.c
_PAGE: Final = """
WITH seen AS MATERIALIZED (
    SELECT pg_is_in_recovery(), (SELECT epoch FROM ledger.fence WHERE singleton),
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS cutoff
)
SELECT seen.*, page.*
FROM seen LEFT JOIN LATERAL (
    SELECT txid, payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint,
           accepted_at, epoch, posted_at,
           (SELECT json_agg(json_build_array(line, account, amount, currency) ORDER BY line)
            FROM ledger.entry WHERE entry.payment_id = payment.payment_id)
    FROM ledger.payment
    WHERE (txid, payment_id COLLATE "C") > (%(txid)s, %(payment_id)s)
      AND (txid, payment_id COLLATE "C") <= (%(to_txid)s, %(to_payment_id)s)
      AND txid < seen.cutoff
    ORDER BY txid, payment_id COLLATE "C"
    LIMIT %(limit)s
) AS page ON true
ORDER BY page.txid, page.payment_id COLLATE "C"
"""
_WAITING: Final = """
SELECT pg_is_in_recovery(), (SELECT epoch FROM ledger.fence WHERE singleton),
       (SELECT posted_at FROM ledger.payment
        WHERE (txid, payment_id COLLATE "C") > (%(txid)s, %(payment_id)s)
        ORDER BY txid, payment_id COLLATE "C" LIMIT 1)
"""


class PostgresLogRows(PostgresLedger):
    """Where the endpoint is the readers'."""

    def page(self, epoch: int, after: Position, through: Position | None, limit: int) -> LogPage:
        end = through or _END
        found = self._ask(
            _PAGE,
            {
                "txid": after.txid,
                "payment_id": after.payment_id,
                "to_txid": end.txid,
                "to_payment_id": end.payment_id,
                "limit": limit,
            },
        )
        _check(epoch, found[0])
        return LogPage(found[0][2], tuple(_row(row[3:]) for row in found if row[3] is not None))

    def waiting_since(self, epoch: int, after: Position) -> datetime | None:
        (found,) = self._ask(_WAITING, {"txid": after.txid, "payment_id": after.payment_id})
        _check(epoch, found)
        since: datetime | None = found[2]
        return since


def _check(epoch: int, seen: Sequence[Any]) -> None:
    in_recovery, fence = seen[:2]
    if fence is None or not is_copy(in_recovery=in_recovery, fence=fence, epoch=epoch):
        raise NotStandby


def _row(row: Sequence[Any]) -> LedgerRow:
    txid, payment_id, merchant_id, amount, currency, debtor, creditor, reference, printed = row[:9]
    accepted_at, epoch, posted_at, lines = row[9:]
    request = PaymentRequest(merchant_id, Money(amount, currency), debtor, creditor, reference)
    return LedgerRow(
        txid=txid,
        payment=Payment(payment_id, printed, request, accepted_at),
        epoch=epoch,
        posted_at=posted_at,
        lines=tuple(
            Entry(line, account, Money(moved, in_currency))
            for line, account, moved, in_currency in lines or ()
        ),
    )
