"""Both regions' ledgers side by side: the same payments, as far as the copy is sure to have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.database import Database, connect
from adapters.global_cluster import endpoint, members, named
from failover.errors import Unavailable
from failover.writer import Member

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from psycopg import Connection

    from adapters.secrets import Credentials

NEWEST: Final = 10_000  # payments; the daily audit is what compares all of them
_STATEMENT_MS: Final = 8_000
_LOCK_MS: Final = 1_000

# The oldest transaction that may still be running, as this server sees it: all before it have ended.
_STANDING: Final = """
SELECT pg_is_in_recovery(), (SELECT epoch FROM ledger.fence WHERE singleton),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint
"""
_SINCE: Final = """
SELECT coalesce(min(txid), 0) FROM (
    SELECT txid FROM ledger.payment WHERE txid < %(before)s
    ORDER BY txid DESC, payment_id COLLATE "C" DESC LIMIT %(newest)s
) AS newest
"""
# Every column of every row, as text: a copy has the same bytes, so whatever differs is a difference.
_DIGEST: Final = """
SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(content, E'\\n'
       ORDER BY txid, payment_id COLLATE "C"), ''), 'UTF8')), 'hex')
FROM (
    SELECT txid, payment_id, payment::text || coalesce((
        SELECT string_agg(entry::text, '' ORDER BY line) FROM ledger.entry
        WHERE entry.payment_id = payment.payment_id), '') AS content
    FROM ledger.payment WHERE txid >= %(since)s AND txid < %(before)s
) AS rows
"""
_APPLIED: Final = "SELECT migration_id::text FROM migrations.applied ORDER BY migration_id"


@dataclass(frozen=True, slots=True)
class Standing:
    """`before`: every transaction of a lower number has ended there."""

    copy: bool
    epoch: int
    before: int


class Ledgers:
    """`clusters` answers for a region: RDS describes only its own. All is read as the application."""

    def __init__(
        self,
        clusters: Callable[[str], RDSClient],
        home: str,
        global_cluster: str,
        name: str,
        credentials: Callable[[], Credentials],
        *,
        newest: int = NEWEST,
        sslmode: str = "verify-full",
    ) -> None:
        self._clusters = clusters
        self._home = home
        self._global_cluster = global_cluster
        self._name = name
        self._credentials = credentials
        self._newest = newest
        self._sslmode = sslmode

    def compared(self) -> Mapping[str, Any]:
        """By region what its cluster says, or why it says nothing. Raises Unavailable when nobody is known.

        How far is decided by the copy: what has ended there has ended at the writer.
        """
        known = members(self._clusters(self._home), self._global_cluster)
        told = {member.region: self._asked(member, lambda at: _standing(at)) for member in known}
        copies = [one for one in told.values() if isinstance(one, Standing) and one.copy]
        if not copies:
            return {region: _unknown(one, "no copy says how far to compare") for region, one in told.items()}
        before = min(one.before for one in copies)
        (copy,) = [member for member in known if told[member.region] in copies][:1]
        since = self._asked(copy, lambda at: _since(at, before, self._newest))
        if isinstance(since, str):
            return {region: _unknown(one, since) for region, one in told.items()}
        return {member.region: self._books(member, told[member.region], since, before) for member in known}

    def _books(self, member: Member, standing: Standing | str, since: int, before: int) -> dict[str, Any]:
        if isinstance(standing, str):
            return {"unknown": standing}
        found = self._asked(member, lambda at: (_digest(at, since, before), _applied(at)))
        if isinstance(found, str):
            return {"unknown": found}
        (payments, digest), applied = found
        return {
            "copy": standing.copy,
            "epoch": standing.epoch,
            "payments": payments,
            "digest": digest,
            "applied": applied,
        }

    def _asked(self, member: Member, ask: Callable[[Connection[Any]], Any]) -> Any:
        """Why not, where there is no answer: one cluster's silence says nothing of the other."""
        import psycopg

        try:
            database = endpoint(self._clusters(member.region), member, self._name, self._sslmode)
            if database is None:
                return f"{named(member)}: has no instance"
            with closing(self._connect(database)) as connection:
                return ask(connection)
        except Unavailable as unknown:
            return str(unknown)
        except psycopg.Error as error:  # its text may quote what was asked for
            return f"{named(member)}: {type(error).__name__} ({error.sqlstate or 'no answer'})"

    def _connect(self, database: Database) -> Connection[Any]:
        connection = connect(
            database, self._credentials(), statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS, idle_ms=0
        )
        connection.execute("SET TIME ZONE 'UTC'")  # the same text of the same moment
        return connection


def _standing(connection: Connection[Any]) -> Standing:
    row = connection.execute(_STANDING).fetchone()
    assert row is not None
    return Standing(copy=bool(row[0]), epoch=int(row[1] or 0), before=int(row[2]))


def _since(connection: Connection[Any], before: int, newest: int) -> int:
    row = connection.execute(_SINCE, {"before": before, "newest": newest}).fetchone()
    assert row is not None
    return int(row[0])


def _digest(connection: Connection[Any], since: int, before: int) -> tuple[int, str]:
    row = connection.execute(_DIGEST, {"since": since, "before": before}).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def _applied(connection: Connection[Any]) -> list[str] | None:
    """None where no release has let the application read it yet."""
    import psycopg

    try:
        return [str(row[0]) for row in connection.execute(_APPLIED)]
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        return None


def _unknown(standing: Standing | str, why: str) -> dict[str, Any]:
    return {"unknown": standing if isinstance(standing, str) else why}
