"""The way from one region's database to another's: what is on it is what a failover loses."""

import asyncio
from contextlib import suppress

Peer = tuple[str, int]

_CHUNK = 65_536
_STARTS = b"START_REPLICATION"  # https://www.postgresql.org/docs/16/protocol-replication.html
_LOOK_EVERY = 0.02


class ReplicationLink:
    """Where a replica connects to stream from whichever server is its source at the time.

    Log on its way to the replica arrives `delay` seconds late; while the link is cut nothing arrives, and
    what was on its way is gone. The server itself could not do that: its own delay ends with its promotion.
    """

    def __init__(self, where: Peer) -> None:
        self.where = where
        self.delay = 0.0
        self._source: Peer | None = None
        self._is_cut = False
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def lead_to(self, source: Peer | None) -> None:
        """None: nowhere. What is connected to another source is disconnected."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, *self.where)
        if source != self._source:
            self._source = source
            await self._disconnect()

    async def cut(self, cut: bool) -> None:
        self._is_cut = cut
        if cut:
            await self._disconnect()

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self._source = None
        await self._disconnect()

    async def _disconnect(self) -> None:
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("served outside of a task")
        self._connections.add(task)
        try:
            if self._source is not None and not self._is_cut:
                source_reader, source_writer = await asyncio.open_connection(*self._source)
                try:
                    await self._join(reader, writer, source_reader, source_writer)
                finally:
                    source_writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()  # what is still buffered is lost
        except OSError:
            return  # either side went away: the replica tries again by itself
        finally:
            self._connections.discard(task)
            writer.close()

    async def _join(
        self,
        replica_reader: asyncio.StreamReader,
        replica_writer: asyncio.StreamWriter,
        source_reader: asyncio.StreamReader,
        source_writer: asyncio.StreamWriter,
    ) -> None:
        """Until either side ends. What was sent before the log streams is not late: nobody could log in."""
        streaming = asyncio.Event()
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ways = [
            asyncio.create_task(_ask(replica_reader, source_writer, streaming)),
            asyncio.create_task(_send(source_reader, on_the_way)),
            asyncio.create_task(self._arrive(on_the_way, replica_writer, streaming)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[1].done() and not ways[0].done():
                with suppress(TimeoutError):  # the source has ended well: its last words arrive as well
                    await asyncio.wait_for(asyncio.shield(ways[2]), timeout=self.delay + 5)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _arrive(
        self,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        streaming: asyncio.Event,
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            sent, data = await on_the_way.get()
            while streaming.is_set() and clock() < sent + self.delay:  # it may be changed meanwhile
                await asyncio.sleep(_LOOK_EVERY)
            if not data:
                return
            writer.write(data)
            await writer.drain()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streaming: asyncio.Event) -> None:
    while data := await reader.read(_CHUNK):
        if _STARTS in data:
            streaming.set()
        writer.write(data)
        await writer.drain()


async def _send(reader: asyncio.StreamReader, on_the_way: asyncio.Queue[tuple[float, bytes]]) -> None:
    clock = asyncio.get_running_loop().time
    try:
        while data := await reader.read(_CHUNK):
            on_the_way.put_nowait((clock(), data))
    finally:
        on_the_way.put_nowait((clock(), b""))
