"""HTTP as bytes: what a well-behaved client would not let anybody send."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.hostile import Hostile


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    media_type: str
    body: bytes


class Wire:
    """One region's API, a new connection for each request."""

    def __init__(self, api: str, ca_file: str) -> None:
        where = urlsplit(api)
        assert where.hostname is not None
        self._host, self._port = where.hostname, where.port or 443
        self._tls = ssl.create_default_context(cafile=ca_file)

    def send(self, request: Hostile) -> Answer:
        raw = b"".join(
            [
                f"{request.method} {request.path} HTTP/1.1\r\n".encode("latin-1"),
                f"Host: {self._host}:{self._port}\r\n".encode(),
                b"User-Agent: hostile\r\n",
                *(f"{name}: {value}\r\n".encode("latin-1") for name, value in request.headers),
                f"Content-Length: {len(request.body)}\r\nConnection: close\r\n\r\n".encode(),
                request.body,
            ]
        )
        with (
            socket.create_connection((self._host, self._port), timeout=35) as plain,
            self._tls.wrap_socket(plain, server_hostname=self._host) as connection,
        ):
            connection.sendall(raw)
            answer: Any = http.client.HTTPResponse(connection, method=request.method)
            answer.begin()
            return Answer(answer.status, answer.headers.get_content_type(), answer.read())
