"""How a PostgreSQL server is made to follow another one, and what shows how far each is.

https://www.postgresql.org/docs/16/app-pgrewind.html
"""

import re

from psycopg import sql

from lab.postgres import REPLICATOR, SUPERUSER, Server

_SETTINGS_OF_REPLICAS = ("primary_conninfo", "primary_slot_name")
_FOLLOWS = "standby.signal"
_POSITION = re.compile(r"^Latest checkpoint location: +([0-9A-F]+)/([0-9A-F]+)$", re.MULTILINE)
_CLEAN = re.compile(r"^Database cluster state: +shut down$", re.MULTILINE)


def written(server: Server) -> int:
    """Up to where a server that takes writes has log."""
    return _position(server, "pg_current_wal_lsn()")


def replayed(server: Server) -> int:
    """Up to where a replica has done what its log says."""
    return _position(server, "pg_last_wal_replay_lsn()")


def streams(server: Server) -> bool:
    """Whether a replica is receiving log now."""
    return bool(
        server.value(sql.SQL("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"))
    )


def last_words(server: Server) -> int:
    """Where the last record of a stopped server begins; raises RuntimeError when it was not in order."""
    said = server.installation.run("pg_controldata", str(server.data))
    found = _POSITION.search(said)
    if found is None or not _CLEAN.search(said):
        raise RuntimeError(f"{server.data.name}: not stopped in order")
    high, low = found.groups()
    return int(high, 16) << 32 | int(low, 16)


def reserve(source: Server, slot: str) -> None:
    """From now on `source` keeps the log that the replica of this slot has not received."""
    source.drop_slot(slot)
    source.execute(sql.SQL("SELECT pg_create_physical_replication_slot({}, true)").format(sql.Literal(slot)))


def drop_slots(server: Server) -> None:
    """A replica keeps log for nobody."""
    server.execute(
        sql.SQL("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
    )


def rewind(server: Server, source: Server) -> None:
    """Undoes in a stopped server what `source` does not have; raises RuntimeError when that cannot be."""
    source.execute(sql.SQL("CHECKPOINT"))  # until then a server that was just promoted does not look it
    origin = f"host={source.address} port={source.port} user={SUPERUSER} dbname=postgres"
    server.installation.run(
        "pg_rewind",
        f"--target-pgdata={server.data}",
        f"--source-server={origin}",
        "--no-sync",
        PGPASSWORD=source.superuser_password,
    )


def follow(server: Server, by: tuple[str, int], slot: str) -> None:
    """A stopped server streams through `by` once it is started."""
    settings = server.data / "postgresql.auto.conf"
    kept = [
        line
        for line in settings.read_text().splitlines()
        if line.partition("=")[0].strip() not in _SETTINGS_OF_REPLICAS
    ]
    host, port = by
    origin = f"host={host} port={port} user={REPLICATOR} password={server.superuser_password}"
    more = [f"primary_conninfo = '{origin} application_name={slot}'", f"primary_slot_name = '{slot}'"]
    settings.write_text("\n".join((*kept, *more)) + "\n")
    signal = server.data / _FOLLOWS
    signal.touch(mode=0o600)
    server.installation.give(signal)


def is_to_follow(server: Server) -> bool:
    """What a server does once it is started; its promotion takes the mark away before it takes writes."""
    return (server.data / _FOLLOWS).exists()


def _position(server: Server, function: str) -> int:
    """As a number of bytes; 0 where there is none."""
    return int(server.value(sql.SQL("SELECT coalesce({} - '0/0'::pg_lsn, 0)").format(sql.SQL(function))))
