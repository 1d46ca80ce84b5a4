"""How a region's PostgreSQL is reached: TLS that verifies the server, short timeouts, one connection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psycopg import Connection

    from adapters.secrets import Credentials

CA_BUNDLE: Final = Path(__file__).with_name("rds-ca-bundle.pem")
_CONNECT_SECONDS: Final = 2  # libpq's minimum; per address, and a cluster endpoint has one


@dataclass(frozen=True, slots=True)
class Database:
    """Where it listens. `sslmode` is an argument for servers without TLS, which only tests have;
    `connect_seconds` for whoever has minutes, and would have to be begun again by a person.
    """

    host: str
    port: int
    name: str
    sslmode: str = "verify-full"
    connect_seconds: int = _CONNECT_SECONDS


def parameters(
    database: Database, credentials: Credentials, *, statement_ms: int, lock_ms: int, idle_ms: int = 0
) -> dict[str, Any]:
    """What libpq is told. $PGSSLROOTCERT, its own variable, replaces the bundled authorities.

    The server ends a session that is idle for `idle_ms`; 0: never.
    """
    return {
        "host": database.host,
        "port": database.port,
        "dbname": database.name,
        "user": credentials.username,
        "password": credentials.password,
        "sslmode": database.sslmode,
        # Encryption by Kerberos, which libpq may prefer, goes before TLS and verifies no certificate.
        "gssencmode": "disable",
        "sslrootcert": os.environ.get("PGSSLROOTCERT") or str(CA_BUNDLE),
        "connect_timeout": database.connect_seconds,
        "tcp_user_timeout": 3000,  # a peer that vanished is noticed before the caller gives up
        "application_name": "payments",
        "options": f"-c statement_timeout={statement_ms} -c lock_timeout={lock_ms}"
        f" -c idle_session_timeout={idle_ms} -c client_encoding=UTF8",
    }


def connect(
    database: Database, credentials: Credentials, *, statement_ms: int, lock_ms: int, idle_ms: int = 0
) -> Connection[Any]:
    """In autocommit mode: a transaction is one statement, or says so itself."""
    import psycopg  # here: a tenth of a second that only those who reach the ledger need

    told = parameters(database, credentials, statement_ms=statement_ms, lock_ms=lock_ms, idle_ms=idle_ms)
    return psycopg.connect(**told, autocommit=True)
