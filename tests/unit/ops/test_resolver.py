"""A client keeps what DNS told it for as long as DNS said, and not a moment longer."""

import asyncio
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.errors import Unavailable
from ops.resolver import Answer, Resolver, look_up
from tests.name_servers import name_server


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Dns:
    """Answers another address every time; `takes` is how long an answer is under way."""

    def __init__(self, clock: Time, ttl: float, takes: float = 0.0) -> None:
        self.clock, self.ttl, self.takes = clock, ttl, takes
        self.asked_at: list[float] = []

    def __call__(self, host: str) -> Answer:
        self.asked_at.append(self.clock.now)
        self.clock.now += self.takes
        return Answer((f"192.0.2.{len(self.asked_at)}",), self.ttl)


@given(ttl=st.integers(0, 90), waits=st.lists(st.floats(0, 50), max_size=20), takes=st.floats(0, 3))
def test_it_asks_when_the_ttl_is_over_and_never_before(ttl: int, waits: list[float], takes: float) -> None:
    clock = Time()
    dns = Dns(clock, ttl, takes)

    async def scenario() -> None:
        resolver = Resolver(dns, {}, clock)
        for wait in waits:
            clock.now += wait
            before = list(dns.asked_at)
            at = clock.now
            found = await resolver.answer("pay.test")
            fresh = bool(before) and at < before[-1] + ttl
            assert dns.asked_at == (before if fresh else [*before, at])
            assert found.addresses == (f"192.0.2.{len(dns.asked_at)}",)  # the latest it was told
            assert found.ttl_seconds == max(0.0, dns.asked_at[-1] + ttl - clock.now)

    asyncio.run(scenario())


def test_an_answer_counts_from_before_it_was_asked_for() -> None:
    clock = Time()
    dns = Dns(clock, 60, takes=2)
    resolver = Resolver(dns, {}, clock)
    assert asyncio.run(resolver.answer("pay.test")).ttl_seconds == 58


def test_names_do_not_mix_and_neither_do_clients() -> None:
    clock = Time()
    dns = Dns(clock, 60)

    async def scenario() -> None:
        one, other = Resolver(dns, {}, clock), Resolver(dns, {}, clock)
        for resolver, host in ((one, "a.test"), (one, "b.test"), (other, "a.test"), (one, "a.test")):
            await resolver.answer(host)

    asyncio.run(scenario())
    assert len(dns.asked_at) == 3


def test_no_answer_is_not_remembered() -> None:
    clock = Time()
    dns = Dns(clock, 60)
    broken = True

    def ask(host: str) -> Answer:
        if broken:
            raise Unavailable("no name server answers")
        return dns(host)

    async def scenario() -> None:
        nonlocal broken
        resolver = Resolver(ask, {}, clock)
        with pytest.raises(OSError, match="no name server answers"):
            await resolver.resolve("pay.test", 443)
        broken = False
        assert (await resolver.resolve("pay.test", 443))[0]["host"] == "192.0.2.1"
        broken = True
        clock.now += 61
        with pytest.raises(OSError, match="no name server answers"):  # what is too old is no answer
            await resolver.resolve("pay.test", 443)

    asyncio.run(scenario())


def test_whoever_needs_a_name_at_once_waits_for_one_question() -> None:
    asked: list[str] = []
    answering = threading.Event()

    def ask(host: str) -> Answer:
        asked.append(host)
        assert answering.wait(5)
        return Answer(("192.0.2.1",), 60)

    async def scenario() -> None:
        resolver = Resolver(ask, {})
        waiting = [asyncio.create_task(resolver.answer("pay.test")) for _ in range(8)]
        while not asked:
            await asyncio.sleep(0)
        answering.set()
        assert {found.addresses for found in await asyncio.gather(*waiting)} == {("192.0.2.1",)}

    asyncio.run(scenario())
    assert asked == ["pay.test"]


def test_an_address_is_reached_through_its_door() -> None:
    clock = Time()
    resolver = Resolver(Dns(clock, 0), {"192.0.2.1": ("127.0.1.1", 29452)}, clock)

    async def scenario() -> list[tuple[str, int]]:
        found = [(await resolver.resolve("pay.test", 443))[0] for _ in range(2)]
        assert {place["family"] for place in found} == {socket.AF_INET}
        return [(place["host"], place["port"]) for place in found]

    assert asyncio.run(scenario()) == [("127.0.1.1", 29452), ("192.0.2.2", 443)]


def test_a_name_server_is_asked_for_the_address_and_its_ttl() -> None:
    asked: list[str] = []
    with name_server({"pay.test.": "192.0.2.7"}, ttl=42, asked=asked) as server:
        assert look_up("pay.test", server, 5) == Answer(("192.0.2.7",), 42)
        with pytest.raises(Unavailable, match=r"nobody\.test: .*does not exist"):
            look_up("nobody.test", server, 5)
    assert asked == ["pay.test.", "nobody.test."]
    with pytest.raises(Unavailable, match=r"pay\.test: "):
        look_up("pay.test", server, 0.2)
