import socket
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from adapters.aws import IMPATIENT, unknown_is_unavailable
from failover.errors import Unavailable


def client_error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # what is read
        "PutItem",
    )


@pytest.mark.parametrize(
    "error",
    [
        client_error("ReplicatedWriteConflictException", 400),
        client_error("ProvisionedThroughputExceededException", 400),
        client_error("InternalServerError", 500),
        client_error("SomethingNew", 503),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_a_missing_answer_is_unknown(error: Exception) -> None:
    with pytest.raises(Unavailable), unknown_is_unavailable("journal"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDeniedException", 400),
        client_error("ConditionalCheckFailedException", 400),
        client_error("ResourceNotFoundException", 400),
        KeyError("x"),
    ],
)
def test_an_answer_is_an_answer(error: Exception) -> None:
    with pytest.raises(type(error)), unknown_is_unavailable("journal"):
        raise error


def test_nobody_listening_is_unknown() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client: Any = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=IMPATIENT,
        )
        with pytest.raises(Unavailable), unknown_is_unavailable("journal"):
            client.get_item(TableName="t", Key={"id": {"S": "x"}})
