"""An endpoint refuses as PostgreSQL refuses, before any server is asked; a cluster's two open and close."""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.addresses import LOOPBACK, can_bind, reader_address, region_addresses
from lab.certificates import new_authority, write_server_certificate
from lab.postgres_endpoint import ClusterEndpoints, PostgresEndpoint
from tests.ports import free_port

TLS_REQUEST, GSS_REQUEST = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
STARTUP = b"user\0ledger\0database\0books\0\0"
with_ipv6 = pytest.mark.skipif(not can_bind(("::1", 0)), reason="this host has no IPv6")
Admission = Callable[[tuple[str, int], tuple[str, int]], Awaitable[str | None]]


def startup(body: bytes = STARTUP) -> bytes:
    return struct.pack("!II", 8 + len(body), 196608) + body


async def admit(_client: tuple[str, int], _endpoint: tuple[str, int]) -> str | None:
    return None


def certificate(directory: Path) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    file = directory / "server.pem"
    write_server_certificate(new_authority("CA", now), file, hosts=("a.test",), addresses=(), now=now)
    tls.load_cert_chain(file)
    return tls


def answer(directory: Path, *sent: bytes, admission: Admission = admit, address: str = "127.0.0.1") -> bytes:
    """All the endpoint says to a client that sends this in the clear."""

    async def run() -> bytes:
        port = free_port(address)
        endpoint = PostgresEndpoint((address, port), certificate(directory), admission)
        assert not endpoint.is_open
        await endpoint.open("127.0.0.1", 1)
        try:
            reader, writer = await asyncio.open_connection(address, port)
            said = b""
            with suppress(ConnectionResetError):  # hung up on before it had been read
                for message in sent:
                    writer.write(message)
                    answered_by_a_byte = message in {TLS_REQUEST, GSS_REQUEST}
                    said += await reader.read(1 if answered_by_a_byte else -1)
            writer.close()
            return said
        finally:
            await endpoint.close()

    return asyncio.run(run())


def test_a_startup_in_the_clear_gets_an_error_response(tmp_path: Path) -> None:
    said = answer(tmp_path, startup())
    assert said[:1] == b"E"
    assert struct.unpack("!I", said[1:5])[0] == len(said) - 1
    fields = said[5:].split(b"\0")
    assert b"C28000" in fields
    assert any(b'user "ledger", database "books", no encryption' in field for field in fields)


def test_gss_encryption_is_declined_and_tls_offered(tmp_path: Path) -> None:
    assert answer(tmp_path, GSS_REQUEST, TLS_REQUEST) == b"NS"


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", struct.pack("!II", 4, 0)])
def test_what_is_not_the_protocol_is_hung_up_on(tmp_path: Path, sent: bytes) -> None:
    assert answer(tmp_path, sent) == b""


@pytest.mark.parametrize("address", [LOOPBACK, pytest.param("::1", marks=with_ipv6)])
def test_who_is_not_admitted_is_hung_up_on(tmp_path: Path, address: str) -> None:
    asked = []

    async def refuse(client: tuple[str, int], endpoint: tuple[str, int]) -> str | None:
        asked.extend([client, endpoint])
        return "no route"

    assert answer(tmp_path, TLS_REQUEST, admission=refuse, address=address) == b""
    (client_address, _client_port), (endpoint_address, _endpoint_port) = asked
    assert client_address == endpoint_address == address


async def reachable(address: str, port: int) -> bool:
    """Answered, and not only accepted: a connection that nobody has looked at yet would outlive the test."""
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return False
    writer.write(TLS_REQUEST)
    answered = await reader.read(1) == b"S"
    writer.close()
    await writer.wait_closed()
    return answered


def test_writers_are_let_in_only_where_the_server_takes_writes(tmp_path: Path) -> None:
    of_writer, *_ = region_addresses(1)
    of_readers = reader_address(of_writer)
    port = free_port(of_writer)

    async def run() -> list[tuple[bool, bool]]:
        tls = certificate(tmp_path)
        writer, reader = (PostgresEndpoint((one, port), tls) for one in (of_writer, of_readers))
        endpoints = ClusterEndpoints(writer=writer, reader=reader)

        async def seen() -> tuple[bool, bool]:
            return (
                await reachable(of_writer, port),
                await reachable(of_readers, port),
            )

        said = [await seen()]
        for writes in (False, True, False):  # a replica, promoted, demoted
            await endpoints.open("127.0.0.1", 1, writes=writes)
            said.append(await seen())
        await endpoints.open("127.0.0.1", 1, writes=True)
        await endpoints.close()
        return [*said, await seen()]

    nowhere, replica, writer = (False, False), (False, True), (True, True)
    assert asyncio.run(run()) == [nowhere, replica, writer, replica, nowhere]


def test_connections_are_cut_and_new_ones_let_in(tmp_path: Path) -> None:
    async def run() -> None:
        port = free_port("127.0.0.1")
        endpoint = PostgresEndpoint(("127.0.0.1", port), certificate(tmp_path))
        await endpoint.open("127.0.0.1", 1)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(TLS_REQUEST)
            assert await reader.read(1) == b"S"
            assert await endpoint.cut() == 1
            assert await reader.read() == b""
            writer.close()
            assert endpoint.is_open
            assert await reachable("127.0.0.1", port)
        finally:
            await endpoint.close()

    asyncio.run(run())
