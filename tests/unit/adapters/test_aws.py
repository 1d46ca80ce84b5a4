import socket
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from adapters.aws import IMPATIENT, unknown_is_unavailable
from failover.errors import Unavailable
from tests.unit.adapters.fakes import refused


@pytest.mark.parametrize(
    "error",
    [
        refused("ReplicatedWriteConflictException", 400),
        refused("ProvisionedThroughputExceededException", 400),
        refused("InternalServerError", 500),
        refused("SomethingNew", 503),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_a_missing_answer_is_unknown(error: Exception) -> None:
    with pytest.raises(Unavailable), unknown_is_unavailable("journal"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        refused("AccessDeniedException", 400),
        refused("ConditionalCheckFailedException", 400),
        refused("ResourceNotFoundException", 400),
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
