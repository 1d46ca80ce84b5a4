"""Where a region is asked: on AWS by its names, in a lab where its environment variables say."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import boto3
from botocore.config import Config

from failover.errors import Unavailable
from ops.resolver import Answer, Endpoint, Resolver, look_up
from templates.config import ConfigurationError

CA_FILE: Final = "PAYMENTS_LAB_CA"
ENDPOINTS: Final = "PAYMENTS_LAB_ENDPOINTS"  # JSON: region -> where its AWS is reached
NAME_SERVER: Final = "PAYMENTS_LAB_DNS"  # address:port
DOORS: Final = "PAYMENTS_LAB_DOORS"  # JSON: address as DNS answers it -> [address, port] that is listened on
DIRECTORY: Final = "PAYMENTS_LAB_DIRECTORY"
TIME_SCALE: Final = "PAYMENTS_LAB_TIME_SCALE"  # what AWS's timers are multiplied by
_VARIABLES: Final = (CA_FILE, ENDPOINTS, NAME_SERVER, DOORS, DIRECTORY, TIME_SCALE)
_HTTPS: Final = 443
_DNS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is None or empty is as everywhere; otherwise it is reached elsewhere than its name says."""

    tls: ssl.SSLContext
    endpoints: Mapping[str, str] = field(default_factory=dict)
    name_server: Endpoint | None = None
    doors: Mapping[str, Endpoint] = field(default_factory=dict)
    lab_directory: Path | None = None
    time_scale: float = 1.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Only what points a shell at a lab sets any of the variables. Raises ConfigurationError."""
        try:
            doors = json.loads(environ.get(DOORS, "{}"))
            return cls(
                tls=ssl.create_default_context(cafile=environ.get(CA_FILE)),
                endpoints=json.loads(environ.get(ENDPOINTS, "{}")),
                name_server=_endpoint(environ[NAME_SERVER]) if NAME_SERVER in environ else None,
                doors={told: (str(address), int(port)) for told, (address, port) in doors.items()},
                lab_directory=Path(environ[DIRECTORY]) if DIRECTORY in environ else None,
                time_scale=float(environ.get(TIME_SCALE, "1")),
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            todo = "is the lab up? `python -m lab env` sets them; for AWS, unset them"
            raise ConfigurationError((f"{', '.join(_VARIABLES)}: {error}; {todo}",)) from error

    def answer(self, host: str, seconds: float = _DNS_SECONDS) -> Answer:
        """The addresses DNS has for a host, and for how long. Raises Unavailable without an answer."""
        return look_up(host, self.name_server, seconds)

    def resolver(self) -> Resolver:
        """What one client knows of names: each gets its own."""
        return Resolver(partial(look_up, server=self.name_server, seconds=_DNS_SECONDS), self.doors)

    def client(self, service: str, region: str, config: Config) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload] # any
            region_name=region,
            endpoint_url=self.endpoints.get(region),
            config=config,
        )

    def status(self, host: str, path: str, seconds: float) -> int:
        """Of an HTTPS request that follows no proxy and no redirect. Raises Unavailable without an answer."""
        address = self.answer(host, seconds).addresses[0]
        try:
            with (
                socket.create_connection(
                    self.doors.get(address, (address, _HTTPS)), timeout=seconds
                ) as plain,
                self.tls.wrap_socket(plain, server_hostname=host) as connection,
            ):
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                connection.sendall(request.encode("ascii"))
                with closing(http.client.HTTPResponse(connection)) as answer:
                    answer.begin()
                    return answer.status
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"https://{host}{path}: {_why(error)}") from error


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return address, int(port)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__
