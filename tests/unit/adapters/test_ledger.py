import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from adapters.database import Database, connect
from adapters.ledger import PostgresLedger
from adapters.schema import Roles, migrate
from adapters.secrets import Credentials, Secrets
from failover.control import FIRST_EPOCH
from lab.postgres import Server
from payments.audit import SEGMENTS, id_range
from payments.errors import LedgerUnavailable, NotStandby
from payments.idempotency import fingerprint, payment_id
from payments.model import MAX_AMOUNT, Money, Payment, PaymentRequest, entries
from payments.ports import Booked
from tests.ports import free_port
from tests.unit.adapters.conftest import MASTER, database
from tests.unit.adapters.fakes import FakeSecretsManager

APPLICATION = "ledger_application"
MASTER_LOGIN = Credentials(MASTER.username, MASTER.password)
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


def books(server: Server, ids: Collection[str]) -> list[Any]:
    return rows(
        server,
        """
        SELECT payment_id, merchant_id, payment.amount, payment.currency, debtor, creditor, reference,
               fingerprint, epoch, accepted_at, line, account, entry.amount, entry.currency
        FROM ledger.payment JOIN ledger.entry USING (payment_id)
        WHERE payment_id = ANY(%s) ORDER BY payment_id, line
        """,
        list(ids),
    )


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=140)
_REQUESTS = st.builds(
    PaymentRequest,
    st.sampled_from(["shop", "rival"]),
    st.builds(Money, st.integers(1, MAX_AMOUNT), st.sampled_from(["USD", "EUR", "JPY"])),
    st.sampled_from(["alice", "carol"]),
    st.sampled_from(["bob", "dave"]),
    _TEXT,
)


@given(
    st.lists(st.tuples(st.integers(0, 5), _REQUESTS), max_size=12),
    st.sets(st.integers(0, 11)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_posts_what_single_posts_would(
    server: Server, ledger: PostgresLedger, wanted: list[tuple[int, PaymentRequest]], before: set[int]
) -> None:
    """With the same payment twice in it, the same id with something else in it, and some posted before."""
    run = next(_numbers)

    def payments(by: str) -> list[Payment]:
        at = datetime(2026, 11, 22, 10, 15, 30, 123000, tzinfo=UTC)
        ids = [payment_id("shop", f"{run} {by} {number}") for number, _ in wanted]
        return [
            Payment(identity, fingerprint(request), request, at)
            for identity, (_, request) in zip(ids, wanted, strict=True)
        ]

    singly, batched = payments("singly"), payments("batched")
    for some in (singly, batched):
        for number in sorted(before & set(range(len(wanted)))):
            ledger.post(some[number], 1)
    held_before = len(ledger.posted([payment.payment_id for payment in batched]))
    for payment in singly:
        ledger.post(payment, 2)
    new = ledger.post_all(batched, 2)
    assert new == len({payment.payment_id for payment in batched}) - held_before
    names = {
        payment.payment_id: number for payment, (number, _) in zip(singly + batched, wanted * 2, strict=True)
    }

    def stored(some: list[Payment]) -> list[Any]:
        found = books(server, {each.payment_id for each in some})
        return sorted((names[row[0]], *row[1:]) for row in found)

    assert stored(singly) == stored(batched)


def test_a_batch_is_posted_all_or_not_at_all(server: Server, ledger: PostgresLedger) -> None:
    good, bad = payment(), payment()
    broken = Payment(bad.payment_id, "nul\x00", bad.request, bad.accepted_at)
    with pytest.raises(psycopg.DataError):
        ledger.post_all((good, broken), 1)
    with fence(server, 2), pytest.raises(LedgerUnavailable, match="fenced"):
        ledger.post_all((good, bad), 1)
    assert ledger.posted((good.payment_id, bad.payment_id)) == frozenset()
    assert ledger.post_all((), 1) == 0


def test_batches_that_share_payments_do_not_stand_in_each_others_way(
    server: Server, manager: FakeSecretsManager
) -> None:
    """In any order, as from an index: who inserts in another order than the other deadlocks."""
    shared = [payment() for _ in range(4000)]
    ledgers = [ledger_at(database(server), manager) for _ in range(4)]
    orders = [random.Random(seed).sample(shared, len(shared)) for seed in range(4)]  # noqa: S311 - no secret
    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(lambda each, batch: each.post_all(batch, 1), ledgers, orders))
    for each in ledgers:
        each.close()
    assert sum(new) == len(shared)
    assert len(books(server, {each.payment_id for each in shared})) == 2 * len(shared)


def test_the_audit_reads_every_payment_with_its_lines_once(server: Server, ledger: PostgresLedger) -> None:
    posted = {each.payment_id: each for each in (payment() for _ in range(7))}
    ledger.post_all(posted.values(), 1)
    assert ledger.held([*posted, "pay_x"]) == posted
    assert (ledger.held(()), ledger.posted(())) == ({}, frozenset())
    without_lines = payment()
    ledger.post(without_lines, 1)
    rows(server, "DELETE FROM ledger.entry WHERE payment_id = %s", without_lines.payment_id)
    strange = [replace(payment(), payment_id=identity) for identity in ("PAY", "pay_", "pay_zzz", "~")]
    ledger.post_all(strange, 1)
    seen: list[Booked] = []
    for segment in range(SEGMENTS):
        after, last = id_range(segment)
        while page := ledger.rows(after, last, 3):
            seen += page
            after = page[-1].payment.payment_id
    found = {booked.payment.payment_id: booked for booked in seen}
    assert len(found) == len(seen)
    assert found[without_lines.payment_id].lines == ()
    assert found.keys() >= {each.payment_id for each in strange}
    for identity, each in posted.items():
        assert found[identity] == Booked(each, entries(each.request))


def test_the_fence_is_read_as_it_is(server: Server, ledger: PostgresLedger) -> None:
    assert ledger.fence() == 0
    with fence(server, 2):
        assert ledger.fence() == 2
    assert ledger.fence() == 0


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
    assert standby.has((posted.payment_id, "pay_x"), FIRST_EPOCH) == {posted.payment_id}
    standby.close()


def test_only_a_copy_of_this_epochs_ledger_says_what_is_replicated(
    server: Server, replica: Server, ledger: PostgresLedger, manager: FakeSecretsManager
) -> None:
    posted = payment()
    ledger.post(posted, 1)
    with pytest.raises(NotStandby):
        ledger.has((posted.payment_id,), 1)
    standby = ledger_at(database(replica), manager)
    with pytest.raises(NotStandby):
        standby.has((posted.payment_id,), 2)
    with fence(server, 2):
        assert _until(lambda: _has(standby, posted, 2))
    assert _until(lambda: _has(standby, posted, 2) is None)
    standby.close()


def _has(standby: PostgresLedger, posted: Payment, epoch: int) -> bool | None:
    """None where it is no copy of that epoch's ledger."""
    try:
        return standby.has((posted.payment_id,), epoch) == {posted.payment_id}
    except NotStandby:
        return None


def _until(holds: Callable[[], bool | None]) -> bool:
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        if holds():
            return True
        time.sleep(0.05)
    return False


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


def test_the_server_ends_sessions_that_are_idle_for_long(server: Server, ledger: PostgresLedger) -> None:
    """A function that is frozen, or gone without a word, would keep one of a few connections."""
    with closing(connect(database(server), MASTER_LOGIN, statement_ms=1000, lock_ms=1, idle_ms=1)) as idle:
        while rows(server, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", idle.info.backend_pid):
            pass
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    ledger.post(payment(), 1)
    ((told,),) = ledger._ask("SELECT setting FROM pg_settings WHERE name = 'idle_session_timeout'", {})
    assert 60_000 <= int(told) <= 600_000


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


def test_a_server_that_is_gone_is_unavailable(manager: FakeSecretsManager) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Database("127.0.0.1", unused.getsockname()[1], "ledger", sslmode="disable")
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            ledger_at(nobody, manager).post(payment(), 1)


def test_a_server_that_cannot_be_reached_is_left_alone_for_a_moment(manager: FakeSecretsManager) -> None:
    """Payments are accepted without it. If each waited for a connection first, the functions of a busy region
    would soon all be waiting.
    """
    port, now = free_port(), 100.0
    nobody = Database("127.0.0.1", port, "ledger", sslmode="disable")
    ledger = PostgresLedger(nobody, manager.secrets(), APPLICATION, lambda: now)
    with pytest.raises(LedgerUnavailable, match="unreachable"):
        ledger.post(payment(), 1)
    with socket.create_server(("127.0.0.1", port)) as silent:
        silent.setblocking(False)
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            ledger.post(payment(), 1)
        with pytest.raises(BlockingIOError):
            silent.accept()
        now += 1.0
        with pytest.raises(LedgerUnavailable, match="unreachable"):
            ledger.post(payment(), 1)
        silent.accept()[0].close()


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
        with pytest.raises(LedgerUnavailable, match="unreachable"):  # and not after minutes, as TCP would
            ledger.post(payment(), 1)


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


def test_a_raised_fence_keeps_older_epochs_out_and_never_goes_down(
    server: Server, ledger: PostgresLedger
) -> None:
    with fence(server, 1):
        ledger.raise_fence(5)
        ledger.raise_fence(5)
        with pytest.raises(LedgerUnavailable, match="fenced"):
            ledger.raise_fence(4)
        with pytest.raises(LedgerUnavailable, match="fenced"):
            ledger.post(payment(), 4)
        ledger.post(payment(), 5)


def test_payments_whose_lines_do_not_add_up_are_named(server: Server, ledger: PostgresLedger) -> None:
    whole, halved, changed, other = payment(), payment(), payment(), payment()
    ledger.post_all((whole, halved, changed, other), 1)
    broken = {halved.payment_id, changed.payment_id, other.payment_id}
    spoil = (
        ("DELETE FROM ledger.entry WHERE line = 1 AND payment_id = %s", halved),
        ("UPDATE ledger.entry SET amount = amount + 1 WHERE line = 2 AND payment_id = %s", changed),
        ("UPDATE ledger.entry SET currency = 'EUR' WHERE payment_id = %s", other),
    )
    assert not broken & set(ledger.unbalanced(100))
    for statement, spoilt in spoil:
        rows(server, statement, spoilt.payment_id)
    assert set(ledger.unbalanced(100)) & {whole.payment_id, *broken} == broken
    for one in (halved, changed, other):
        rows(server, "DELETE FROM ledger.entry WHERE payment_id = %s", one.payment_id)
        rows(server, "DELETE FROM ledger.payment WHERE payment_id = %s", one.payment_id)


def test_how_far_a_takeover_came_stands_in_the_ledger_under_its_epoch(
    server: Server, ledger: PostgresLedger
) -> None:
    assert ledger.recovered(5) == {}
    ledger.mark_recovered(5, "00", "first")
    ledger.mark_recovered(5, "00", "second")
    ledger.mark_recovered(5, "01", "first")
    assert ledger.recovered(5) == {"00": "second", "01": "first"}
    with fence(server, 6):
        with pytest.raises(LedgerUnavailable, match="fenced"):
            ledger.mark_recovered(5, "00", "third")
        ledger.mark_recovered(6, "00", "first")
    assert (ledger.recovered(5), ledger.recovered(6)) == ({"01": "first"}, {"00": "first"})
