import itertools
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from adapters.database import Database, connect
from adapters.ledger import PostgresLedger
from adapters.schema import Roles, migrate
from adapters.secrets import Credentials, Secrets
from lab.postgres import Server
from payments.errors import LedgerUnavailable
from payments.idempotency import fingerprint, payment_id
from payments.model import Money, Payment, PaymentRequest
from tests.unit.adapters.conftest import MASTER, database
from tests.unit.adapters.fakes import FakeSecretsManager

APPLICATION = "ledger_application"
_numbers = itertools.count(1)


def payment() -> Payment:
    request = PaymentRequest("shop", Money(1250, "USD"), "alice", "bob", "Invoice \u20ac7")
    identity = payment_id("shop", str(next(_numbers)))
    return Payment(identity, fingerprint(request), request, datetime.now(UTC))


@pytest.fixture(scope="module")
def manager(server: Server) -> FakeSecretsManager:
    manager = FakeSecretsManager(
        ledger_master=MASTER.password, ledger_migrator="m-1", ledger_application="a-2"
    )
    migrate(database(server), manager.secrets(), Roles("ledger_master", "ledger_migrator", APPLICATION))
    server.set_password(APPLICATION, "a-2")
    return manager


def ledger_at(at: Database, manager: FakeSecretsManager) -> PostgresLedger:
    return PostgresLedger(at, manager.secrets(), APPLICATION, time.monotonic)


@pytest.fixture
def ledger(server: Server, manager: FakeSecretsManager) -> Iterator[PostgresLedger]:
    ledger = ledger_at(database(server), manager)
    yield ledger
    ledger.close()


def rows(server: Server, statement: str, *values: object) -> list[Any]:
    owner = Credentials("ledger_migrator", "m-1")
    with closing(connect(database(server), owner, statement_ms=5000, lock_ms=5000)) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def fence(server: Server, epoch: int) -> Iterator[None]:
    rows(server, "UPDATE ledger.fence SET epoch = %s", epoch)
    try:
        yield
    finally:
        rows(server, "UPDATE ledger.fence SET epoch = 0")


def test_a_payment_is_posted_once_with_two_balanced_entries(server: Server, ledger: PostgresLedger) -> None:
    posted = payment()
    assert ledger.find(posted.payment_id) is None
    ledger.post(posted, 1)
    ledger.post(posted, 2)
    assert ledger.find(posted.payment_id) == posted
    assert rows(
        server,
        "SELECT line, account, amount, currency FROM ledger.entry WHERE payment_id = %s ORDER BY line",
        posted.payment_id,
    ) == [(1, "alice", -1250, "USD"), (2, "bob", 1250, "USD")]
    assert rows(
        server,
        "SELECT merchant_id, amount, reference, epoch, accepted_at FROM ledger.payment WHERE payment_id = %s",
        posted.payment_id,
    ) == [("shop", 1250, "Invoice \u20ac7", 1, posted.accepted_at)]


def test_posting_at_the_same_time_posts_once(server: Server, manager: FakeSecretsManager) -> None:
    posted = payment()
    ledgers = [ledger_at(database(server), manager) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.post(posted, 1), ledgers))
    for each in ledgers:
        each.close()
    assert rows(
        server, "SELECT count(*), sum(amount) FROM ledger.entry WHERE payment_id = %s", posted.payment_id
    ) == [(2, 0)]


def test_nothing_is_posted_under_an_epoch_older_than_the_fence(
    server: Server, ledger: PostgresLedger
) -> None:
    posted = payment()
    with fence(server, 2):
        with pytest.raises(LedgerUnavailable, match="fenced"):
            ledger.post(posted, 1)
        assert ledger.find(posted.payment_id) is None
        ledger.post(posted, 2)
    assert ledger.find(posted.payment_id) == posted


def test_whoever_raises_the_fence_is_waited_for_and_obeyed(server: Server, ledger: PostgresLedger) -> None:
    posted = payment()
    owner = Credentials("ledger_migrator", "m-1")
    with closing(connect(database(server), owner, statement_ms=5000, lock_ms=5000)) as raiser:
        raiser.execute("BEGIN")
        raiser.execute("UPDATE ledger.fence SET epoch = 9")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ledger.post, posted, 8)
            time.sleep(0.3)
            assert not waiting.done()
            raiser.execute("COMMIT")
            with pytest.raises(LedgerUnavailable, match="fenced"):
                waiting.result(5)
        raiser.execute("UPDATE ledger.fence SET epoch = 0")


def test_a_replica_reads_but_cannot_post(
    server: Server, replica: Server, ledger: PostgresLedger, manager: FakeSecretsManager
) -> None:
    posted = payment()
    ledger.post(posted, 1)
    standby = ledger_at(database(replica), manager)
    give_up = time.monotonic() + 10
    while not _replicated(standby, posted) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert standby.find(posted.payment_id) == posted
    with pytest.raises(LedgerUnavailable, match="read-only"):
        standby.post(posted, 1)
    standby.close()


def _replicated(standby: PostgresLedger, posted: Payment) -> bool:
    try:
        return standby.find(posted.payment_id) is not None
    except LedgerUnavailable:  # the schema has not arrived yet
        return False


def test_a_connection_that_was_cut_is_replaced(server: Server, ledger: PostgresLedger) -> None:
    ledger.post(payment(), 1)
    server.execute(
        sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}").format(
            sql.Literal(APPLICATION)
        )
    )
    again = payment()
    ledger.post(again, 1)
    assert ledger.find(again.payment_id) == again


def test_the_connection_is_kept(server: Server, ledger: PostgresLedger) -> None:
    for _ in range(8):
        ledger.post(payment(), 1)
    assert rows(server, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", APPLICATION) == [(1,)]


def test_a_rotated_password_is_read_again(server: Server, manager: FakeSecretsManager) -> None:
    ledger = ledger_at(database(server), manager)
    ledger.post(payment(), 1)
    server.set_password(APPLICATION, "a-3")
    manager.passwords[APPLICATION] = "a-3"
    server.execute(
        sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}").format(
            sql.Literal(APPLICATION)
        )
    )
    ledger.post(payment(), 1)
    ledger.close()


def test_a_wrong_password_does_not_hammer_the_secret(server: Server) -> None:
    manager = FakeSecretsManager(ledger_application="wrong")
    ledger = ledger_at(database(server), manager)
    for _ in range(5):
        with pytest.raises(LedgerUnavailable):
            ledger.post(payment(), 1)
    assert manager.reads == 2


def test_an_unreadable_secret_leaves_the_ledger_unavailable(server: Server) -> None:
    manager = FakeSecretsManager()
    manager.down = True
    with pytest.raises(LedgerUnavailable, match="no-credentials") as raised:
        ledger_at(database(server), manager).post(payment(), 1)
    assert raised.value.mistake is None


@pytest.mark.parametrize(
    "mistake",
    [
        *(
            ClientError({"Error": {"Code": code}}, "GetSecretValue")
            for code in (
                "AccessDeniedException",
                "DecryptionFailure",
                "ResourceNotFoundException",
                "InvalidRequestException",
            )
        ),
        {"SecretString": "not JSON"},
        {"SecretString": "[]"},
        {"SecretBinary": b"x"},
    ],
    ids=str,
)
def test_a_secret_that_is_refused_gone_or_malformed_is_a_mistake_and_no_credentials(
    server: Server, mistake: ClientError | dict[str, Any]
) -> None:
    class Broken:
        def get_secret_value(self, **_request: Any) -> dict[str, Any]:
            if isinstance(mistake, ClientError):
                raise mistake
            return mistake

    broken: Any = Broken()
    ledger = PostgresLedger(database(server), Secrets(broken), APPLICATION, time.monotonic)
    with pytest.raises(LedgerUnavailable, match="no-credentials") as raised:
        ledger.post(payment(), 1)
    assert isinstance(raised.value.mistake, ClientError | ValueError)
    with pytest.raises(LedgerUnavailable, match="no-credentials"):
        ledger.find("pay_x")


def test_an_empty_schema_is_tolerated(server: Server, manager: FakeSecretsManager) -> None:
    with pytest.raises(LedgerUnavailable, match="no-schema"):
        ledger_at(database(server, "postgres"), manager).post(payment(), 1)


def test_a_server_that_is_gone_is_unavailable_at_once(manager: FakeSecretsManager) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Database("127.0.0.1", unused.getsockname()[1], "ledger", sslmode="disable")
        started = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            ledger_at(nobody, manager).post(payment(), 1)
        assert time.monotonic() - started < 1


def test_a_locked_fence_is_not_waited_for_long(server: Server, ledger: PostgresLedger) -> None:
    owner = Credentials("ledger_migrator", "m-1")
    with closing(connect(database(server), owner, statement_ms=5000, lock_ms=5000)) as locker:
        locker.execute("BEGIN")
        locker.execute("UPDATE ledger.fence SET epoch = epoch")
        with pytest.raises(LedgerUnavailable, match="locked"):
            ledger.post(payment(), 1)


def test_a_mistake_of_ours_is_not_taken_for_an_outage(server: Server, ledger: PostgresLedger) -> None:
    posted = payment()
    broken = Payment(posted.payment_id, "nul\x00", posted.request, posted.accepted_at)
    with pytest.raises(psycopg.DataError):
        ledger.post(broken, 1)


def test_a_server_that_accepts_and_never_answers_is_cut_off(
    server: Server, manager: FakeSecretsManager
) -> None:
    with _stalling_proxy(server) as (port, stall):
        ledger = ledger_at(Database("127.0.0.1", port, "ledger", sslmode="disable"), manager)
        ledger.post(payment(), 1)
        stall.set()
        started = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            ledger.post(payment(), 1)
        assert time.monotonic() - started < 9


@contextmanager
def _stalling_proxy(server: Server) -> Iterator[tuple[int, threading.Event]]:
    """Forwards bytes until told to stall; then it swallows them."""
    stall = threading.Event()
    sockets: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not stall.is_set():
                    target.sendall(data)
        except OSError:
            return

    def serve(listener: socket.socket) -> None:
        try:
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection((server.address, server.port))
                sockets.extend((client, upstream))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sockets.append(listener)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1], stall
        finally:
            for each in sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
