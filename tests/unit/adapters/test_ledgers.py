"""Both ledgers side by side, on real servers: a writer and its streaming copy."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from psycopg import sql

from adapters.database import connect
from adapters.ledger import PostgresLedger
from adapters.ledgers import Ledgers
from adapters.schema import MIGRATIONS, Roles, migrate
from adapters.secrets import Credentials
from lab.postgres import Server
from payments.idempotency import fingerprint, payment_id
from payments.model import Money, Payment, PaymentRequest
from tests.ports import free_port
from tests.unit.adapters.conftest import MASTER, database
from tests.unit.adapters.fake_rotation import GLOBAL_CLUSTER, FakeClusters
from tests.unit.adapters.fakes import FakeSecretsManager

NAME = "compared"
HERE, THERE = "us-east-1", "us-east-2"
MIGRATOR, APPLICATION = Credentials("migrator_compared", "m-7"), Credentials("ledger_application", "a-7")
_numbers = count(1)


@pytest.fixture(scope="module")
def manager(server: Server, replica: Server) -> Iterator[FakeSecretsManager]:
    """For a database of its own, which the replica copies, too."""
    identifier = sql.Identifier(NAME)
    server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, sql.Identifier(MASTER.username)))
    manager = FakeSecretsManager(
        ledger_master=MASTER.password,
        migrator_compared=MIGRATOR.password,
        ledger_application=APPLICATION.password,
    )
    roles = Roles(MASTER.username, MIGRATOR.username, APPLICATION.username)
    migrate(database(server, NAME), manager.secrets(), roles)
    server.set_password(APPLICATION.username, APPLICATION.password)
    yield manager
    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@pytest.fixture
def post(server: Server, manager: FakeSecretsManager) -> Iterator[Callable[[], None]]:
    ledger = PostgresLedger(database(server, NAME), manager.secrets(), APPLICATION.username, time.monotonic)

    def post() -> None:
        request = PaymentRequest("shop", Money(1250, "USD"), "alice", "bob", "Invoice \u20ac7")
        identity = payment_id("compared", str(next(_numbers)))
        ledger.post(Payment(identity, fingerprint(request), request, datetime.now(UTC)), 1)

    with closing(ledger):
        yield post


def ledgers(server: Server, other: Server | None, *, writer: str | None = HERE, newest: int = 100) -> Ledgers:
    """Where `other` is None, nobody listens there."""
    away = ("127.0.0.1", free_port()) if other is None else (other.address, other.port)
    clusters = FakeClusters({HERE: (server.address, server.port), THERE: away}, writer)
    return Ledgers(
        clusters, THERE, GLOBAL_CLUSTER, NAME, lambda: APPLICATION, newest=newest, sslmode="disable"
    )


def agreed(compared: Callable[[], Any], payments: int) -> Any:
    """Once the copy has so many."""
    give_up = time.monotonic() + 10
    while True:
        found = compared()
        if found[THERE].get("payments") == payments or time.monotonic() > give_up:
            return found
        time.sleep(0.05)


def test_a_writer_and_its_copy_hold_the_same(
    server: Server, replica: Server, post: Callable[[], None]
) -> None:
    for _ in range(3):
        post()
    found = agreed(ledgers(server, replica).compared, 3)
    writer, copy = found[HERE], found[THERE]
    assert (writer["copy"], copy["copy"]) == (False, True)
    assert writer | {"copy": True} == copy
    assert copy["payments"] == 3
    assert copy["applied"] == sorted(file.stem for file in MIGRATIONS.glob("*.sql"))
    (shorter,) = {each["payments"] for each in ledgers(server, replica, newest=2).compared().values()}
    assert shorter == 2


def test_what_only_the_writer_changed_is_seen(
    server: Server, replica: Server, post: Callable[[], None]
) -> None:
    """The copy cannot be changed, so the writer is, behind a replication that stands still."""
    post()
    before = agreed(ledgers(server, replica).compared, 4)
    replica.execute(sql.SQL("SELECT pg_wal_replay_pause()"))
    try:
        with closing(
            connect(database(server, NAME), MIGRATOR, statement_ms=1000, lock_ms=1000)
        ) as connection:
            connection.execute("UPDATE ledger.entry SET account = 'mallory' WHERE amount > 0")
        after = ledgers(server, replica).compared()
    finally:
        replica.execute(sql.SQL("SELECT pg_wal_replay_resume()"))
    assert after[THERE] == before[THERE]
    assert after[HERE]["payments"] == before[HERE]["payments"]
    assert after[HERE]["digest"] != before[HERE]["digest"]


def test_a_payment_on_its_way_to_the_copy_is_no_difference(
    server: Server, replica: Server, post: Callable[[], None]
) -> None:
    agreed(ledgers(server, replica).compared, 4)
    replica.execute(sql.SQL("SELECT pg_wal_replay_pause()"))
    try:
        post()
        found = ledgers(server, replica).compared()
    finally:
        replica.execute(sql.SQL("SELECT pg_wal_replay_resume()"))
    assert found[HERE]["digest"] == found[THERE]["digest"]
    assert found[HERE]["payments"] == found[THERE]["payments"]


def test_one_that_does_not_answer_is_unknown_and_hides_the_other_s_standing_only(server: Server) -> None:
    found = ledgers(server, None).compared()
    assert found[THERE] == {"unknown": "cluster ledger-secondary in us-east-2: OperationalError (no answer)"}
    assert found[HERE] == {"unknown": "no copy says how far to compare"}


def test_a_copy_of_a_writer_that_does_not_answer_is_read_alone(server: Server, replica: Server) -> None:
    found = ledgers(replica, None, writer=THERE).compared()
    assert found[HERE]["copy"]
    assert "OperationalError" in found[THERE]["unknown"]


def test_before_the_release_that_allows_it_the_migrations_are_unknown(
    server: Server, replica: Server, manager: FakeSecretsManager
) -> None:
    revoke, grant = (
        f"{verb} SELECT ON migrations.applied {to} ledger_application"
        for verb, to in (("REVOKE", "FROM"), ("GRANT", "TO"))
    )
    with closing(connect(database(server, NAME), MIGRATOR, statement_ms=1000, lock_ms=1000)) as connection:
        connection.execute(revoke)
        try:
            assert ledgers(server, replica).compared()[HERE]["applied"] is None
        finally:
            connection.execute(grant)
