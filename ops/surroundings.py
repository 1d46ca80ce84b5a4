"""Where a region is asked: on AWS by its names, in a lab where its environment variables say."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Self

import boto3
from botocore.config import Config

from failover.errors import Unavailable
from templates.config import ConfigurationError

CA_FILE: Final = "PAYMENTS_LAB_CA"
ENDPOINTS: Final = "PAYMENTS_LAB_ENDPOINTS"  # JSON: region -> where its AWS is reached
HOSTS: Final = "PAYMENTS_LAB_HOSTS"  # JSON: host name -> [address, port]
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`endpoints` and `hosts` hold what is reached elsewhere than its name says."""

    tls: ssl.SSLContext
    endpoints: Mapping[str, str]
    hosts: Mapping[str, tuple[str, int]]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Only what points a shell at a lab sets any of the variables. Raises ConfigurationError."""
        try:
            hosts = json.loads(environ.get(HOSTS, "{}"))
            return cls(
                tls=ssl.create_default_context(cafile=environ.get(CA_FILE)),
                endpoints=json.loads(environ.get(ENDPOINTS, "{}")),
                hosts={name: (str(address), int(port)) for name, (address, port) in hosts.items()},
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            variables = f"{CA_FILE}, {ENDPOINTS}, {HOSTS}"
            todo = "is the lab up? `python -m lab env` sets them; for AWS, unset them"
            raise ConfigurationError((f"{variables}: {error}; {todo}",)) from error

    def client(self, service: str, region: str, config: Config) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload] # any
            region_name=region,
            endpoint_url=self.endpoints.get(region),
            config=config,
        )

    def status(self, host: str, path: str, seconds: float) -> int:
        """Of an HTTPS request that follows no proxy and no redirect. Raises Unavailable without an answer."""
        try:
            with (
                socket.create_connection(self.hosts.get(host, (host, _HTTPS)), timeout=seconds) as plain,
                self.tls.wrap_socket(plain, server_hostname=host) as connection,
            ):
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                connection.sendall(request.encode("ascii"))
                with closing(http.client.HTTPResponse(connection)) as answer:
                    answer.begin()
                    return answer.status
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"https://{host}{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__
