"""The way of one region's programs to AWS: a proxy that changes nothing, keeps a log, and can be closed."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import IO
from urllib.parse import parse_qs
from weakref import WeakSet

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

# RFC 9110, 7.6.1: about one connection, not about the request. Expect is answered by the server side already.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)
_LONGEST_LINE = 65_536  # presigned URLs with a session token pass aiohttp's 8 kB
_CHUNK = 65_536
_FORM = "application/x-www-form-urlencoded"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"  # connections end without an answer, as if the network were gone


@dataclass(frozen=True, slots=True)
class Call:
    """What a request says about itself; `action` is a name where the protocol has one, else method + path."""

    service: str
    region: str
    action: str
    access_key: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    at: str
    region: str
    service: str
    action: str
    access_key: str
    status: int
    ms: float


class Proxy:
    """Serves one region; requests for other regions pass too, as they do from a VPC with a NAT gateway."""

    def __init__(
        self,
        *,
        region: str,
        gateway: str,
        session: aiohttp.ClientSession,
        log: IO[str],
        opened: Callable[[tuple[str, int]], None] = lambda _: None,
    ) -> None:
        """`opened` hears of every connection, by the address of the client."""
        self.state = State.OPEN
        self._opened = opened
        self._connections: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._region = region
        self._gateway = URL(gateway)
        self._session = session
        self._log = log

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        started, began = datetime.now(UTC), time.monotonic()
        if self.state is State.CLOSED:
            return _hang_up(request)
        self._notice(request.transport)
        body: bytes | None = None
        if request.content_type == _FORM:
            body = await request.content.read()
        call = describe(request.method, request.path, request.query, request.headers, body)
        status = 0
        try:
            response = await self._forward(request, body)
            status = response.status
        except aiohttp.ClientError:
            return _hang_up(request)  # the gateway is gone: to its clients AWS is, too
        finally:
            ms = round((time.monotonic() - began) * 1000, 1)
            entry = LogEntry(
                at=started.isoformat(timespec="milliseconds"),
                region=self._region,
                service=call.service,
                action=call.action,
                access_key=call.access_key,
                status=status,
                ms=ms,
            )
            self._log.write(json.dumps(asdict(entry)) + "\n")
        return response

    def _notice(self, connection: asyncio.BaseTransport | None) -> None:
        if connection is not None and connection not in self._connections:
            self._connections.add(connection)
            self._opened(connection.get_extra_info("peername"))

    async def _forward(self, request: web.BaseRequest, body: bytes | None) -> web.StreamResponse:
        outgoing = end_to_end(request.headers)
        data = body if body is not None else (request.content if request.body_exists else None)
        async with self._session.request(
            request.method,
            URL(f"{self._gateway}".rstrip("/") + request.raw_path, encoded=True),
            headers=outgoing,
            data=data,
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            response.headers.extend(end_to_end(upstream.headers))
            await response.prepare(request)
            async for chunk in upstream.content.iter_chunked(_CHUNK):
                await response.write(chunk)
            await response.write_eof()
            return response


def new_session() -> aiohttp.ClientSession:
    """A client that adds no header of its own, changes no body, and waits as long as the caller does."""
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0, force_close=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        trust_env=False,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )


async def start_server(
    handle: Handler, address: str, port: int, tls: ssl.SSLContext | None = None
) -> web.ServerRunner:
    server = web.Server(
        handle,
        access_log=None,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        auto_decompress=False,
        lingering_time=0,
    )
    runner = web.ServerRunner(server, shutdown_timeout=2.0)
    await runner.setup()
    await web.TCPSite(runner, address, port, ssl_context=tls).start()
    return runner


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers with their order, case and repetitions, without those about the connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP)


def describe(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
) -> Call:
    credential = _credential(query, headers)
    access_key, _, region, service = (*credential.split("/"), "", "", "", "")[:4]
    action = headers.get("X-Amz-Target", "").rpartition(".")[2]
    if not action and body:
        action = parse_qs(body[:_CHUNK].decode(errors="replace")).get("Action", [""])[0]
    action = action or query.get("Action", "") or f"{method} {path}"
    return Call(service=service, region=region, action=action, access_key=access_key)


def _credential(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """'KEY/date/region/service/aws4_request' of a signed request, however it was signed."""
    authorization = headers.get("Authorization", "")
    _, found, rest = authorization.partition("Credential=")
    return rest.split(",")[0].strip() if found else query.get("X-Amz-Credential", "")


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # never sent
