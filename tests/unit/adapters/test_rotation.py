"""Rotation on real servers: a writer and its streaming replica, in either region."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from adapters.database import connect
from adapters.roles import let_log_in
from adapters.rotation import GlobalDatabases, ManagedSecret, Waiting
from adapters.schema import Roles, migrate
from failover.errors import Unavailable
from failover.rotation import CURRENT, PENDING, Credentials, NotRotatable, Step, Users, take
from lab.postgres import Server
from tests.ports import free_port
from tests.unit.adapters.conftest import MASTER, database
from tests.unit.adapters.fake_rotation import GLOBAL_CLUSTER, SECRET, FakeClusters, FakeVersions, as_text
from tests.unit.adapters.fakes import FakeSecretsManager

APP, CLONE = "ledger_rotated", "ledger_rotated_clone"
OLD = Credentials(APP, "old password")
HERE, THERE = "us-east-1", "us-east-2"


def global_databases(clusters: FakeClusters, *, seconds: float = 0.0) -> GlobalDatabases:
    return GlobalDatabases(
        clusters,
        HERE,
        GLOBAL_CLUSTER,
        "ledger",
        lambda: Credentials(MASTER.username, MASTER.password),
        Waiting(time.monotonic, time.sleep, seconds=seconds, between=0.05),
        sslmode="disable",
    )


def logs_in(server: Server, credentials: Credentials) -> bool:
    try:
        connect(database(server), credentials, statement_ms=1000, lock_ms=1000).close()
    except psycopg.OperationalError:
        return False
    return True


def as_master(server: Server) -> psycopg.Connection[Any]:
    master = Credentials(MASTER.username, MASTER.password)
    return connect(database(server), master, statement_ms=5000, lock_ms=1000)


@pytest.fixture
def application(server: Server) -> Iterator[None]:
    """The user with its rights, as a release leaves it; the clone is not there yet."""
    with closing(as_master(server)) as master:
        let_log_in(master, OLD)
        master.execute("CREATE TABLE public_to_it (id int)")
        master.execute("CREATE TABLE private_to_others (id int)")
        master.execute(sql.SQL("GRANT SELECT ON public_to_it TO {}").format(sql.Identifier(APP)))
        yield
        master.execute("DROP TABLE public_to_it, private_to_others")
    for role in (CLONE, APP):
        server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def both(server: Server, replica: Server, writer: str | None = HERE) -> FakeClusters:
    """The server is the writer's; the replica is in the other region."""
    listening = dict.fromkeys((HERE, THERE), (server.address, server.port))
    if writer is not None:
        listening[THERE if writer == HERE else HERE] = (replica.address, replica.port)
    return FakeClusters(listening, writer)


@pytest.mark.parametrize("writer", [HERE, THERE])
def test_two_rotations_wherever_the_writer_is(
    server: Server, replica: Server, application: None, writer: str
) -> None:
    versions = FakeVersions({"v0": as_text(OLD)}, {"v0": [CURRENT]})
    databases = global_databases(both(server, replica, writer), seconds=20)
    seen = [OLD]
    for number in (1, 2):
        versions.labels[f"v{number}"] = [PENDING]
        for step in Step:
            take(
                step,
                f"v{number}",
                {SECRET: Users.ALTERNATING},
                secret=ManagedSecret(cast(Any, versions), SECRET),
                databases=databases,
                password=lambda: f"password {len(seen)}",
            )
        seen.append(versions.current())
        # Who is current and who was before can log in, on the writer and on the replica.
        for known in seen[-2:]:
            assert logs_in(server, known)
            assert logs_in(replica, known)
    assert [credentials.username for credentials in seen] == [APP, CLONE, APP]
    assert not logs_in(server, OLD)


def test_a_clone_has_the_rights_of_its_original_and_no_others(
    server: Server, replica: Server, application: None
) -> None:
    clone = Credentials(CLONE, "x")
    global_databases(both(server, replica)).change(clone)
    granted = sql.SQL(
        "SELECT array_agg(roleid::regrole::text) FROM pg_auth_members "
        "WHERE member = {}::regrole AND NOT admin_option"
    )
    assert server.value(granted.format(sql.Literal(CLONE))) == [APP]
    might = sql.SQL(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
        "FROM pg_roles WHERE rolname = {}"
    )
    assert server.value(might.format(sql.Literal(CLONE))) is False
    own = sql.SQL("SELECT count(*) FROM pg_shdepend WHERE refobjid = {}::regrole AND deptype IN ('a', 'o')")
    assert server.value(own.format(sql.Literal(CLONE))) == 0
    with closing(connect(database(server), clone, statement_ms=1000, lock_ms=1000)) as connection:
        connection.execute("SELECT id FROM public_to_it")
        for refused in (
            "SELECT id FROM private_to_others",
            "INSERT INTO public_to_it VALUES (1)",
            "CREATE TABLE mine (id int)",
            sql.SQL("ALTER ROLE {} PASSWORD 'x'").format(sql.Identifier(APP)),
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(APP), sql.Identifier(MASTER.username)),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(cast(Any, refused))


def test_changing_again_is_as_good_as_once(server: Server, replica: Server, application: None) -> None:
    databases = global_databases(both(server, replica), seconds=20)
    clone = Credentials(CLONE, "x")
    databases.change(clone)
    databases.change(clone)
    databases.test(clone, everywhere=True)


def test_no_statement_carries_the_password(server: Server, application: None) -> None:
    said = []

    class Overheard:
        def __init__(self, connection: psycopg.Connection[Any]) -> None:
            self.pgconn = connection.pgconn
            self._connection = connection

        def execute(self, statement: Any, values: Any = None) -> Any:
            said.append(
                statement.as_string(self._connection) if isinstance(statement, sql.Composed) else statement
            )
            return self._connection.execute(statement, values)

    with closing(as_master(server)) as connection:
        let_log_in(cast(Any, Overheard(connection)), Credentials(CLONE, "hunter2"))
    assert any("SCRAM-SHA-256" in statement for statement in said)
    assert not any("hunter2" in statement for statement in said)
    assert logs_in(server, Credentials(CLONE, "hunter2"))


def test_a_writer_that_nobody_knows_is_not_guessed(server: Server, replica: Server) -> None:
    databases = global_databases(both(server, replica, writer=None))
    for act in (
        databases.find_writer,
        lambda: databases.change(OLD),
        lambda: databases.test(OLD, everywhere=False),
    ):
        with pytest.raises(Unavailable, match="0 of 2 members are the writer"):
            act()


def test_a_writer_that_takes_no_writes_is_not_one(server: Server, replica: Server, application: None) -> None:
    clusters = both(server, replica)
    clusters.listening[HERE] = (replica.address, replica.port)
    databases = global_databases(clusters)
    with pytest.raises(Unavailable, match="in us-east-1: takes no writes"):
        databases.change(Credentials(CLONE, "x"))
    with pytest.raises(Unavailable):
        databases.test(OLD, everywhere=False)
    assert not logs_in(server, Credentials(CLONE, "x"))


def test_a_cluster_that_cannot_be_reached_is_unavailable(server: Server, replica: Server) -> None:
    clusters = both(server, replica)
    clusters.listening[HERE] = ("127.0.0.1", free_port())
    with pytest.raises(Unavailable, match=r"ledger-primary in us-east-1: OperationalError \(no answer\)"):
        global_databases(clusters).change(OLD)


def test_a_replica_that_does_not_answer_keeps_a_rotation_from_its_end(
    server: Server, replica: Server, application: None
) -> None:
    clusters = both(server, replica)
    clusters.listening[THERE] = ("127.0.0.1", free_port())
    databases = global_databases(clusters, seconds=0.2)
    databases.test(OLD, everywhere=False)
    with pytest.raises(Unavailable, match="ledger-secondary in us-east-2"):
        databases.test(OLD, everywhere=True)
    clusters.instances = 0  # storage without an instance: there is nobody to ask
    databases.test(OLD, everywhere=True)
    clusters.instances = 1
    clusters.synchronization = "pending-resync"  # it was left behind by a failover: nobody promotes it
    databases.test(OLD, everywhere=True)


def test_a_user_without_the_rights_of_its_original_is_refused(
    server: Server, replica: Server, application: None
) -> None:
    databases = global_databases(both(server, replica))
    clone = Credentials(CLONE, "x")
    databases.change(clone)
    with closing(as_master(server)) as master:
        master.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(APP), sql.Identifier(CLONE)))
    with pytest.raises(Unavailable, match="lacks the rights"):
        databases.test(clone, everywhere=False)
    databases.change(clone)
    databases.test(clone, everywhere=False)


def test_what_the_master_may_not_do_is_ours_to_repair(server: Server, replica: Server) -> None:
    """And its text, which may quote a statement, is not passed on."""
    with pytest.raises(NotRotatable, match=r"\(42501\)") as error:
        global_databases(both(server, replica)).change(Credentials("rdsadmin", "x"))
    assert error.value.__cause__ is None
    assert "SCRAM" not in str(error.value)


def test_a_release_on_a_new_database_makes_the_clone_that_the_secret_names_by_then(server: Server) -> None:
    roles = Roles(MASTER.username, "migrator_of_clone", "application")
    manager = FakeSecretsManager(**{MASTER.username: MASTER.password, roles.migrator: "m"})
    name = "ledger_of_clone"
    server.execute(
        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(MASTER.username))
    )
    clone = Credentials("ledger_application_clone", "c")
    manager.renamed["application"] = clone
    try:
        assert migrate(database(server, name), manager.secrets(), roles).startswith("0001.ledger")
        with closing(connect(database(server, name), clone, statement_ms=1000, lock_ms=1000)) as connection:
            connection.execute("SELECT epoch FROM ledger.fence FOR SHARE")
    finally:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(clone.username)))


@pytest.mark.parametrize(
    ("status", "behind"), [("InSync", ()), ("InProgress", ("us-east-2",)), ("Failed", ("us-east-2",))]
)
def test_a_replica_of_the_secret_is_behind_unless_it_is_in_sync(status: str, behind: tuple[str, ...]) -> None:
    versions = FakeVersions({}, {"v0": [CURRENT]}, status=status)
    assert ManagedSecret(cast(Any, versions), SECRET).describe().behind == behind


def test_the_first_value_written_to_a_version_stays() -> None:
    versions = FakeVersions({}, {"v1": [PENDING]})
    secret = ManagedSecret(cast(Any, versions), SECRET)
    assert secret.read("v1") is None
    secret.write("v1", OLD)
    secret.write("v1", Credentials(APP, "another"))
    assert secret.read("v1") == OLD
