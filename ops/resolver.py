"""Names as clients of the API resolve them: asked in DNS, and remembered for as long as DNS says."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dns.exception
import dns.resolver
from aiohttp.abc import AbstractResolver, ResolveResult

from failover.errors import Unavailable

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """At least one address."""

    addresses: tuple[str, ...]
    ttl_seconds: float


Ask = Callable[[str], Answer]


def look_up(host: str, server: Endpoint | None, seconds: float) -> Answer:
    """By the host's own configuration unless a server is named. Raises Unavailable without an answer."""
    try:
        resolver = dns.resolver.Resolver(configure=server is None)
        if server is not None:
            resolver.nameservers, resolver.port = [server[0]], server[1]
        found = resolver.resolve(host, "A", lifetime=seconds, search=False)
    except dns.exception.DNSException as error:
        raise Unavailable(f"{host}: {error}") from error
    addresses = tuple(sorted(record.to_text() for record in found))
    return Answer(addresses, float(found.chaining_result.minimum_ttl))


class Resolver(AbstractResolver):
    """One client's: it asks again when the TTL of what it was told is over, and not before.

    Whatever needs the name meanwhile waits for that one question. `doors` says where an address is reached
    that is not listened on itself.
    """

    def __init__(
        self, ask: Ask, doors: Mapping[str, Endpoint], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._doors = doors
        self._clock = clock
        self._known: dict[str, tuple[float, Answer]] = {}
        self._asking = asyncio.Lock()

    async def answer(self, host: str) -> Answer:
        """With as much of its TTL as is left. Raises Unavailable without an answer."""
        async with self._asking:
            until, known = self._known.get(host, (0.0, None))
            if known is None or self._clock() >= until:
                asked_at = self._clock()
                known = await asyncio.to_thread(self._ask, host)
                until = asked_at + known.ttl_seconds  # before it was sent: never longer than DNS allows
                self._known[host] = until, known
            return Answer(known.addresses, max(0.0, until - self._clock()))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self.answer(host)
        except Unavailable as error:
            raise OSError(str(error)) from error  # what aiohttp expects of a resolver
        return [self._place(host, address, port) for address in found.addresses]

    async def close(self) -> None:
        """Nothing is held."""

    def _place(self, host: str, address: str, port: int) -> ResolveResult:
        there, at = self._doors.get(address, (address, port))
        return ResolveResult(
            hostname=host,
            host=there,
            port=at,
            family=socket.AF_INET,
            proto=0,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
