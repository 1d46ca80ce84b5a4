"""The ledger in this region's PostgreSQL: double entry, written once, fenced by epoch."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.database import Database, connect
from failover.errors import Unavailable
from payments.errors import LedgerUnavailable, NotStandby
from payments.model import Entry, Money, Payment, PaymentRequest, entries
from payments.ports import Booked
from payments.standby import is_copy

if TYPE_CHECKING:
    from psycopg import Connection

    from adapters.secrets import Credentials, Secrets

_STATEMENT_MS: Final = 2000
_LOCK_MS: Final = 1500
_IDLE_MS: Final = 300_000  # what is frozen for longer may never wake up, and keeps a connection from others
_DEADLINE_SECONDS: Final = 4.0  # for a server that accepts bytes and never answers
_CREDENTIALS_AGE_SECONDS: Final = 10.0
_REST_SECONDS: Final = 1.0  # after an attempt to connect, which may take four: the journal has the payment

# One statement, so one transaction and one round trip. FOR SHARE holds the fence until commit: whoever raises
# it waits for us, or we read what they wrote. Nothing is inserted under an epoch older than the fence.
# By id, or two batches that share payments could each wait for what the other has inserted.
_POST: Final = """
WITH fence AS MATERIALIZED (
    SELECT epoch FROM ledger.fence WHERE singleton FOR SHARE
), posted AS (
    INSERT INTO ledger.payment
        (payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint, epoch,
         accepted_at)
    SELECT wanted.payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint,
           %(epoch)s, accepted_at
    FROM fence, unnest(%(payment_id)s::text[], %(merchant_id)s::text[], %(amount)s::bigint[],
                       %(currency)s::text[], %(debtor)s::text[], %(creditor)s::text[], %(reference)s::text[],
                       %(fingerprint)s::text[], %(accepted_at)s::timestamptz[])
                AS wanted (payment_id, merchant_id, amount, currency, debtor, creditor, reference,
                           fingerprint, accepted_at)
    WHERE fence.epoch <= %(epoch)s
    ORDER BY wanted.payment_id
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING payment_id
), entered AS (
    INSERT INTO ledger.entry (payment_id, line, account, amount, currency)
    SELECT payment_id, line, account, amount, currency
    FROM posted JOIN unnest(%(line_of)s::text[], %(line)s::smallint[], %(line_account)s::text[],
                            %(line_amount)s::bigint[], %(line_currency)s::text[])
                     AS lines (payment_id, line, account, amount, currency) USING (payment_id)
)
SELECT fence.epoch <= %(epoch)s, (SELECT count(*) FROM posted) FROM fence
"""
_POSTED: Final = "SELECT payment_id FROM ledger.payment WHERE payment_id = ANY(%(ids)s::text[])"
_HELD: Final = """
SELECT payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint, accepted_at
FROM ledger.payment WHERE payment_id = ANY(%(ids)s::text[])
"""
# The lines by a subquery: a payment without any is seen, too.
_ROWS: Final = """
SELECT payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint, accepted_at,
       (SELECT json_agg(json_build_array(line, account, amount, currency) ORDER BY line)
        FROM ledger.entry WHERE entry.payment_id = payment.payment_id)
FROM ledger.payment
WHERE payment_id > %(after)s AND (%(last)s::text IS NULL OR payment_id <= %(last)s::text)
ORDER BY payment_id LIMIT %(limit)s
"""
# In recovery as this statement runs, so in recovery when it looked: a copy never becomes one again meanwhile.
_REPLICATED: Final = """
SELECT pg_is_in_recovery(), (SELECT epoch FROM ledger.fence WHERE singleton),
       ARRAY(SELECT payment_id FROM ledger.payment WHERE payment_id = ANY(%(ids)s::text[]))
"""

# Waits for whoever posts just now: they hold the row FOR SHARE until they commit. Where it is as high
# already, as it is for nearly everyone who asks, nobody waits.
_RAISE_FENCE: Final = """
WITH raised AS (
    UPDATE ledger.fence SET epoch = %(epoch)s WHERE singleton AND epoch < %(epoch)s RETURNING epoch
)
SELECT coalesce((SELECT epoch FROM raised), epoch) FROM ledger.fence WHERE singleton
"""
_FENCE: Final = "SELECT epoch FROM ledger.fence WHERE singleton"
_RECOVERED: Final = "SELECT shard, after FROM ledger.recovery WHERE epoch = %(epoch)s"
_MARK_RECOVERED: Final = """
INSERT INTO ledger.recovery (shard, epoch, after)
SELECT %(shard)s, %(epoch)s, %(after)s FROM (
    SELECT epoch FROM ledger.fence WHERE singleton FOR SHARE
) AS fence WHERE fence.epoch <= %(epoch)s
ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch, after = excluded.after
RETURNING shard
"""
_UNBALANCED: Final = """
SELECT payment_id FROM (
    SELECT payment_id, amount, currency FROM ledger.payment
    ORDER BY txid DESC, payment_id COLLATE "C" DESC LIMIT %(newest)s
) AS payment LEFT JOIN ledger.entry USING (payment_id)
GROUP BY payment_id, payment.amount, payment.currency
HAVING coalesce(sum(entry.amount), -1) <> 0 OR count(*) <> 2 OR max(entry.amount) <> payment.amount
    OR bool_or(entry.currency <> payment.currency)
"""

# SQLSTATEs, or their first two characters, that mean "not now": the journal has the payment, so it can wait.
_NOT_NOW: Final = {
    "25006": "read-only",
    "28": "refused",
    "3F000": "no-schema",  # the standby is released before the writer has run the migrations
    "42P01": "no-schema",
    "42703": "no-schema",  # the same of a later migration: a column is not there yet
    "08": "unreachable",
    "40": "conflict",
    "53": "overloaded",
    "55P03": "locked",
    "57014": "slow",
    "57": "interrupted",
    "58": "interrupted",
}

# On a connection kept from before these may be about the connection only: the endpoint may have moved.
_WORTH_RECONNECTING: Final = frozenset({"unreachable", "interrupted", "read-only", "refused"})


class PostgresLedger:
    """One connection per execution environment, kept between invocations and replaced when it fails."""

    def __init__(
        self, database: Database, secrets: Secrets, secret: str, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._secret = secret
        self._monotonic = monotonic
        self._connection: Connection[Any] | None = None
        self._read_credentials_at = -_CREDENTIALS_AGE_SECONDS
        self._rests_until = 0.0

    def post(self, payment: Payment, epoch: int) -> None:
        self.post_all((payment,), epoch)

    def post_all(self, payments: Collection[Payment], epoch: int) -> int:
        """The same payment twice in a batch is posted as the first of them is."""
        if not payments:
            return 0
        answer = self._ask(_POST, _post_parameters(payments, epoch))
        if not answer:
            raise LedgerUnavailable("no-fence")
        ((fence_allows, new),) = answer
        if not fence_allows:
            raise LedgerUnavailable("fenced")
        return int(new)

    def raise_fence(self, epoch: int) -> None:
        answer = self._ask(_RAISE_FENCE, {"epoch": epoch})
        if not answer:
            raise LedgerUnavailable("no-fence")
        if answer[0][0] != epoch:
            raise LedgerUnavailable("fenced")

    def fence(self) -> int:
        """As this server has it, copy or writer."""
        answer = self._ask(_FENCE, {})
        if not answer:
            raise LedgerUnavailable("no-fence")
        return int(answer[0][0])

    def recovered(self, epoch: int) -> Mapping[str, str]:
        return {row[0]: row[1] for row in self._ask(_RECOVERED, {"epoch": epoch})}

    def mark_recovered(self, epoch: int, shard: str, after: str) -> None:
        if not self._ask(_MARK_RECOVERED, {"epoch": epoch, "shard": shard, "after": after}):
            raise LedgerUnavailable("fenced")

    def unbalanced(self, newest: int) -> tuple[str, ...]:
        return tuple(row[0] for row in self._ask(_UNBALANCED, {"newest": newest}))

    def find(self, payment_id: str) -> Payment | None:
        return self.held((payment_id,)).get(payment_id)

    def posted(self, ids: Collection[str]) -> frozenset[str]:
        return frozenset(row[0] for row in self._ask(_POSTED, {"ids": list(ids)}))

    def held(self, ids: Collection[str]) -> Mapping[str, Payment]:
        return {row[0]: _payment(row) for row in self._ask(_HELD, {"ids": list(ids)})}

    def rows(self, after: str, last: str | None, limit: int) -> tuple[Booked, ...]:
        found = self._ask(_ROWS, {"after": after, "last": last, "limit": limit})
        return tuple(Booked(_payment(row), tuple(map(_line, row[-1] or ()))) for row in found)

    def has(self, ids: Collection[str], epoch: int) -> frozenset[str]:
        """As `Replica`: where the endpoint is the readers'."""
        ((in_recovery, fence, found),) = self._ask(_REPLICATED, {"ids": list(ids)})
        if fence is None or not is_copy(in_recovery=in_recovery, fence=fence, epoch=epoch):
            raise NotStandby
        return frozenset(found)

    def close(self) -> None:
        """After any failure, too: the endpoint may have moved, but a connection stays with the old writer."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    def _ask(self, statement: str, values: dict[str, Any]) -> list[Any]:
        """Every row. Statements may be repeated, so a kept connection that fails is replaced once."""
        import psycopg

        kept = self._connection is not None
        while True:
            try:
                return self._execute(statement, values)
            except psycopg.Error as error:
                self.close()
                reason = _not_now(error)
                if reason is None:
                    raise
                if not kept or reason not in _WORTH_RECONNECTING:
                    raise LedgerUnavailable(reason) from error
                kept = False

    def _execute(self, statement: str, values: dict[str, Any]) -> list[Any]:
        if self._connection is None:
            self._connection = self._connected()
        with _deadline(self._connection, _DEADLINE_SECONDS):
            return self._connection.execute(statement, values).fetchall()

    def _connected(self) -> Connection[Any]:
        """Who could not connect a moment ago is not made to wait for it again at once."""
        import psycopg

        if self._monotonic() < self._rests_until:
            raise LedgerUnavailable("unreachable")
        try:
            return self._connect()
        except psycopg.OperationalError:
            self._rests_until = self._monotonic() + _REST_SECONDS
            raise

    def _connect(self) -> Connection[Any]:
        """With the credentials at hand, or fresh ones when those fail: a password may have been rotated.

        libpq tells a refused password by its text only, so any failed attempt looks for a new password, at
        most once in ten seconds.
        """
        import psycopg

        known = self._credentials()
        try:
            return self._open(known)
        except psycopg.OperationalError:
            if self._monotonic() - self._read_credentials_at < _CREDENTIALS_AGE_SECONDS:
                raise
            self._read_credentials_at = self._monotonic()
            fresh = self._credentials(fresh=True)
            if fresh == known:
                raise
            return self._open(fresh)

    def _credentials(self, *, fresh: bool = False) -> Credentials:
        try:
            return self._secrets.credentials(self._secret, fresh=fresh)
        except Unavailable as error:
            raise LedgerUnavailable("no-credentials") from error
        except (ClientError, ValueError) as mistake:
            raise LedgerUnavailable("no-credentials", mistake=mistake) from mistake

    def _open(self, credentials: Credentials) -> Connection[Any]:
        return connect(
            self._database, credentials, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS, idle_ms=_IDLE_MS
        )


def _post_parameters(payments: Collection[Payment], epoch: int) -> dict[str, Any]:
    """As columns. `reversed`: of the same payment twice, the first stays."""
    batch = list({payment.payment_id: payment for payment in reversed(list(payments))}.values())
    requests = [payment.request for payment in batch]
    lines = [(payment.payment_id, line) for payment in batch for line in entries(payment.request)]
    return {
        "epoch": epoch,
        "payment_id": [payment.payment_id for payment in batch],
        "merchant_id": [request.merchant_id for request in requests],
        "amount": [request.money.amount for request in requests],
        "currency": [request.money.currency for request in requests],
        "debtor": [request.debtor for request in requests],
        "creditor": [request.creditor for request in requests],
        "reference": [request.reference for request in requests],
        "fingerprint": [payment.fingerprint for payment in batch],
        "accepted_at": [payment.accepted_at for payment in batch],
        "line_of": [payment_id for payment_id, _ in lines],
        "line": [line.line for _, line in lines],
        "line_account": [line.account for _, line in lines],
        "line_amount": [line.money.amount for _, line in lines],
        "line_currency": [line.money.currency for _, line in lines],
    }


def _payment(row: Sequence[Any]) -> Payment:
    payment_id, merchant_id, amount, currency, debtor, creditor, reference, printed, accepted_at = row[:9]
    request = PaymentRequest(merchant_id, Money(amount, currency), debtor, creditor, reference)
    return Payment(payment_id, printed, request, accepted_at)


def _line(line: Sequence[Any]) -> Entry:
    number, account, amount, currency = line
    return Entry(number, account, Money(amount, currency))


def _not_now(error: Any) -> str | None:
    """One word why the ledger cannot be used now; None for an error that is ours to repair."""
    import psycopg

    state = error.sqlstate
    if state is None:  # no answer from a server at all, or a connection attempt that failed
        return "unreachable" if isinstance(error, psycopg.OperationalError) else None
    return _NOT_NOW.get(state) or _NOT_NOW.get(state[:2])


@contextmanager
def _deadline(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """Cuts the connection off after so long; the statement then fails as if the network had."""
    timer = threading.Timer(seconds, _cut, [connection.fileno()])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it must not cut a later connection that was given the same descriptor


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
