"""What a rotation changes: versions of a secret, and users of the database wherever its writer is."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.database import Database, connect
from adapters.global_cluster import endpoint, members, named
from adapters.roles import let_log_in
from adapters.schema import alone, read_only
from adapters.secrets import Secrets, parsed
from failover.errors import Unavailable
from failover.rotation import CURRENT, PENDING, Credentials, Described, NotRotatable, original
from failover.writer import Member, writer_of

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from psycopg import Connection

_STATEMENT_MS: Final = 10_000
_LOCK_MS: Final = 8_000
_IN_SYNC: Final = "InSync"


class ManagedSecret:
    """A secret of Secrets Manager in this region, which must be its home: replicas take no writes."""

    def __init__(self, client: SecretsManagerClient, secret: str) -> None:
        self._client = client
        self._secret = secret

    def describe(self) -> Described:
        with unknown_is_unavailable("secret"):
            answer = self._client.describe_secret(SecretId=self._secret)
        return Described(
            name=answer["Name"],
            labels=answer.get("VersionIdsToStages", {}),
            behind=tuple(
                replica["Region"]
                for replica in answer.get("ReplicationStatus", ())
                if replica.get("Status") != _IN_SYNC
            ),
        )

    def read(self, version: str | None = None) -> Credentials | None:
        which = {"VersionId": version} if version else {"VersionStage": CURRENT}
        try:
            with unknown_is_unavailable("secret"):
                answer = self._client.get_secret_value(SecretId=self._secret, **which)
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":  # a version that so far is only a label
                return None
            raise
        return parsed(self._secret, answer.get("SecretString", ""))

    def write(self, version: str, credentials: Credentials) -> None:
        text = json.dumps({"username": credentials.username, "password": credentials.password})
        try:
            with unknown_is_unavailable("secret"):
                self._client.put_secret_value(
                    SecretId=self._secret,
                    ClientRequestToken=version,
                    SecretString=text,
                    VersionStages=[PENDING],
                )
        except ClientError as error:
            if code(error) != "ResourceExistsException":  # another run of this step has written its own
                raise

    def make_current(self, version: str, *, instead_of: str) -> None:
        with unknown_is_unavailable("secret"):
            self._client.update_secret_version_stage(
                SecretId=self._secret,
                VersionStage=CURRENT,
                MoveToVersionId=version,
                RemoveFromVersionId=instead_of,
            )


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a replica may take until it has what the writer has."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    seconds: float = 20.0
    between: float = 0.5


class GlobalDatabases:
    """The clusters of a global cluster. `clusters` answers for a region: RDS describes only its own."""

    def __init__(
        self,
        clusters: Callable[[str], RDSClient],
        home: str,
        global_cluster: str,
        name: str,
        master: Callable[[], Credentials],
        waiting: Waiting,
        *,
        sslmode: str = "verify-full",
    ) -> None:
        self._clusters = clusters
        self._home = home
        self._global_cluster = global_cluster
        self._name = name
        self._master = master
        self._waiting = waiting
        self._sslmode = sslmode

    def find_writer(self) -> None:
        self._writer()

    def change(self, credentials: Credentials) -> None:
        import psycopg

        writer, database = self._writer()
        try:
            with closing(self._connect(writer, database, self._master())) as master:
                if read_only(master):
                    raise Unavailable(f"{named(writer)}: takes no writes")
                with alone(master, patience_ms=_LOCK_MS), master.transaction():
                    let_log_in(master, credentials)
        except psycopg.OperationalError as error:
            raise _unavailable(writer, error) from None
        except psycopg.Error as error:  # from None: its text may quote the statement
            raise NotRotatable(f"{named(writer)}: {type(error).__name__} ({error.sqlstate})") from None

    def test(self, credentials: Credentials, *, everywhere: bool) -> None:
        writer, database = self._writer()
        self._use(writer, database, credentials)
        if everywhere:
            self._test_replicas(credentials)

    def _test_replicas(self, credentials: Credentials) -> None:
        """A replica gets a new user with everything else that the writer wrote, so it may take a moment.

        One that takes no part in replication cannot be promoted, and is made anew before it does.
        """
        until = self._waiting.monotonic() + self._waiting.seconds
        for replica in self._members():
            passed_over = replica.writer or replica.connected is False
            database = None if passed_over else self._endpoint(replica)
            while database is not None:
                try:
                    self._use(replica, database, credentials)
                    break
                except Unavailable:
                    if self._waiting.monotonic() >= until:
                        raise
                    self._waiting.sleep(self._waiting.between)

    def _use(self, member: Member, database: Database, credentials: Credentials) -> None:
        import psycopg

        try:
            with closing(self._connect(member, database, credentials)) as connection:
                if member.writer and read_only(connection):
                    raise Unavailable(f"{named(member)}: takes no writes")
                has_rights = connection.execute(
                    "SELECT pg_has_role(%s, 'USAGE')", [original(credentials.username)]
                ).fetchone()
        except psycopg.OperationalError as error:
            raise _unavailable(member, error) from None
        if has_rights != (True,):
            raise Unavailable(f"{named(member)}: {credentials.username} lacks the rights of its original")

    def _connect(self, member: Member, database: Database, credentials: Credentials) -> Connection[Any]:
        return connect(database, credentials, statement_ms=_STATEMENT_MS, lock_ms=_LOCK_MS)

    def _members(self) -> tuple[Member, ...]:
        return members(self._clusters(self._home), self._global_cluster)

    def _writer(self) -> tuple[Member, Database]:
        writer = writer_of(self._members())
        database = self._endpoint(writer)
        if database is None:
            raise Unavailable(f"{named(writer)}: has no instance")
        return writer, database

    def _endpoint(self, member: Member) -> Database | None:
        return endpoint(self._clusters(member.region), member, self._name, self._sslmode)


def master_of(secrets: Secrets, name: str) -> Callable[[], Credentials]:
    """Read when it is needed, and each time: it is changed by hand."""
    return lambda: secrets.credentials(name, fresh=True)


def _unavailable(member: Member, error: Any) -> Unavailable:
    return Unavailable(f"{named(member)}: {type(error).__name__} ({error.sqlstate or 'no answer'})")
