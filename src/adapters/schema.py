"""The ledger's schema: least-privilege roles and forward-only migrations, by whichever region may write.

Safe to run twice and at the same time: an advisory lock lets one run after the other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapters.database import Database, connect, parameters
from adapters.roles import let_log_in
from failover.rotation import original

if TYPE_CHECKING:
    from psycopg import Connection

    from adapters.secrets import Credentials, Secrets

MIGRATIONS: Final = Path(__file__).with_name("migrations")
NOT_THE_WRITER: Final = "not the writer"

_LOG = logging.getLogger(__name__)
_BOOKS: Final = "migrations"  # the schema where the library keeps its books, out of `public`
_ONE_AT_A_TIME: Final = 7_061_001  # the advisory lock; any constant that nothing else uses
_STATEMENT_MS: Final = 300_000
_LOCK_MS: Final = 60_000
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the secrets. The master's is break-glass: read only while the migrator cannot log in."""

    master: str
    migrator: str
    application: str


def migrate(database: Database, secrets: Secrets, roles: Roles) -> str:
    """What was done, in a few words: "not the writer", "nothing", or the migrations applied.

    Raises psycopg.Error when the database cannot be reached or a migration fails; nothing is half applied.
    """
    import psycopg

    migrator = secrets.credentials(roles.migrator, fresh=True)
    application = secrets.credentials(roles.application, fresh=True)
    try:
        try:
            connection = _connect(database, migrator)
        except psycopg.OperationalError:
            # Nobody made the roles yet, or this password is not theirs. On a replica neither can be repaired.
            with closing(_connect(database, secrets.credentials(roles.master, fresh=True))) as master:
                if read_only(master):
                    return NOT_THE_WRITER
                _bootstrap(master, database.name, migrator, application)
            connection = _connect(database, migrator)
        with closing(connection), alone(connection):
            if read_only(connection):
                return NOT_THE_WRITER
            return _apply(connection, database, migrator)
    except psycopg.errors.ReadOnlySqlTransaction:  # it changed roles meanwhile
        return NOT_THE_WRITER


def _connect(database: Database, credentials: Credentials) -> Connection[Any]:
    return connect(database, credentials, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS)


def read_only(connection: Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"
    ).fetchone()
    return bool(row and row[0])


@contextmanager
def alone(connection: Connection[Any], *, patience_ms: int = _LOCK_MS) -> Iterator[None]:
    """Whoever changes roles or schema does it alone. Held by the session, so a runner that dies lets go.

    Asked for again and again: a statement that waits holds a snapshot, and an index that is built while the
    database is used waits for every snapshot, so the two would wait for each other.
    """
    import psycopg

    give_up = time.monotonic() + patience_ms / 1000
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_ONE_AT_A_TIME]).fetchone() != (True,):
        if time.monotonic() > give_up:
            raise psycopg.errors.LockNotAvailable("another run does not end")
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_ONE_AT_A_TIME])


def _bootstrap(
    master: Connection[Any], database: str, migrator: Credentials, application: Credentials
) -> None:
    """The two roles, with their passwords; the migrator may create schemas, the application nothing yet.

    The secret may name the application's clone by now: its original, whose rights it has, is made, too.
    """
    from psycopg import sql

    with alone(master), master.transaction():
        for credentials in (migrator, application):
            let_log_in(master, credentials)
            master.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(database), sql.Identifier(original(credentials.username))
                )
            )
        master.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                sql.Identifier(database), sql.Identifier(migrator.username)
            )
        )
        _LOG.info("database roles made")


def _apply(connection: Connection[Any], database: Database, migrator: Credentials) -> str:
    # yoyo ships no types
    from yoyo import read_migrations  # type: ignore[import-untyped]
    from yoyo.backends import PostgresqlPsycopgBackend  # type: ignore[import-untyped]
    from yoyo.connections import DatabaseURI  # type: ignore[import-untyped]

    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_BOOKS}")
    told = parameters(database, migrator, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS)
    uri = DatabaseURI(
        scheme="postgresql+psycopg",
        username=told.pop("user"),
        password=told.pop("password"),
        hostname=told.pop("host"),
        port=told.pop("port"),
        database=told.pop("dbname"),
        args=told | {"schema": _BOOKS},
    )
    with PostgresqlPsycopgBackend(uri, "applied") as backend:
        backend.init_database()
        backend.break_lock()  # a row that outlives a killed run; the advisory lock is what protects this one
        pending = backend.to_apply(read_migrations(str(MIGRATIONS)))
        with backend.lock():
            backend.apply_migrations(pending)
        applied = ", ".join(migration.id for migration in pending)
    _LOG.info("migrations applied: %s", applied or "none")
    return applied or "nothing"
