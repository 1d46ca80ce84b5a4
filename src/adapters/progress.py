"""Bookmarks in the strongly consistent global table `progress`: who may write these may write nothing else.

A bookmark is one JSON text beside its version, and changes only from the version that its writer has read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_VERSION: Final = "version"


class DynamoProgress:
    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, key: str) -> Mapping[str, Any] | None:
        """With its `version`, which `write` asks for."""
        with unknown_is_unavailable("progress"):
            answer = self._client.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
        if "Item" not in answer:
            return None
        stored = answer["Item"]
        return {**json.loads(stored["value"]["S"]), _VERSION: int(stored[_VERSION]["N"])}

    def write(self, key: str, value: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """A write whose answer got lost and that is sent again meets its own value: it stands."""
        before = 0 if expected is None else int(expected[_VERSION])
        kept = {name: each for name, each in value.items() if name != _VERSION}
        item: dict[str, Any] = {
            "id": {"S": key},
            _VERSION: {"N": str(before + 1)},
            "value": {"S": json.dumps(kept, sort_keys=True, separators=(",", ":"))},
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if expected is not None:
            condition = {
                "ConditionExpression": "#version = :before",
                "ExpressionAttributeNames": {"#version": _VERSION},
                "ExpressionAttributeValues": {":before": {"N": str(before)}},
            }
        try:
            with unknown_is_unavailable("progress"):
                self._client.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            with unknown_is_unavailable("progress"):
                answer = self._client.get_item(
                    TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True
                )
            return answer.get("Item") == item
        return True
