"""Global tables while regions do not reach one another.

A strongly consistent table is served where two of its three regions reach each other, and nowhere else: AWS
says only that a write needs two; here nothing is read without two either, and what is asked hangs before it
fails. An eventually consistent one is served everywhere; what was written is copied later, and the last of
several writes of an item stays.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ministack.core.responses import error_response_json, get_region
from ministack.services import dynamodb

from lab.embedded import copies, outage
from lab.embedded.dynamodb import STRONG, consistency, witnesses
from lab.embedded.handlers import Handlers
from lab.outages import Outages

_HANGS, _LOOK_EVERY = 3.0, 0.1  # seconds until it fails; nothing documents how long
_ON_ITEMS = frozenset(
    {
        *(
            "GetItem",
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "Query",
            "Scan",
            "BatchGetItem",
            "BatchWriteItem",
        ),
        *("TransactGetItems", "TransactWriteItems"),
    }
)
_last: dict[tuple[str, str, str], float] = {}
"""By region, table and key: when an item was changed last, as far as copies may be late."""


def register(_: Handlers) -> None:
    dynamodb.handle_request = _with_quorum(dynamodb.handle_request)
    dynamodb._replicate_write = _copied(dynamodb._replicate_write)


def _with_quorum(inherited: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        if headers.get("x-amz-target", "").rpartition(".")[2] in _ON_ITEMS:
            names, give_up = set(_tables(json.loads(body or b"{}"))), time.monotonic() + _HANGS
            while not all(_has_quorum(name, outage.now()) for name in names):
                if time.monotonic() > give_up:
                    return error_response_json(
                        "InternalServerError", "The request could not be completed in time.", 500
                    )
                await asyncio.sleep(_LOOK_EVERY)
        return await inherited(method, path, headers, body, query)

    return handle


def _tables(value: Any) -> Iterator[str]:
    """Every table that a request names, wherever."""
    if isinstance(value, list):
        for one in value:
            yield from _tables(one)
    elif isinstance(value, dict):
        if isinstance(value.get("TableName"), str):
            yield value["TableName"].rpartition("/")[2]
        if isinstance(value.get("RequestItems"), dict):
            yield from value["RequestItems"]
        for one in value.get("TransactItems") or ():
            yield from _tables(list(one.values()))


def _has_quorum(name: str, now: Outages) -> bool:
    table = dynamodb._tables.get(name)
    if table is None or consistency(table) != STRONG:
        return True
    members = {*dynamodb._replica_group(table), *witnesses(table)}
    return 2 * sum(now.reaches(get_region(), one) for one in members) > len(members)


def _copied(inherited: Callable[..., None]) -> Callable[..., None]:
    def replicate(table: dict[str, Any], event: str, old: Any, new: Any) -> None:
        regions = [one for one in dynamodb._replica_group(table) if one != get_region()]
        if not regions or consistency(table) == STRONG:
            inherited(table, event, old, new)  # those that are out of reach have it when they are asked again
            return
        home, at, key = get_region(), time.time(), _key(table, new or old)
        at_once = [
            copies.make(home, region, partial(_copy, inherited, table, event, old, new, home, region, at))
            for region in regions
        ]
        if all(at_once):
            _last.pop((home, table["TableName"], key), None)
        else:
            _last[home, table["TableName"], key] = at

    return replicate


def _copy(
    inherited: Callable[..., None],
    table: dict[str, Any],
    event: str,
    old: Any,
    new: Any,
    home: str,
    region: str,
    at: float,
) -> None:
    """Unless the item was changed there later."""
    where = region, table["TableName"], _key(table, new or old)
    if _last.get(where, 0.0) < at:
        _last.pop(where, None)
        inherited({**table, "_global_regions": [home, region]}, event, old, new)


def _key(table: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    names = [table["pk_name"], *filter(None, [table["sk_name"]])]
    return json.dumps([item[name] for name in names], sort_keys=True)
