"""A listener that can be shut as if the machine behind it were gone, and opened again."""

import asyncio
import ssl
from dataclasses import dataclass, field

from aiohttp import web

from lab.proxy import Handler, new_runner

_PATIENCE = 0.1  # seconds for what is being answered; nobody is there any more to hear it


@dataclass(slots=True)
class Door:
    handle: Handler
    address: str
    port: int
    tls: ssl.SSLContext | None = None
    _runner: web.ServerRunner | None = field(default=None, init=False)

    async def open(self) -> None:
        """Opened already is fine. Raises OSError when somebody else listens there."""
        if self._runner is None:
            runner = await new_runner(self.handle, patience=_PATIENCE)
            try:
                await web.TCPSite(runner, self.address, self.port, ssl_context=self.tls).start()
            except OSError:
                await runner.cleanup()
                raise
            self._runner = runner

    async def close(self) -> None:
        """Nobody listens any more, and who was connected hears nothing but the end of the connection."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        for connection in runner.server.connections if runner.server else ():
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        await runner.cleanup()
