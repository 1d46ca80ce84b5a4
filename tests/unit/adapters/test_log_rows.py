"""The order of the log on a real replica: what runs on the writer holds back whatever came after it."""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from adapters.database import connect
from adapters.ledger import PostgresLedger
from adapters.log_rows import PostgresLogRows
from adapters.schema import Roles, migrate
from adapters.secrets import Credentials
from lab.postgres import Installation, Server
from payments.errors import LedgerUnavailable, NotStandby
from payments.idempotency import fingerprint, payment_id
from payments.model import Money, Payment, PaymentRequest, entries
from payments.ship import LogPage
from payments.transaction_log import BEGINNING, Position
from tests.ports import free_port
from tests.unit.adapters.conftest import MASTER, database, running
from tests.unit.adapters.fakes import FakeSecretsManager

NAME = "log"
MIGRATOR, APPLICATION = Credentials("migrator_log", "m-9"), Credentials("ledger_application", "a-9")
_numbers = count(1)


def payment() -> Payment:
    request = PaymentRequest("shop", Money(1250, "USD"), "alice", "bob", "Invoice \u20ac7")
    identity = payment_id("log", str(next(_numbers)))
    return Payment(identity, fingerprint(request), request, datetime.now(UTC))


@pytest.fixture(scope="module")
def manager(server: Server, replica: Server) -> Iterator[FakeSecretsManager]:
    """For a database of its own, which the replica copies, too."""
    identifier = sql.Identifier(NAME)
    server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, sql.Identifier(MASTER.username)))
    manager = FakeSecretsManager(
        ledger_master=MASTER.password, migrator_log=MIGRATOR.password, ledger_application=APPLICATION.password
    )
    roles = Roles(MASTER.username, MIGRATOR.username, APPLICATION.username)
    migrate(database(server, NAME), manager.secrets(), roles)
    server.set_password(APPLICATION.username, APPLICATION.password)
    yield manager
    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@pytest.fixture
def ledger(server: Server, manager: FakeSecretsManager) -> Iterator[PostgresLedger]:
    with ledger_at(server, manager) as ledger:
        yield ledger


@contextmanager
def ledger_at(server: Server, manager: FakeSecretsManager) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger(database(server, NAME), manager.secrets(), APPLICATION.username, time.monotonic)
    with closing(ledger):
        yield ledger


@contextmanager
def rows_at(server: Server, manager: FakeSecretsManager, name: str = NAME) -> Iterator[PostgresLogRows]:
    rows = PostgresLogRows(database(server, name), manager.secrets(), APPLICATION.username, time.monotonic)
    with closing(rows):
        yield rows


@pytest.fixture
def rows(replica: Server, ledger: PostgresLedger, manager: FakeSecretsManager) -> Iterator[PostgresLogRows]:
    """On the replica, which has everything posted so far."""
    marker = payment()
    ledger.post(marker, 1)
    with rows_at(replica, manager) as rows:
        eventually(lambda: marker.payment_id in ids(rows))
        yield rows


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except LedgerUnavailable:  # the schema has not arrived yet
            pass
        assert time.monotonic() < give_up
        time.sleep(0.02)


def page(rows: PostgresLogRows, after: Position = BEGINNING, through: Position | None = None) -> LogPage:
    return rows.page(1, after, through, 100_000)


def ids(rows: PostgresLogRows, after: Position = BEGINNING) -> list[str]:
    return [row.payment.payment_id for row in page(rows, after).rows]


def last(rows: PostgresLogRows) -> Position:
    return page(rows).rows[-1].position


@contextmanager
def transaction(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Open on the writer until it is ended."""
    with closing(connect(database(server, NAME), MIGRATOR, statement_ms=5000, lock_ms=5000)) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


def insert(connection: psycopg.Connection[Any], posted: Payment) -> None:
    request = posted.request
    connection.execute(
        "INSERT INTO ledger.payment (payment_id, merchant_id, amount, currency, debtor, creditor, reference,"
        " fingerprint, epoch, accepted_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 1, %s)",
        (
            posted.payment_id,
            request.merchant_id,
            request.money.amount,
            request.money.currency,
            request.debtor,
            request.creditor,
            request.reference,
            posted.fingerprint,
            posted.accepted_at,
        ),
    )


def test_rows_come_with_everything_the_ledger_holds(rows: PostgresLogRows, ledger: PostgresLedger) -> None:
    after, started = last(rows), datetime.now(UTC)
    batch = [payment() for _ in range(3)]
    ledger.post_all(batch, 7)
    eventually(lambda: len(ids(rows, after)) == 3)
    found = page(rows, after).rows
    assert sorted((row.payment for row in found), key=lambda one: one.payment_id) == sorted(
        batch, key=lambda one: one.payment_id
    )
    assert [row.position for row in found] == sorted(row.position for row in found)
    assert len({row.txid for row in found}) == 1  # of one transaction, so in the order of their ids
    for row in found:
        assert (row.epoch, row.lines) == (7, entries(row.payment.request))
        assert abs((row.posted_at - started).total_seconds()) < 10


def test_a_page_is_a_range_of_at_most_so_many(rows: PostgresLogRows, ledger: PostgresLedger) -> None:
    after = last(rows)
    for _ in range(5):
        ledger.post(payment(), 1)
    eventually(lambda: len(ids(rows, after)) == 5)
    every = page(rows, after).rows
    assert rows.page(1, after, None, 2).rows == every[:2]
    assert rows.page(1, every[1].position, every[3].position, 100).rows == every[2:4]
    assert rows.page(1, every[4].position, None, 100).rows == ()
    assert rows.page(1, every[3].position, every[3].position, 100).rows == ()
    assert page(rows).cutoff > every[4].txid


def test_an_open_transaction_holds_back_what_was_committed_after_it(
    server: Server, rows: PostgresLogRows, ledger: PostgresLedger
) -> None:
    after = last(rows)
    slow, quick = payment(), payment()
    with transaction(server) as open_on_the_writer:
        insert(open_on_the_writer, slow)
        ledger.post(quick, 1)
        eventually(lambda: rows.has([quick.payment_id], 1))  # it is there, and yet it has to wait
        assert ids(rows, after) == []
        assert rows.waiting_since(1, after) is not None
        open_on_the_writer.execute("COMMIT")
    eventually(lambda: ids(rows, after))
    assert ids(rows, after) == [slow.payment_id, quick.payment_id]


def test_a_transaction_that_wrote_nothing_yet_holds_back_as_well(
    server: Server, rows: PostgresLogRows, ledger: PostgresLedger
) -> None:
    """Nothing in the write-ahead log names its number, but that of the next does."""
    after = last(rows)
    slow, quick = payment(), payment()
    with transaction(server) as open_on_the_writer:
        open_on_the_writer.execute("SELECT pg_current_xact_id()")
        ledger.post(quick, 1)
        eventually(lambda: rows.has([quick.payment_id], 1))
        assert ids(rows, after) == []
        insert(open_on_the_writer, slow)
        open_on_the_writer.execute("COMMIT")
    eventually(lambda: ids(rows, after))
    assert ids(rows, after) == [slow.payment_id, quick.payment_id]


def test_a_row_has_the_number_of_its_transaction_not_of_a_part_of_it(
    server: Server, rows: PostgresLogRows, ledger: PostgresLedger
) -> None:
    after = last(rows)
    slow, quick = payment(), payment()
    with transaction(server) as open_on_the_writer:
        open_on_the_writer.execute("SELECT pg_current_xact_id()")
        ledger.post(quick, 1)
        with open_on_the_writer.transaction():
            insert(open_on_the_writer, slow)
        open_on_the_writer.execute("COMMIT")
    eventually(lambda: ids(rows, after))
    assert ids(rows, after) == [slow.payment_id, quick.payment_id]


def test_a_transaction_that_is_rolled_back_leaves_a_gap_and_nothing_else(
    server: Server, rows: PostgresLogRows, ledger: PostgresLedger
) -> None:
    after = last(rows)
    never, quick = payment(), payment()
    with transaction(server) as open_on_the_writer:
        insert(open_on_the_writer, never)
        ledger.post(quick, 1)
    eventually(lambda: ids(rows, after))
    assert ids(rows, after) == [quick.payment_id]
    assert rows.waiting_since(1, last(rows)) is None


def test_under_any_traffic_nothing_turns_up_before_what_was_seen(
    server: Server, rows: PostgresLogRows
) -> None:
    """Transactions that end in another order than they began, and some not at all."""
    after = last(rows)
    committed: list[str] = []

    def post(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - to be the same again
        with closing(connect(database(server, NAME), MIGRATOR, statement_ms=5000, lock_ms=5000)) as writer:
            for _ in range(40):
                posted = payment()
                writer.execute("BEGIN")
                if dice.random() < 0.5:
                    writer.execute("SELECT pg_current_xact_id()")
                    time.sleep(dice.random() / 50)
                insert(writer, posted)
                time.sleep(dice.random() / 50)
                kept = dice.random() < 0.8
                writer.execute("COMMIT" if kept else "ROLLBACK")
                if kept:
                    committed.append(posted.payment_id)

    seen: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        running_ones = [pool.submit(post, seed) for seed in range(4)]

        def follow() -> bool:
            """Whether all was seen that will ever be."""
            nonlocal after
            ended = all(one.done() for one in running_ones)
            for row in page(rows, after).rows:
                assert row.position > after
                after = row.position
                seen.append(row.payment.payment_id)
            return ended and len(seen) >= len(committed)

        eventually(follow, seconds=20)
        for one in running_ones:
            one.result()
    assert sorted(seen) == sorted(committed)


def test_who_is_no_copy_of_this_epoch_s_ledger_says_so(
    server: Server, rows: PostgresLogRows, manager: FakeSecretsManager
) -> None:
    with rows_at(server, manager) as at_the_writer:
        for ask in (lambda: page(at_the_writer), lambda: at_the_writer.waiting_since(1, BEGINNING)):
            with pytest.raises(NotStandby):
                ask()
    with pytest.raises(NotStandby):
        rows.page(2, BEGINNING, None, 1)  # its takeover would have raised the fence


def test_a_schema_of_before_is_not_now(
    server: Server, replica: Server, rows: PostgresLogRows, manager: FakeSecretsManager
) -> None:
    with (
        rows_at(replica, manager, "postgres") as nowhere,
        pytest.raises(LedgerUnavailable, match="no-schema"),
    ):
        page(nowhere)
    with closing(connect(database(server, NAME), MIGRATOR, statement_ms=5000, lock_ms=5000)) as migrator:
        migrator.execute("ALTER TABLE ledger.payment RENAME COLUMN txid TO another")
        try:
            eventually(lambda: refused(rows) == "no-schema")
        finally:
            migrator.execute("ALTER TABLE ledger.payment RENAME COLUMN another TO txid")
    eventually(lambda: refused(rows) is None)


def refused(rows: PostgresLogRows) -> str | None:
    try:
        page(rows)
    except LedgerUnavailable as reason:
        return reason.detail
    return None


def test_the_order_is_read_from_the_index(server: Server, manager: FakeSecretsManager) -> None:
    with closing(connect(database(server, NAME), MIGRATOR, statement_ms=5000, lock_ms=5000)) as migrator:
        migrator.execute("SET enable_seqscan = off")
        plan = migrator.execute(
            "EXPLAIN SELECT 1 FROM ledger.payment WHERE (txid, payment_id COLLATE \"C\") > (5, 'pay_x')"
            ' AND txid < 900 ORDER BY txid, payment_id COLLATE "C" LIMIT 10'
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "payment_position" in text
    assert "Sort" not in text


def test_what_is_posted_after_a_promotion_comes_after_everything_that_was_shipped(
    installation: Installation, server: Server, ledger: PostgresLedger, manager: FakeSecretsManager
) -> None:
    """Whatever the old writer still did: numbers that the promoted copy never heard of are given again."""
    directory = Path(tempfile.mkdtemp(prefix="payments-promoted-"))
    directory.chmod(0o755)
    copy = Server(installation, directory / "data", "127.0.0.1", free_port(), server.superuser_password)
    try:
        copy.clone(server, "promoted")
        with running(copy), rows_at(copy, manager) as rows, transaction(server) as left_behind:
            insert(left_behind, lost := payment())
            ledger.post(early := payment(), 1)
            eventually(lambda: rows.has([early.payment_id], 1))
            assert early.payment_id not in ids(rows)
            cutoff = page(rows).cutoff
            shipped = ids(rows)
            copy.promote()
            with ledger_at(copy, manager) as promoted:
                promoted.post(new := payment(), 1)
            with closing(connect(database(copy, NAME), MIGRATOR, statement_ms=5000, lock_ms=5000)) as reader:
                found = reader.execute(
                    'SELECT txid, payment_id FROM ledger.payment ORDER BY txid, payment_id COLLATE "C"'
                ).fetchall()
        assert [one for _, one in found] == [*shipped, early.payment_id, new.payment_id]
        assert lost.payment_id not in {one for _, one in found}
        assert min(txid for txid, one in found if one not in shipped) >= cutoff
    finally:
        shutil.rmtree(directory, ignore_errors=True)
