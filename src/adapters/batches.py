"""Many items of a DynamoDB table, read strongly consistently, in as few round trips as there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from adapters.aws import unknown_is_unavailable
from failover.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MOST_KEYS: Final = 100  # of one BatchGetItem
_IN_VAIN: Final = 3
_PAUSE_SECONDS: Final = (
    0.05  # doubled each time: a throttled table that is asked again at once stays throttled
)


def read_batch(client: DynamoDBClient, table: str, keys: Sequence[Any], asked: str) -> list[Any]:
    """The items that exist. A key left unprocessed is asked for again, and never taken for absent."""
    found: list[Any] = []
    for start in range(0, len(keys), _MOST_KEYS):
        found += _read(client, table, keys[start : start + _MOST_KEYS], asked)
    return found


def _read(client: DynamoDBClient, table: str, keys: Sequence[Any], asked: str) -> list[Any]:
    found: list[Any] = []
    wanted: Any = {table: {"Keys": keys, "ConsistentRead": True}}
    in_vain = 0
    while True:
        with unknown_is_unavailable(asked):
            answer = client.batch_get_item(RequestItems=wanted)
        came = answer["Responses"].get(table, [])
        found += came
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return found
        in_vain = 0 if came else in_vain + 1
        if in_vain == _IN_VAIN:
            raise Unavailable(f"{asked}: throttled")
        time.sleep(_PAUSE_SECONDS * 2**in_vain)
