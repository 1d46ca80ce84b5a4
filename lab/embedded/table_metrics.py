"""What DynamoDB measures of its requests; nothing is throttled here, so nothing is counted as throttled.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_region
from ministack.services import dynamodb

from lab.embedded import metrics
from lab.embedded.handlers import Handlers

_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_MEASURED = (*_WRITES, "GetItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem")


def register(_: Handlers) -> None:
    dynamodb.handle_request = _measured(dynamodb.handle_request)


def _measured(inherited: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        began = time.monotonic()
        response = await inherited(method, path, headers, body, query)
        if action in _MEASURED and response[0] < 300:
            milliseconds = (time.monotonic() - began) * 1000
            for name in _tables(json.loads(body)):
                record(name, action, milliseconds)
        return response

    return handle


def _tables(request: Mapping[str, Any]) -> list[str]:
    names = [request["TableName"]] if "TableName" in request else list(request.get("RequestItems", {}))
    return [str(name).rpartition("/")[2] for name in names]


def record(table: str, action: str, milliseconds: float) -> None:
    where = {"TableName": table, "Operation": action}
    metrics.record("AWS/DynamoDB", "SuccessfulRequestLatency", milliseconds, "Milliseconds", where)
    found = dynamodb._tables.get(table)
    if action not in _WRITES or found is None or found.get("MultiRegionConsistency") == "STRONG":
        return  # a strongly consistent table has no latency of its own: its writes wait for it
    for region in dynamodb._replica_group(found) or ():
        if region != get_region():
            # Both replicas had the item before the request was answered.
            to = {"TableName": table, "ReceivingRegion": region}
            metrics.record("AWS/DynamoDB", "ReplicationLatency", 0, "Milliseconds", to)
