"""What answers at a region's host names: TLS, the deployed custom domain and its mapping, then the API."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError
from multidict import CIMultiDict
from yarl import URL

from lab.proxy import end_to_end

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
LONGEST_BODY = 10 * 1024 * 1024
LONGEST_HEAD = 10_240  # request line and headers; which status a longer one gets is not documented
_INTEGRATION_TIMEOUT = 29.0  # seconds, the REST API default
_REMEMBER = 2.0  # seconds a deployed mapping is reused before the API is asked again


@dataclass(frozen=True, slots=True)
class Mapping:
    """One base path of a custom domain. `base_path` is "" for the root."""

    base_path: str
    api: str
    stage: str


Ask = Callable[[str], tuple[Mapping, ...]]


class Deployed:
    """The mappings of a region's custom domains, asked for again every few seconds."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[Mapping, ...]]] = {}

    async def mappings(self, domain: str) -> tuple[Mapping, ...]:
        asked_at, known = self._known.get(domain, (0.0, ()))
        if known and self._clock() - asked_at < _REMEMBER:
            return known
        found = await asyncio.to_thread(self._ask, domain)
        self._known[domain] = (self._clock(), found)
        return found


def mappings_of(client: "APIGatewayClient", domain: str) -> tuple[Mapping, ...]:
    """What API Gateway says is deployed; nothing when it does not know the domain."""
    try:
        items = client.get_base_path_mappings(domainName=domain).get("items", [])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NotFoundException":
            return ()
        raise
    return tuple(
        Mapping(
            base_path="" if item["basePath"] == "(none)" else item["basePath"],
            api=item["restApiId"],
            stage=item["stage"],
        )
        for item in items
    )


class FrontDoor:
    def __init__(
        self, *, host: str, address: str, gateway: str, session: aiohttp.ClientSession, deployed: Deployed
    ) -> None:
        self._host = host
        self._address = address
        self._gateway = gateway
        self._session = session
        self._deployed = deployed

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            target = await self._target(request)
        except (BotoCoreError, ClientError):
            return _message(503, "Service Unavailable")
        if _head(request) > LONGEST_HEAD:
            return _message(431, "Request Header Fields Too Large")
        if target is None:
            return _message(403, "Forbidden")  # API Gateway's answer for a host or base path it does not know
        body = await request.content.read(LONGEST_BODY + 1) if request.body_exists else b""
        while len(body) <= LONGEST_BODY and not request.content.at_eof():
            body += await request.content.read(LONGEST_BODY + 1 - len(body))
        if len(body) > LONGEST_BODY:
            return _message(413, "Request Too Long")
        return await self._forward(request, target, body)

    async def _target(self, request: web.BaseRequest) -> str | None:
        """The path at which the gateway serves this request, None when nothing is deployed for it."""
        path, _, query = request.raw_path.partition("?")
        found = choose(await self._deployed.mappings(self._asked(request)), path)
        if found is None:
            return None
        mapping, rest = found
        # Not by host name: there MiniStack answers GET /health itself.
        return f"/_aws/execute-api/{mapping.api}/{mapping.stage}{rest}" + (f"?{query}" if query else "")

    def _asked(self, request: web.BaseRequest) -> str:
        """The host name the request is for."""
        host = (request.host or "").rsplit(":", 1)[0].lower()
        return self._host if host in {self._address, "localhost"} else host  # a client without the lab's DNS

    async def _forward(self, request: web.BaseRequest, target: str, body: bytes) -> web.StreamResponse:
        headers = CIMultiDict((name, sendable(value)) for name, value in end_to_end(request.headers).items())
        headers.popall("Content-Length", None)
        headers["Host"] = self._asked(request)
        headers["X-Forwarded-For"] = ", ".join(
            (*request.headers.getall("X-Forwarded-For", []), request.remote or "")
        )
        headers["X-Forwarded-Proto"], headers["X-Forwarded-Port"] = "https", "443"
        try:
            async with (
                asyncio.timeout(_INTEGRATION_TIMEOUT + 1),
                self._session.request(
                    request.method,
                    URL(self._gateway + target, encoded=True),
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                ) as upstream,
            ):
                content = await upstream.read()
                response = web.Response(status=upstream.status, reason=upstream.reason, body=content)
                kept = end_to_end(upstream.headers)
                kept.popall("Content-Length", None)
                response.headers.clear()
                response.headers.extend(kept)
                return response
        except TimeoutError:
            return _message(504, "Endpoint request timed out")
        except aiohttp.ClientError:
            return _message(503, "Service Unavailable")


def _head(request: web.BaseRequest) -> int:
    line = len(request.method) + len(request.raw_path)
    return line + sum(len(name) + len(value) for name, value in request.raw_headers)


def sendable(value: str) -> str:
    """Bytes that are no UTF-8 are Latin-1: aiohttp would leave them out without a word."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def choose(mappings: tuple[Mapping, ...], path: str) -> tuple[Mapping, str] | None:
    """The mapping with the longest base path that `path` lies under, and what is left of the path."""
    for mapping in sorted(mappings, key=lambda candidate: -len(candidate.base_path)):
        if not mapping.base_path:
            return mapping, path
        prefix = f"/{mapping.base_path}"
        if path == prefix or path.startswith(f"{prefix}/"):
            return mapping, path[len(prefix) :] or "/"
    return None


def _message(status: int, message: str) -> web.Response:
    body = json.dumps({"message": message}).encode()
    return web.Response(status=status, body=body, content_type="application/json")
