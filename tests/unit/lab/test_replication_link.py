"""What a replica is sent is late by as much as was asked, and only once log is streaming."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from lab.replication_link import Peer, ReplicationLink

START = b"START_REPLICATION SLOT replica"
LATE = 0.3


async def _source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each message with the same."""
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[ReplicationLink, Peer]]:
    source = await asyncio.start_server(_source, "127.0.0.1", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where: Peer = free.getsockname()
    link = ReplicationLink(where)
    await link.lead_to(source.sockets[0].getsockname())
    try:
        yield link, link.where
    finally:
        await link.close()
        source.close()


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes, patience: float = 5.0
) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    writer.write(said)
    assert await asyncio.wait_for(reader.readexactly(len(said)), patience) == said
    return time.monotonic() - began


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Until the other side ends, in whatever way."""
    with suppress(ConnectionError):
        return await reader.read()
    return b""


@asynccontextmanager
async def replica(where: Peer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*where)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def test_only_a_stream_of_log_is_late_and_the_delay_is_taken_back_at_once() -> None:
    async def scenario() -> None:
        async with linked() as (link, where), replica(where) as ends:
            link.delay = LATE
            assert await answer(*ends, b"password") < LATE
            assert await answer(*ends, START) >= LATE
            assert await answer(*ends, b"log") >= LATE
            link.delay = 0
            assert await answer(*ends, b"log") < LATE

    asyncio.run(scenario())


def test_what_is_on_its_way_arrives_late_and_is_lost_by_a_cut() -> None:
    async def scenario() -> None:
        async with linked() as (link, where):
            async with replica(where) as ends:
                await answer(*ends, START)
                link.delay = 60
                with pytest.raises(TimeoutError):
                    await answer(*ends, b"log", LATE)
                await link.cut(True)
                assert await rest(ends[0]) == b""
            async with replica(where) as ends:
                assert await rest(ends[0]) == b""  # nobody is let through
            await link.cut(False)
            link.delay = 0
            async with replica(where) as ends:
                await answer(*ends, START)

    asyncio.run(scenario())


def test_a_replica_is_disconnected_when_its_link_leads_elsewhere() -> None:
    async def scenario() -> None:
        async with linked() as (link, where), replica(where) as ends:
            await answer(*ends, START)
            await link.lead_to(None)
            assert await rest(ends[0]) == b""

    asyncio.run(scenario())
