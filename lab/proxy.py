"""The way of one region's programs to AWS: a proxy that keeps a log, and changes nothing unless told to."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from typing import IO
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from lab.faults import Armed, Faults, Mode, Rule, parsed, refusal, resources
from lab.lag import Creations
from lab.outages import Outages
from lab.tunnel import NoWay, Outside, join

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
_FORM, _JSON = "application/x-www-form-urlencoded", "application/x-amz-json"
_LOOK_EVERY = 0.05  # seconds; whether a request still has to hang

UNREACHABLE = "unreachable"  # what the log says of a request to or from a region that is out of reach

Peer = tuple[str, int]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Call:
    """What a request says about itself; `action` is a name where the protocol has one, else method + path."""

    service: str
    region: str
    action: str
    access_key: str
    resource: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request. `caller` is the region it came from, `target` the one whose endpoint it was for."""

    at: float  # when it came; Unix time in seconds
    caller: str
    target: str
    service: str
    operation: str
    resource: str  # the table, function, secret or path it names; "" where it names none
    function: str  # who asked; "" where it was no function
    operator: bool  # a person's tools, which are in no region: by the account's own key
    access_key: str
    status: int  # 0: without an answer
    ms: float
    fault: str  # what was done to it on purpose


class Proxy:
    """Serves one region; requests for other regions pass too, as they do from a VPC with a NAT gateway."""

    def __init__(
        self,
        *,
        region: str,
        gateway: str,
        session: aiohttp.ClientSession,
        log: IO[str],
        operator: str = "",
        identify: Callable[[Peer], Awaitable[str]] | None = None,
        kill: Callable[[Peer], object] = lambda _: None,
        creations: Creations | None = None,
        outside: Outside | None = None,
    ) -> None:
        """`operator` is the key by which operators sign. `identify` says, by the address of the client, which
        function opened a connection, and `kill` is to end it.

        `creations` is what the regions' proxies tell one another; without it no read lags. `outside` are the
        public host names; without it there are none.
        """
        self.faults = Faults()
        self._outages = Outages()
        self._under_way: dict[int, tuple[web.BaseRequest, Call]] = {}
        self._operator = operator
        self._identify = identify
        self._kill = kill
        self._creations = creations or Creations()
        self._outside = outside or Outside()
        self._callers: WeakKeyDictionary[asyncio.BaseTransport, asyncio.Future[str]] = WeakKeyDictionary()
        self._region = region
        self._gateway = URL(gateway)
        self._session = session
        self._log = log

    def set_faults(self, rules: Iterable[Rule]) -> None:
        """From now on these and no others."""
        rules = tuple(rules)
        self.faults.replace(rules)
        self._creations.watch(self._region, any(rule.mode is Mode.LAG for rule in rules))

    def go_by(self, outages: Outages) -> None:
        """What is under way to where nothing gets any more ends as well."""
        self._outages = outages
        for request, call in tuple(self._under_way.values()):
            if not self._passes(call):
                _hang_up(request)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        started, began = time.time(), time.monotonic()
        caller = self._caller(request.transport)
        if request.method == hdrs.METH_CONNECT:
            return await self._let_out(request, caller, started, began)
        body: bytes | None = None
        if request.content_type == _FORM or request.content_type.startswith(_JSON):
            body = await request.content.read()
        call = describe(request.method, request.path, request.query, request.headers, body)
        status, fault = 0, ""
        self._under_way[id(request)] = request, call
        try:
            if not self._passes(call):
                fault = UNREACHABLE
                if caller is not None:
                    await caller  # once the connection is gone nobody can tell
                return _hang_up(request)
            if self.faults or self._creations.wanted:
                body, armed = await self._judge(request, call, body)
                fault = armed.rule.mode.value if armed else ""
                response = await self._meet(request, call, body, armed)
            else:
                response = await self._forward(request, body)
            status = 0 if _is_hung_up(request) else response.status
        except aiohttp.ClientError:
            return _hang_up(request)  # the gateway is gone: to its clients AWS is, too
        finally:
            del self._under_way[id(request)]
            await self._write_down(call, caller, started, began, status, fault)
        return response

    async def _let_out(
        self, request: web.BaseRequest, caller: Awaitable[str] | None, started: float, began: float
    ) -> web.StreamResponse:
        """HTTPS to a public host name; what is said there, nobody here can read."""
        host, _, port = request.raw_path.rpartition(":")
        call = Call(service="https", region="", action="CONNECT", access_key="", resource=host)
        try:
            door = await self._outside.find(host, port)
            call = replace(call, region=door.region)
            self._under_way[id(request)] = request, call
            if not self._passes(call):
                await self._write_down(call, caller, started, began, 0)
                return _hang_up(request)
            reader, writer = await door.open()
            await self._write_down(call, caller, started, began, 200)
            return await join(request, reader, writer)
        except NoWay as reason:
            await self._write_down(call, caller, started, began, 502)
            return web.Response(status=502, text=str(reason))
        finally:
            self._under_way.pop(id(request), None)

    async def _write_down(
        self,
        call: Call,
        caller: Awaitable[str] | None,
        started: float,
        began: float,
        status: int,
        fault: str = "",
    ) -> None:
        entry = LogEntry(
            at=round(started, 3),
            caller=self._region,
            target=call.region or self._region,
            service=call.service,
            operation=call.action,
            resource=call.resource,
            function=await caller if caller else "",
            operator=self._is_operator(call),
            access_key=call.access_key,
            status=status,
            ms=round((time.monotonic() - began) * 1000, 1),
            fault=fault or ("" if self._passes(call) else UNREACHABLE),
        )
        self._log.write(json.dumps(asdict(entry)) + "\n")

    def _passes(self, call: Call) -> bool:
        """Operators are in no region: to them a dead one is dead, and a region cut off is not."""
        target = call.region or self._region
        if self._is_operator(call):
            return target not in self._outages.down
        return self._outages.reaches(self._region, target)

    def _is_operator(self, call: Call) -> bool:
        return bool(call.access_key) and call.access_key == self._operator

    def _caller(self, connection: asyncio.BaseTransport | None) -> Awaitable[str] | None:
        """Looked for once for each connection, while its first request is served."""
        if connection is None or self._identify is None:
            return None
        if connection not in self._callers:
            looking = self._identify(connection.get_extra_info("peername"))
            self._callers[connection] = asyncio.ensure_future(looking)
        return asyncio.shield(self._callers[connection])

    async def _judge(
        self, request: web.BaseRequest, call: Call, body: bytes | None
    ) -> tuple[bytes | None, Armed | None]:
        """The body, if it had to be read, and the fault that the request meets."""
        noted = self._creations.wanted and call.action == "PutItem"
        if body is None and (noted or self.faults.may_meet(call.service, call.action)):
            body = await request.content.read()
        named = resources(request.path, parsed(body or b""))
        return body, self.faults.decide(call.service, call.action, named)

    async def _meet(
        self, request: web.BaseRequest, call: Call, body: bytes | None, armed: Armed | None
    ) -> web.StreamResponse:
        """What a request gets whose fate is decided."""
        rule = armed.rule if armed else None
        match rule.mode if rule else None:
            case Mode.REFUSE:
                return _hang_up(request)
            case Mode.HANG if armed:
                while armed.stands and request.transport and not request.transport.is_closing():
                    await asyncio.sleep(_LOOK_EVERY)
                return _hang_up(request)
            case Mode.ERROR if rule:
                content_type = request.headers.get("Content-Type", "")
                said = refusal(rule, service=call.service, content_type=content_type)
                return web.Response(status=said.status, headers=said.headers, body=said.body)
            case Mode.LOSE_ANSWER:
                await self._apply(request, call, body)
                return _hang_up(request)
            case Mode.KILL if request.transport:
                await self._apply(request, call, body)
                await asyncio.to_thread(self._kill, request.transport.get_extra_info("peername"))
                return _hang_up(request)
            case Mode.DELAY if rule:
                await asyncio.sleep(rule.seconds)
            case Mode.LAG if rule and self._creations.hides(call.region, parsed(body or b""), rule.seconds):
                await self._apply(request, call, body)  # it counts, and is refused to whoever may not
                headers = {"Content-Type": request.headers.get("Content-Type", "")}
                return web.Response(status=200, headers=headers, body=b"{}")
        response = await self._forward(request, body)
        self._note(call, body, response.status)
        return response

    def _note(self, call: Call, body: bytes | None, status: int) -> None:
        if self._creations.wanted and call.action == "PutItem" and status == 200:
            self._creations.note(call.region, parsed(body or b""))

    async def _apply(self, request: web.BaseRequest, call: Call, body: bytes | None) -> None:
        """Passed on; the answer is nobody's."""
        async with self._send(request, body) as upstream:
            await upstream.read()
            self._note(call, body, upstream.status)

    def _send(
        self, request: web.BaseRequest, body: bytes | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(
            request.method,
            URL(f"{self._gateway}".rstrip("/") + request.raw_path, encoded=True),
            headers=end_to_end(request.headers),
            data=body if body is not None else (request.content if request.body_exists else None),
            allow_redirects=False,
        )

    async def _forward(self, request: web.BaseRequest, body: bytes | None) -> web.StreamResponse:
        async with self._send(request, body) as upstream:
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
    runner = await new_runner(handle)
    await web.TCPSite(runner, address, port, ssl_context=tls).start()
    return runner


async def new_runner(handle: Handler, *, patience: float = 2.0) -> web.ServerRunner:
    """Listens nowhere yet; `patience` is for what is being answered when it ends."""
    server = web.Server(
        handle,
        access_log=None,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        auto_decompress=False,
        lingering_time=0,
    )
    runner = web.ServerRunner(server, shutdown_timeout=patience)
    await runner.setup()
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
    return Call(
        service=service,
        region=region,
        action=action,
        access_key=access_key,
        resource=_resource(path, headers, body),
    )


def _resource(path: str, headers: Mapping[str, str], body: bytes | None) -> str:
    """In the protocols that have one path for everything, it is in the body."""
    if path != "/":
        return path
    if body and headers.get("Content-Type", "").startswith(_JSON):
        return ",".join(sorted(resources(path, parsed(body))))
    return ""


def _credential(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """'KEY/date/region/service/aws4_request' of a signed request, however it was signed."""
    authorization = headers.get("Authorization", "")
    _, found, rest = authorization.partition("Credential=")
    return rest.split(",")[0].strip() if found else query.get("X-Amz-Credential", "")


def _is_hung_up(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # never sent
