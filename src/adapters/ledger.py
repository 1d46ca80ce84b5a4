"""The ledger in this region's PostgreSQL: double entry, written once, fenced by epoch."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.database import Database, connect
from failover.errors import Unavailable
from payments.errors import LedgerUnavailable
from payments.model import Payment, entries

if TYPE_CHECKING:
    from psycopg import Connection

    from adapters.secrets import Credentials, Secrets

_STATEMENT_MS: Final = 2000
_LOCK_MS: Final = 1500
_DEADLINE_SECONDS: Final = 4.0  # for a server that accepts bytes and never answers
_CREDENTIALS_AGE_SECONDS: Final = 10.0

# One statement, so one transaction and one round trip. FOR SHARE holds the fence until commit: whoever raises
# it waits for us, or we read what they wrote. Nothing is inserted under an epoch older than the fence.
_POST: Final = """
WITH fence AS MATERIALIZED (
    SELECT epoch FROM ledger.fence WHERE singleton FOR SHARE
), posted AS (
    INSERT INTO ledger.payment
        (payment_id, merchant_id, amount, currency, debtor, creditor, reference, fingerprint, epoch,
         accepted_at)
    SELECT %(payment_id)s, %(merchant_id)s, %(amount)s, %(currency)s, %(debtor)s, %(creditor)s, %(reference)s,
           %(fingerprint)s, %(epoch)s, %(accepted_at)s
    FROM fence WHERE fence.epoch <= %(epoch)s
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING payment_id
), entered AS (
    INSERT INTO ledger.entry (payment_id, line, account, amount, currency)
    SELECT posted.payment_id, lines.line, lines.account, lines.amount, %(currency)s
    FROM posted, (VALUES (%(line1)s::smallint, %(account1)s, %(amount1)s::bigint),
                         (%(line2)s::smallint, %(account2)s, %(amount2)s::bigint))
                 AS lines (line, account, amount)
)
SELECT fence.epoch <= %(epoch)s FROM fence
"""
_HAS: Final = "SELECT 1 FROM ledger.payment WHERE payment_id = %(payment_id)s"

# SQLSTATEs, or their first two characters, that mean "not now": the journal has the payment, so it can wait.
_NOT_NOW: Final = {
    "25006": "read-only",
    "28": "refused",
    "3F000": "no-schema",  # the standby is released before the writer has run the migrations
    "42P01": "no-schema",
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

    def post(self, payment: Payment, epoch: int) -> None:
        fence_allows = self._ask(_POST, _post_parameters(payment, epoch))
        if fence_allows is None:
            raise LedgerUnavailable("no-fence")
        if not fence_allows[0]:
            raise LedgerUnavailable("fenced")

    def has(self, payment_id: str) -> bool:
        return self._ask(_HAS, {"payment_id": payment_id}) is not None

    def close(self) -> None:
        """After any failure, too: the endpoint may have moved, but a connection stays with the old writer."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    def _ask(self, statement: str, values: dict[str, Any]) -> Any:
        """The first row. Statements may be repeated, so a kept connection that fails is replaced once."""
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

    def _execute(self, statement: str, values: dict[str, Any]) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        with _deadline(self._connection, _DEADLINE_SECONDS):
            return self._connection.execute(statement, values).fetchone()

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
        return connect(self._database, credentials, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS)


def _post_parameters(payment: Payment, epoch: int) -> dict[str, Any]:
    request = payment.request
    values: dict[str, Any] = {
        "payment_id": payment.payment_id,
        "merchant_id": request.merchant_id,
        "amount": request.money.amount,
        "currency": request.money.currency,
        "debtor": request.debtor,
        "creditor": request.creditor,
        "reference": request.reference,
        "fingerprint": payment.fingerprint,
        "epoch": epoch,
        "accepted_at": payment.accepted_at,
    }
    for entry in entries(request):
        values[f"line{entry.line}"] = entry.line
        values[f"account{entry.line}"] = entry.account
        values[f"amount{entry.line}"] = entry.money.amount
    return values


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
