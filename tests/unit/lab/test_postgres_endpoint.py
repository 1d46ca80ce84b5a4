"""The endpoint refuses as PostgreSQL refuses, before any server is asked."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.certificates import new_authority, write_server_certificate
from lab.plan import RegionPlan
from lab.postgres_endpoint import PostgresEndpoint

TLS_REQUEST, GSS_REQUEST = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
STARTUP = b"user\0ledger\0database\0books\0\0"
Admission = Callable[[tuple[str, int], tuple[str, int]], Awaitable[str | None]]


def startup(body: bytes = STARTUP) -> bytes:
    return struct.pack("!II", 8 + len(body), 196608) + body


async def admit(_client: tuple[str, int], _endpoint: tuple[str, int]) -> str | None:
    return None


def answer(directory: Path, *sent: bytes, admission: Admission = admit) -> bytes:
    """All the endpoint says to a client that sends this in the clear."""

    async def run() -> bytes:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        now = datetime.now(UTC)
        file = directory / "server.pem"
        write_server_certificate(new_authority("CA", now), file, hosts=("a.test",), addresses=(), now=now)
        tls.load_cert_chain(file)
        region = RegionPlan("us-east-1", "primary", "127.0.0.1", 1, 2, port, 4)
        endpoint = PostgresEndpoint(region, tls, admission)
        assert not endpoint.is_open
        await endpoint.open("127.0.0.1", 1)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


def test_who_is_not_admitted_is_hung_up_on(tmp_path: Path) -> None:
    async def refuse(_client: tuple[str, int], _endpoint: tuple[str, int]) -> str | None:
        return "no route"

    assert answer(tmp_path, TLS_REQUEST, admission=refuse) == b""
