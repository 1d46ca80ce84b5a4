"""Items of a DynamoDB table that are written once and then stand: who comes second is told who was first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from failover.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def put_once(
    client: DynamoDBClient, table: str, key: str, item: Mapping[str, Any], asked: str
) -> Mapping[str, Any]:
    """The item the table holds under the value of `key` from now on: this one, or the one that was there.

    A write whose answer got lost is sent again by botocore and then meets its own item: that is this one.
    """
    try:
        with unknown_is_unavailable(asked):
            client.put_item(
                TableName=table,
                Item=item,
                ConditionExpression=f"attribute_not_exists({key})",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
    except ClientError as error:
        if code(error) != "ConditionalCheckFailedException":
            raise
        returned: Any = error.response.get("Item")
        return returned or _found(client, table, {key: item[key]}, asked)
    return item


def _found(client: DynamoDBClient, table: str, key: dict[str, Any], asked: str) -> Mapping[str, Any]:
    with unknown_is_unavailable(asked):
        answer = client.get_item(TableName=table, Key=key, ConsistentRead=True)
    if "Item" not in answer:
        raise Unavailable(f"{asked}: taken, yet not there")
    return answer["Item"]
