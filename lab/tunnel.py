"""The way of one region's programs to the public host names of any region: HTTPS by CONNECT.

On AWS it leads through a NAT gateway, or is a function's own outside of any VPC. Names are resolved as DNS
has them, and what they lead to is the front door of a region: there is nothing else to be reached.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from failover.errors import Unavailable
from lab.addresses import Endpoint
from ops.resolver import Resolver

_CONNECT: Final = 5.0  # seconds
_CHUNK: Final = 65_536
_OPEN: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class NoWay(Exception):  # noqa: N818 - what it is
    """Why a host cannot be reached from here."""


@dataclass(frozen=True, slots=True)
class PublicDoor:
    """A region's front door, as one gets to it from anywhere."""

    region: str
    where: Endpoint

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises NoWay where nobody lets in."""
        try:
            async with asyncio.timeout(_CONNECT):
                return await asyncio.open_connection(*self.where)
        except OSError as error:
            raise NoWay(f"{self.region}: {error}") from error


@dataclass(frozen=True, slots=True)
class Outside:
    """What a region's programs see of public host names: `doors` by the address that DNS has."""

    resolver: Resolver | None = None
    doors: Mapping[str, PublicDoor] = field(default_factory=dict)

    async def find(self, host: str, port: str) -> PublicDoor:
        """Raises NoWay where there is none."""
        try:
            if self.resolver is None or port != "443":
                raise NoWay(f"{host}:{port}: there is no way there")
            return self.doors[(await self.resolver.answer(host)).addresses[0]]
        except (Unavailable, KeyError) as error:
            raise NoWay(f"{host}: {error}") from error


async def join(
    request: web.BaseRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """What either side sends goes to the other, until one of them ends."""
    connection = request.transport
    if connection is None:
        writer.close()
        return web.Response()
    server, loop = request.protocol, asyncio.get_running_loop()
    own = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(own)
    connection.set_protocol(protocol)
    protocol.connection_made(connection)
    back = asyncio.StreamWriter(connection, protocol, own, loop)
    back.write(_OPEN)
    ways = [asyncio.create_task(_pass(own, writer)), asyncio.create_task(_pass(reader, back))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        connection.abort()
        server.connection_lost(None)  # it was left out of this, and would wait for ever
    return web.Response()  # never sent


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
    except OSError:
        return
