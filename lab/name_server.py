"""A DNS server on loopback, by UDP and TCP, around whatever knows the answers."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.addresses import Endpoint
from lab.zone import Told, Values

_PLAIN_UDP = 512  # bytes; RFC 1035, where the client does not say what it can take
_MOST_UDP = 1232  # https://www.dnsflagday.net/2020/
_MOST_TCP = 65_535
_IDLE = 10.0  # seconds that a TCP connection may be silent


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    type: str
    protocol: str  # "UDP" or "TCP"
    client: str  # its address


Answer = Callable[[Question], Told]


class NameServer:
    """Serves on a thread of its own: whoever is busy elsewhere in the process keeps no client waiting."""

    def __init__(self, datagrams: socket.socket, streams: socket.socket, answer: Answer) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete,
            args=(self._serve(datagrams, streams, answer),),
            name="name-server",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, datagrams: socket.socket, streams: socket.socket, answer: Answer) -> None:
        datagrams.setblocking(False)
        loop = asyncio.get_running_loop()
        by_udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(answer), sock=datagrams)
        conversations: set[asyncio.Task[None]] = set()

        def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talking = asyncio.create_task(_converse(reader, writer, answer))
            conversations.add(talking)
            talking.add_done_callback(conversations.discard)

        by_tcp = await asyncio.start_server(converse, sock=streams)
        await self._stop.wait()
        by_udp.close()
        by_tcp.close()
        for talking in conversations:
            talking.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def start(endpoint: Endpoint, answer: Answer) -> NameServer:
    """It can be asked when this returns. Raises OSError."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        datagrams.bind(endpoint)
        return NameServer(datagrams, socket.create_server(endpoint), answer)
    except OSError:
        datagrams.close()
        raise


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Endpoint) -> None:
        if said := respond(data, "UDP", addr[0], self._answer):
            self._transport.sendto(said, addr)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    """One question after the other, each preceded by its length: RFC 1035, 4.2.2."""
    client = writer.get_extra_info("peername")[0]
    try:
        while True:
            async with asyncio.timeout(_IDLE):
                length = int.from_bytes(await reader.readexactly(2))
                data = await reader.readexactly(length)
            said = respond(data, "TCP", client, answer)
            if said is None:
                return
            writer.write(len(said).to_bytes(2) + said)
            await writer.drain()
    except (OSError, EOFError):  # it went away, or said nothing for too long
        return
    finally:
        writer.close()


def respond(data: bytes, protocol: str, client: str, answer: Answer) -> bytes | None:
    """The message to send back; None for what is not even a question."""
    try:
        query = dns.message.from_wire(data)
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query)
    except dns.exception.DNSException:
        return None
    if query.opcode() != dns.opcode.QUERY:
        response.set_rcode(dns.rcode.NOTIMP)
    elif len(query.question) != 1:
        response.set_rcode(dns.rcode.FORMERR)
    else:
        (asked,) = query.question
        told = answer(Question(asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype), protocol, client))
        _tell(response, told)
    most = min(query.payload or _PLAIN_UDP, _MOST_UDP) if protocol == "UDP" else _MOST_TCP
    return response.to_wire(max_size=most, prefer_truncation=True)


def _tell(response: dns.message.Message, told: Told) -> None:
    response.set_rcode(dns.rcode.from_text(told.code))
    if told.code in ("NOERROR", "NXDOMAIN"):
        response.flags |= dns.flags.AA
    if told.values is not None:
        response.answer.append(_rrset(told.values))
    if told.authority is not None:
        response.authority.append(_rrset(told.authority))


def _rrset(values: Values) -> dns.rrset.RRset:
    name = dns.name.from_text(values.name)
    return dns.rrset.from_text(name, values.ttl, dns.rdataclass.IN, values.type, *values.texts)
