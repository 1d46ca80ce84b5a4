"""The addresses clients of one region's database use: TLS as on Aurora, then bytes to and from the server."""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

# https://www.postgresql.org/docs/16/protocol-message-formats.html
_CANCEL, _TLS, _GSS = 80877102, 80877103, 80877104
_HEAD = struct.Struct("!II")
_LONGEST_STARTUP = 10_000  # as the server itself
_OPENING_DEADLINE = 60.0  # seconds to get through the handshake; the server's authentication_timeout
_CHUNK = 65_536

Peer = tuple[str, int]
Admission = Callable[[Peer, Peer], Awaitable[str | None]]


class RefusedError(Exception):
    """What is sent to the client as an ErrorResponse."""

    def __init__(self, sqlstate: str, message: str) -> None:
        self.sqlstate, self.message = sqlstate, message
        super().__init__(message)

    def response(self) -> bytes:
        fields = {"S": "FATAL", "V": "FATAL", "C": self.sqlstate, "M": self.message}
        body = b"".join(key.encode() + value.encode() + b"\0" for key, value in fields.items()) + b"\0"
        return b"E" + struct.pack("!I", len(body) + 4) + body


async def admit_everybody(_client: Peer, _endpoint: Peer) -> str | None:
    return None


class PostgresEndpoint:
    """While it is closed, connections are refused by the operating system."""

    def __init__(self, where: Peer, tls: ssl.SSLContext, admission: Admission = admit_everybody) -> None:
        self._where = where
        self._tls = tls
        self._admission = admission
        self._listener: asyncio.Server | None = None
        self._behind: Peer = ("", 0)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    async def open(self, address: str, port: int) -> None:
        self._behind = (address, port)
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, *self._where)

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        await self.cut()

    async def cut(self) -> int:
        """Ends all connections, in whatever they are; how many. The server may still do what it was told."""
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("served outside of a task")
        self._connections.add(task)
        try:
            async with asyncio.timeout(_OPENING_DEADLINE):
                opening = await self._open(reader, writer)
                server_reader, server_writer = await asyncio.open_connection(*self._behind)
            server_writer.write(opening)
            await _join(reader, writer, server_reader, server_writer)
        except RefusedError as refusal:
            with suppress(OSError):
                writer.write(refusal.response())
                await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            return  # either side went away, or the endpoint is being closed: nothing is left to tell anybody
        finally:
            self._connections.discard(task)
            writer.close()

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Until the client's startup message has come over TLS (a cancel request may come in the clear)."""
        peer = writer.get_extra_info("peername")
        if peer is None:
            raise ConnectionAbortedError("gone before it was looked at")
        if reason := await self._admission(peer[:2], self._where):  # IPv6 has more to say than where
            raise ConnectionRefusedError(reason)
        encrypted = False
        while True:
            head = await reader.readexactly(_HEAD.size)
            length, code = _HEAD.unpack(head)
            if not _HEAD.size <= length <= _LONGEST_STARTUP:
                raise ConnectionAbortedError("not the PostgreSQL protocol")
            rest = await reader.readexactly(length - _HEAD.size)
            if code == _TLS and not encrypted:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self._tls)
                encrypted = True
            elif code == _GSS:
                writer.write(b"N")
            elif encrypted or code == _CANCEL:
                return head + rest
            else:
                raise RefusedError("28000", _no_encryption(peer[0], rest))


@dataclass(frozen=True, slots=True)
class ClusterEndpoints:
    """An Aurora cluster's two: readers are always served, writers only where the server takes writes.

    With one server per region the reader endpoint of a writer leads to the writer, as Aurora's does where
    there is no other instance. Both are closed while there is no instance at all.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-connecting.html
    """

    writer: PostgresEndpoint
    reader: PostgresEndpoint

    async def open(self, address: str, port: int, *, writes: bool) -> None:
        await self.reader.open(address, port)
        if writes:
            await self.writer.open(address, port)
        else:
            await self.writer.close()

    async def close(self) -> None:
        await self.writer.close()
        await self.reader.close()

    async def cut(self) -> int:
        return await self.writer.cut() + await self.reader.cut()


def _no_encryption(client: str, startup: bytes) -> str:
    """The server's own words for it, with rds.force_ssl = 1."""
    words = startup.rstrip(b"\0").split(b"\0")
    values = dict(zip(words[::2], words[1::2], strict=False))
    user = values.get(b"user", b"").decode(errors="replace")
    database = values.get(b"database", user.encode()).decode(errors="replace")
    return f'no pg_hba.conf entry for host "{client}", user "{user}", database "{database}", no encryption'


async def _join(
    client_reader: asyncio.StreamReader,
    client_writer: asyncio.StreamWriter,
    server_reader: asyncio.StreamReader,
    server_writer: asyncio.StreamWriter,
) -> None:
    """Until either side ends: PostgreSQL has no half-closed connections."""
    ways = [
        asyncio.create_task(_pipe(client_reader, server_writer)),
        asyncio.create_task(_pipe(server_reader, client_writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        server_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
