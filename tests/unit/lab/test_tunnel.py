"""What goes out by CONNECT arrives at the door that DNS leads to, both ways, until one side ends."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from failover.errors import Unavailable
from lab.addresses import Endpoint
from lab.outages import Outages
from lab.proxy import Proxy, new_session, start_server
from lab.tunnel import Outside, PublicDoor
from ops.resolver import Answer, Resolver
from tests.ports import free_port

KNOWN = {"open.test": "192.0.2.1", "closed.test": "192.0.2.2", "strange.test": "192.0.2.3"}
Scenario = Callable[[Endpoint, Proxy], Awaitable[None]]


def look_up(host: str) -> Answer:
    if host not in KNOWN:
        raise Unavailable(f"{host}: does not exist")
    return Answer((KNOWN[host],), 60)


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A door that answers in capitals, and goes when it is told 'bye'."""
    while data := await reader.read(4096):
        writer.write(data.upper())
        if data == b"bye":
            break
    writer.close()


def run(scenario: Scenario, log: io.StringIO | None = None) -> None:
    async def around() -> None:
        door = await asyncio.start_server(shout, "127.0.0.1", 0)
        port = door.sockets[0].getsockname()[1]
        doors = {
            "192.0.2.1": PublicDoor("us-east-2", ("127.0.0.1", port)),
            "192.0.2.2": PublicDoor("us-east-2", ("127.0.0.1", free_port())),
        }
        async with new_session() as session:
            proxy = Proxy(
                region="us-east-1",
                gateway="http://127.0.0.1:9",
                session=session,
                log=log or io.StringIO(),
                outside=Outside(Resolver(look_up, {}), doors),
            )
            endpoint = ("127.0.0.1", free_port())
            server = await start_server(proxy.handle, *endpoint)
            try:
                async with asyncio.timeout(10):
                    await scenario(endpoint, proxy)
            finally:
                await server.cleanup()
                door.close()

    asyncio.run(around())


async def connect(proxy: Endpoint, target: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*proxy)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()
        raise
    return head.split(b"\r\n")[0], reader, writer


async def ended(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionError):
        return await reader.read() == b""
    return True


def test_what_either_side_says_the_other_hears() -> None:
    log = io.StringIO()

    async def scenario(endpoint: Endpoint, _proxy: Proxy) -> None:
        said, reader, writer = await connect(endpoint, "open.test:443")
        assert said == b"HTTP/1.1 200 Connection established"
        for word in (b"hello", b"again", b"x" * 100_000):
            writer.write(word)
            assert await reader.readexactly(len(word)) == word.upper()
        writer.write(b"bye")
        assert await reader.readexactly(3) == b"BYE"
        assert await ended(reader)
        writer.close()

    run(scenario, log)
    (call,) = map(json.loads, log.getvalue().splitlines())
    assert (call["service"], call["operation"], call["resource"]) == ("https", "CONNECT", "open.test")
    assert (call["caller"], call["target"], call["status"]) == ("us-east-1", "us-east-2", 200)


def test_several_at_once_and_one_after_the_other() -> None:
    async def one(endpoint: Endpoint, word: bytes) -> None:
        said, reader, writer = await connect(endpoint, "open.test:443")
        assert said.endswith(b"established")
        writer.write(word)
        assert await reader.readexactly(len(word)) == word.upper()
        writer.close()

    async def scenario(endpoint: Endpoint, _proxy: Proxy) -> None:
        for _ in range(2):
            await asyncio.gather(*(one(endpoint, f"word {number}".encode()) for number in range(20)))

    run(scenario)


@pytest.mark.parametrize(
    "target", ["nobody.test:443", "closed.test:443", "strange.test:443", "open.test:80", "open.test:22"]
)
def test_where_no_door_is_open_there_is_no_way(target: str) -> None:
    log = io.StringIO()

    async def scenario(endpoint: Endpoint, _proxy: Proxy) -> None:
        said, _, writer = await connect(endpoint, target)
        assert said == b"HTTP/1.1 502 Bad Gateway"
        writer.close()

    run(scenario, log)
    assert json.loads(log.getvalue())["status"] == 502


OUTAGES = [Outages(down=frozenset({"us-east-2"})), Outages(cut=frozenset({"us-east-1"}))]


@pytest.mark.parametrize("outages", OUTAGES)
def test_nobody_gets_to_a_region_out_of_reach(outages: Outages) -> None:
    log = io.StringIO()

    async def scenario(endpoint: Endpoint, proxy: Proxy) -> None:
        proxy.go_by(outages)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await connect(endpoint, "open.test:443")
        proxy.go_by(Outages())
        _, _, writer = await connect(endpoint, "open.test:443")
        writer.close()

    run(scenario, log)
    calls = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(call["status"], call["fault"]) for call in calls] == [(0, "unreachable"), (200, "")]


@pytest.mark.parametrize("outages", OUTAGES)
def test_what_was_open_ends_with_the_region(outages: Outages) -> None:
    async def scenario(endpoint: Endpoint, proxy: Proxy) -> None:
        _, reader, writer = await connect(endpoint, "open.test:443")
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"STILL THERE?"
        proxy.go_by(outages)
        assert await ended(reader)
        writer.close()

    run(scenario)
