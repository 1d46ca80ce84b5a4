"""Every order is sent when it is due and comes to an outcome, whatever the service does."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from lab.certificates import new_authority, write_server_certificate
from ops.resolver import Answer, Resolver
from ops.traffic import Merchant, Outcome, Patience, Run, orders, send
from tests.ports import free_port

SHOP = Merchant("shop", "secret", "shop-debtor", "shop-creditor", "USD")
# Short pauses, and far more time than any of this takes, on a loaded machine too.
PATIENT = Patience(attempt=60.0, payment=120.0, first_pause=0.01, longest_pause=0.05)
A_MOMENT = 1e-6  # what a sum of two clocks' readings may be rounded by
POSTED = {"payment_id": "pay_1", "status": "posted"}

Certificate = tuple[Path, ssl.SSLContext]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """Opens sessions and does with payments what it is told; remembers what it saw."""

    def __init__(self, pay: Handler) -> None:
        self._pay = pay
        self.sessions = 0
        self.keys: list[str] = []

    async def sessions_handler(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"].startswith("Basic ")
        self.sessions += 1
        return web.json_response({"session_token": f"token-{self.sessions}"}, status=201)

    async def payments_handler(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["Idempotency-Key"])
        return await self._pay(request)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A server's, and what a client that trusts its authority uses."""
    now = datetime.now(UTC)
    authority = new_authority("CA", now)
    file = tmp_path / "server.pem"
    write_server_certificate(authority, file, hosts=("pay.test",), addresses=("127.0.0.1",), now=now)
    return file, ssl.create_default_context(cadata=authority.pem().decode())


@asynccontextmanager
async def serving(service: Service, file: Path, port: int) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_post("/sessions", service.sessions_handler)
    application.router.add_post("/payments", service.payments_handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def posted(_request: web.Request) -> web.StreamResponse:
    return web.json_response(POSTED, status=201)


def run(
    pay: Handler,
    certificate: Certificate,
    *,
    count: int = 6,
    rate: float = 100.0,
    clients: int = 2,
    patience: Patience = PATIENT,
) -> tuple[Run, Service]:
    async def scenario() -> tuple[Run, Service]:
        service, port = Service(pay), free_port()
        wanted = islice(orders([SHOP], rate=rate, clients=clients, seed=1, name="test"), count)
        async with serving(service, certificate[0], port):
            api = f"https://127.0.0.1:{port}"
            done = await send(wanted, api=api, merchants=[SHOP], tls=certificate[1], patience=patience)
            return done, service

    return asyncio.run(scenario())


def test_the_same_seed_makes_the_same_orders_and_no_two_alike() -> None:
    def made(seed: int) -> list[object]:
        return list(islice(orders([SHOP], rate=10, clients=3, seed=seed, name="n"), 20))

    assert made(1) == made(1) != made(2)
    first = list(islice(orders([SHOP], rate=10, clients=3, seed=1, name="n"), 20))
    assert len({order.key for order in first}) == 20
    assert [order.due for order in first[:3]] == pytest.approx([0.0, 0.1, 0.2])
    assert [order.client for order in first[:4]] == [0, 1, 2, 0]


def test_requests_are_sent_when_they_are_due_however_slow_the_answers_are(certificate: Certificate) -> None:
    waiting: list[web.Request] = []
    all_came = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        """Answers nobody before all have asked, which never happens where one waits for another's answer."""
        waiting.append(request)
        if len(waiting) == 40:
            all_came.set()
        await all_came.wait()
        return web.json_response(POSTED, status=201)

    patience = replace(PATIENT, attempt=20.0)  # what it takes to fail
    done, service = run(slow, certificate, count=40, rate=40.0, clients=4, patience=patience)
    assert {sent.outcome for sent in done.sent} == {Outcome.POSTED}
    assert len(service.keys) == len(set(service.keys)) == 40
    for sent in done.sent:
        *_, attempt = sent.attempts  # the first of each client signs in before
        assert attempt.at >= sent.order.due - A_MOMENT
        assert sent.seconds >= attempt.at + attempt.seconds - sent.order.due - A_MOMENT


def test_each_client_signs_in_once_for_all_its_payments(certificate: Certificate) -> None:
    done, service = run(posted, certificate, count=30, rate=1000.0, clients=3)
    assert service.sessions == 3
    paths = [attempt.path for sent in done.sent for attempt in sent.attempts]
    assert (paths.count("/sessions"), paths.count("/payments")) == (3, 30)


def test_a_payment_is_sent_again_with_its_key_until_it_is_acknowledged(certificate: Certificate) -> None:
    bad = iter(["503", "page", "hang", "drop", "429"])

    async def pay(request: web.Request) -> web.StreamResponse:
        match next(bad, "good"):
            case "503":
                return web.json_response({"status": 503}, status=503, headers={"Retry-After": "1"})
            case "page":
                return web.Response(text="<html>Bad gateway</html>", status=502)
            case "hang":
                await asyncio.sleep(600)
            case "drop":
                assert request.transport
                request.transport.abort()
            case "429":
                return web.json_response({}, status=429)
        return web.json_response(POSTED | {"status": "accepted"}, status=202)

    done, service = run(pay, certificate, count=1, patience=replace(PATIENT, attempt=3.0))
    (sent,) = done.sent
    assert (sent.outcome, sent.acknowledged) == (Outcome.ACCEPTED, True)
    assert sent.answer["payment_id"] == "pay_1"
    assert set(service.keys) == {sent.order.key}
    assert [attempt.status for attempt in sent.attempts] == [201, 503, 502, None, None, 429, 202]
    assert [bool(attempt.error) for attempt in sent.attempts] == [False] * 3 + [True] * 2 + [False] * 2


def test_a_session_that_ended_is_replaced(certificate: Certificate) -> None:
    async def pay(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer token-1":
            return web.json_response({}, status=401)
        return web.json_response(POSTED, status=201)

    done, service = run(pay, certificate, count=10, clients=1, rate=1000.0)
    assert {sent.outcome for sent in done.sent} == {Outcome.POSTED}
    assert service.sessions == 2


def test_what_is_refused_is_not_sent_again(certificate: Certificate) -> None:
    async def pay(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"type": "urn:payments:problem:unknown-account"}, status=422)

    done, service = run(pay, certificate, count=1)
    assert done.sent[0].outcome is Outcome.REFUSED
    assert done.sent[0].answer["type"].endswith("unknown-account")
    assert len(service.keys) == 1


def test_an_outage_ends_in_unknown_outcomes_and_every_attempt_is_told(certificate: Certificate) -> None:
    async def pay(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=500)

    patience = replace(PATIENT, payment=0.5)
    done, service = run(pay, certificate, count=5, patience=patience)
    assert {sent.outcome for sent in done.sent} == {Outcome.UNKNOWN}
    assert all(sent.seconds >= 0.5 - A_MOMENT for sent in done.sent)
    paid = [attempt for sent in done.sent for attempt in sent.attempts if attempt.path == "/payments"]
    assert len(paid) >= len(service.keys)  # the last of each may be cut short on its way


def test_an_acknowledgement_that_says_nothing_is_none(certificate: Certificate) -> None:
    async def pay(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=201)

    done, _ = run(pay, certificate, count=1, patience=replace(PATIENT, payment=0.3))
    assert done.sent[0].outcome is Outcome.UNKNOWN


def test_traffic_without_end_ends_when_it_is_told_to(certificate: Certificate) -> None:
    async def scenario() -> Run:
        stop = asyncio.Event()

        async def pay(request: web.Request) -> web.StreamResponse:
            if len(service.keys) == 10:
                stop.set()
            return await posted(request)

        service, port = Service(pay), free_port()
        async with serving(service, certificate[0], port):
            return await send(
                orders([SHOP], rate=50, clients=2, seed=1, name="endless"),
                api=f"https://127.0.0.1:{port}",
                merchants=[SHOP],
                tls=certificate[1],
                patience=PATIENT,
                stop=stop,
            )

    done = asyncio.run(scenario())
    assert len(done.sent) >= 10
    assert all(sent.acknowledged for sent in done.sent)


class Names(AbstractResolver):
    """A name that leads nowhere at first, and elsewhere later."""

    def __init__(self, *ports: int) -> None:
        self._ports = list(ports)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        port = self._ports.pop(0) if len(self._ports) > 1 else self._ports[0]
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        return None


def test_names_are_resolved_as_the_caller_says_for_every_new_connection(certificate: Certificate) -> None:
    async def scenario() -> tuple[Run, Names]:
        service, port = Service(posted), free_port()
        names = Names(free_port(), port)
        async with serving(service, certificate[0], port):
            done = await send(
                islice(orders([SHOP], rate=100, clients=1, seed=1, name="named"), 1),
                api="https://pay.test",
                merchants=[SHOP],
                tls=certificate[1],
                patience=PATIENT,
                resolver=lambda: names,
            )
        return done, names

    done, names = asyncio.run(scenario())
    assert names.asked == ["pay.test", "pay.test"]
    assert [attempt.status for attempt in done.sent[0].attempts] == [None, 201, 201]


def test_each_client_resolves_names_for_itself_and_asks_no_sooner_than_it_may(
    certificate: Certificate,
) -> None:
    """A failed attempt is tried again at the address the client knows, until the TTL of that is over."""
    asked: list[str] = []

    async def scenario() -> Run:
        seen: set[str] = set()

        async def at_first_not(request: web.Request) -> web.StreamResponse:
            key = request.headers["Idempotency-Key"]
            if key in seen:
                return await posted(request)
            seen.add(key)
            return web.Response(status=503)

        service, port = Service(at_first_not), free_port()
        doors = {"192.0.2.1": ("127.0.0.1", port)}

        def ask(host: str) -> Answer:
            asked.append(host)
            return Answer(("192.0.2.1",), 60)

        async with serving(service, certificate[0], port):
            return await send(
                islice(orders([SHOP], rate=100, clients=3, seed=1, name="each"), 6),
                api="https://pay.test",
                merchants=[SHOP],
                tls=certificate[1],
                patience=PATIENT,
                resolver=lambda: Resolver(ask, doors),
            )

    done = asyncio.run(scenario())
    assert {one.outcome for one in done.sent} == {Outcome.POSTED}
    assert sum(len(one.attempts) for one in done.sent) > 6
    assert asked == ["pay.test"] * 3
