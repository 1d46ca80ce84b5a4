"""Database users that log in with a password, as the master makes and changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover.rotation import original

if TYPE_CHECKING:
    from psycopg import Connection

    from failover.rotation import Credentials


def let_log_in(master: Connection[Any], credentials: Credentials) -> None:
    """The user, there with this password whether it was or not; call it in a transaction.

    A clone is made a member of its original and is granted nothing else, so that its rights are the
    original's, now and after every migration.
    """
    from psycopg import sql

    role = sql.Identifier(credentials.username)
    template = original(credentials.username)
    if template != credentials.username and not _exists(master, template):
        master.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(template)))
    verb = sql.SQL("ALTER" if _exists(master, credentials.username) else "CREATE")
    # The verifier, made here: the password itself must not reach the server's log.
    verifier = master.pgconn.encrypt_password(
        credentials.password.encode(), credentials.username.encode(), b"scram-sha-256"
    ).decode()
    master.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(verifier)))
    if template != credentials.username:
        master.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(template), role))


def _exists(master: Connection[Any], role: str) -> bool:
    return master.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
