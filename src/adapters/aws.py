"""AWS clients as every adapter wants them, and which of their errors mean that the answer is unknown."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)

from failover.errors import Unavailable

# Standard mode also retries ReplicatedWriteConflictException, which the service model marks as retryable.
IMPATIENT: Final = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)

# For what runs for minutes, and would have to be begun again by a person.
PATIENT: Final = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 5},
    tcp_keepalive=True,
)

_TRANSIENT: Final = frozenset(
    {
        "InternalServerError",
        "InternalServiceError",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_ERROR: Final = 500
_NO_ANSWER: Final = (
    BotocoreConnectionError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def client(
    service: str, region: str | None = None, *, connections: int = 4, config: Config = IMPATIENT
) -> Any:
    """A client for this region's endpoint or another's, for so many calls at a time. From botocore: importing
    boto3 would double a cold start.
    """
    pooled = config.merge(Config(max_pool_connections=connections))
    return _session().create_client(service, region_name=region, config=pooled)


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def unknown_is_unavailable(asked: str) -> Iterator[None]:
    """Turns a missing answer into Unavailable. Everything else, such as AccessDenied, is ours to repair."""
    try:
        yield
    except ClientError as error:
        if code(error) in _TRANSIENT or status(error) >= _SERVER_ERROR:
            raise Unavailable(f"{asked}: {code(error)}") from error
        raise
    except _NO_ANSWER as error:
        raise Unavailable(f"{asked}: {type(error).__name__}") from error
