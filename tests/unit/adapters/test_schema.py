from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from adapters.database import connect
from adapters.schema import NOT_THE_WRITER, Roles, migrate
from adapters.secrets import Credentials
from lab.postgres import Server
from tests.unit.adapters.conftest import MASTER, database
from tests.unit.adapters.fakes import FakeSecretsManager

EVERYTHING = "0001.ledger, 0002.transaction-log, 0003.transaction-log-index, 0004.recovery, 0005.readiness"


def roles_of(suffix: str) -> tuple[FakeSecretsManager, Roles]:
    # The application's role is named by the migrations, so it is the same in every database of the server.
    roles = Roles("ledger_master", f"migrator_{suffix}", "ledger_application")
    manager = FakeSecretsManager(
        **{"ledger_master": MASTER.password, roles.migrator: "m'1", "ledger_application": "a-1"}
    )
    return manager, roles


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """The name of a new database that belongs to the master."""
    name = f"ledger_{uuid4().hex[:8]}"
    server.execute(
        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(MASTER.username))
    )
    yield name
    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_first_run_makes_roles_and_schema_and_a_second_changes_nothing(server: Server, empty: str) -> None:
    manager, roles = roles_of(empty)
    assert migrate(database(server, empty), manager.secrets(), roles) == EVERYTHING
    manager.passwords.pop("ledger_master")  # break-glass: not needed any more
    assert migrate(database(server, empty), manager.secrets(), roles) == "nothing"


def test_runs_at_the_same_time_wait_for_each_other(server: Server, empty: str) -> None:
    manager, roles = roles_of(empty)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(migrate, database(server, empty), manager.secrets(), roles) for _ in range(3)]
        done = sorted(run.result(60) for run in runs)
    assert done == [EVERYTHING, "nothing", "nothing"]


def test_a_lock_left_behind_by_a_killed_run_holds_nobody_up(server: Server, empty: str) -> None:
    manager, roles = roles_of(empty)
    migrate(database(server, empty), manager.secrets(), roles)
    migrator = Credentials(roles.migrator, "m'1")
    with connect(database(server, empty), migrator, statement_ms=1000, lock_ms=1000) as connection:
        connection.execute("INSERT INTO migrations.yoyo_lock (locked, pid) VALUES (1, 1)")
    assert migrate(database(server, empty), manager.secrets(), roles) == "nothing"


def test_payments_of_before_get_their_place_in_the_log_without_a_rewrite(server: Server, empty: str) -> None:
    manager, roles = roles_of(empty)
    migrate(database(server, empty), manager.secrets(), roles)
    migrator = Credentials(roles.migrator, "m'1")
    with connect(database(server, empty), migrator, statement_ms=5000, lock_ms=1000) as connection:
        # As the release before left it, but for a broken index: that build had been broken off.
        connection.execute("DROP INDEX ledger.payment_position")
        connection.execute("DROP TABLE ledger.recovery")
        connection.execute("ALTER TABLE ledger.payment DROP COLUMN txid")
        connection.execute("CREATE INDEX payment_position ON ledger.payment (merchant_id)")
        connection.execute("DELETE FROM migrations.applied WHERE migration_id > '0002'")
        for payment_id in ("pay_b", "pay_a"):
            connection.execute(_POST_OF_BEFORE, [payment_id])
        file_of = "SELECT pg_relation_filenode('ledger.payment')"
        before = connection.execute(file_of).fetchone()
        assert migrate(database(server, empty), manager.secrets(), roles) == EVERYTHING.partition(", ")[2]
        assert connection.execute(file_of).fetchone() == before
        connection.execute(_POST_OF_BEFORE, ["pay_0"])
        (old,), (same,), (new,) = connection.execute(
            'SELECT txid FROM ledger.payment ORDER BY txid, payment_id COLLATE "C"'
        ).fetchall()
        assert old == same < new < old + 50
        assert connection.execute(
            "SELECT indisvalid, indnkeyatts FROM pg_index"
            " WHERE indexrelid = 'ledger.payment_position'::regclass"
        ).fetchone() == (True, 2)


_POST_OF_BEFORE = """
INSERT INTO ledger.payment (payment_id, merchant_id, amount, currency, debtor, creditor, reference,
                            fingerprint, epoch, accepted_at)
VALUES (%s, 'shop', 1, 'USD', 'alice', 'bob', '', 'f', 1, now())
"""


def test_a_replica_is_not_the_writer_and_that_is_success(server: Server, replica: Server) -> None:
    manager, roles = roles_of("nobody")  # nobody can log in but the master
    assert migrate(database(replica), manager.secrets(), roles) == NOT_THE_WRITER


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.payment SET amount = 1",
        "DELETE FROM ledger.entry",
        "TRUNCATE ledger.payment CASCADE",
        "DELETE FROM ledger.fence",
        "CREATE TABLE ledger.mine (id int)",
        "CREATE SCHEMA mine",
        "DELETE FROM migrations.applied",
        "SELECT 1 FROM migrations.yoyo_lock",
    ],
)
def test_the_application_can_only_add_to_the_ledger(server: Server, empty: str, statement: sql.SQL) -> None:
    manager, roles = roles_of(empty)
    migrate(database(server, empty), manager.secrets(), roles)
    application = Credentials("ledger_application", "a-1")
    with (
        connect(database(server, empty), application, statement_ms=1000, lock_ms=1000) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_an_unreachable_database_is_an_error(server: Server) -> None:
    manager, roles = roles_of("wrong")
    manager.passwords["ledger_master"] = "wrong"
    with pytest.raises(psycopg.OperationalError):
        migrate(database(server), manager.secrets(), roles)
