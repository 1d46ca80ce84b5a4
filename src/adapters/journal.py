"""The journal in its strongly consistent global table: two of three regions hold a write that returned."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from adapters.aws import unknown_is_unavailable
from adapters.batches import read_batch
from adapters.once import put_once
from payments.idempotency import canonical, from_canonical
from payments.journal import JournalEntry
from payments.ports import Backlog, Entries, Ids, Page, Unreadable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_INDEX: Final = "open"


class DynamoJournal:
    """The whole journal and its work list: the sparse index on `open`, eventually consistent, keys only."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def put(self, entry: JournalEntry) -> JournalEntry:
        """A write whose answer got lost and that is sent again meets its own entry: a join."""
        stored = item(entry)
        held = put_once(self._client, self._table, "payment_id", stored, "journal")
        return entry if held == stored else entry_from(held)

    def find(self, payment_id: str) -> JournalEntry | None:
        with unknown_is_unavailable("journal"):
            answer = self._client.get_item(TableName=self._table, Key=_key(payment_id), ConsistentRead=True)
        return entry_from(answer["Item"]) if "Item" in answer else None

    def page(self, shard: str, after: str | None, limit: int, *, since: datetime | None = None) -> Ids:
        condition, values = "#open = :shard", {":shard": {"S": shard}}
        if since is not None:
            condition += " AND accepted_at >= :since"
            values[":since"] = {"S": _text(since)}
        with unknown_is_unavailable("work list"):
            answer = self._client.query(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression=condition,
                ExpressionAttributeNames={"#open": "open"},
                ExpressionAttributeValues=values,
                Limit=limit,
                **_from(after),
            )
        return Ids(tuple(stored["payment_id"]["S"] for stored in answer["Items"]), _after(answer))

    def backlog(self, shard: str, limit: int) -> Backlog:
        with unknown_is_unavailable("work list"):
            answer = self._client.query(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression="#open = :shard",
                ProjectionExpression="accepted_at",
                ExpressionAttributeNames={"#open": "open"},
                ExpressionAttributeValues={":shard": {"S": shard}},
                Limit=limit,
            )
        found = answer["Items"]
        return Backlog(len(found), _time(found[0]["accepted_at"]["S"]) if found else None)

    def read(self, ids: Collection[str]) -> Entries:
        keys = [_key(payment_id) for payment_id in sorted(set(ids))]
        return Entries(*_entries(read_batch(self._client, self._table, keys, "journal")))

    def scan(self, after: str | None, limit: int, *, segment: int, of: int) -> Page:
        with unknown_is_unavailable("journal"):
            answer = self._client.scan(
                TableName=self._table,
                ConsistentRead=True,
                Limit=limit,
                Segment=segment,
                TotalSegments=of,
                **_from(after),
            )
        entries, unreadable = _entries(answer["Items"])
        return Page(entries, _after(answer), unreadable)

    def settle(self, payment_id: str) -> None:
        """On condition that the entry is there: an update creates what is not."""
        with unknown_is_unavailable("journal"):
            self._client.update_item(
                TableName=self._table,
                Key=_key(payment_id),
                UpdateExpression="REMOVE #open",
                ConditionExpression="attribute_exists(payment_id)",
                ExpressionAttributeNames={"#open": "open"},
            )

    def strip(self, payment_id: str) -> None:
        """On condition that the entry is there and settled."""
        with unknown_is_unavailable("journal"):
            self._client.update_item(
                TableName=self._table,
                Key=_key(payment_id),
                UpdateExpression="REMOVE #request",
                ConditionExpression="attribute_exists(payment_id) AND attribute_not_exists(#open)",
                ExpressionAttributeNames={"#open": "open", "#request": "request"},
            )


def item(entry: JournalEntry) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "payment_id": {"S": entry.payment_id},
        "fingerprint": {"S": entry.fingerprint},
        "epoch": {"N": str(entry.epoch)},
        "accepted_at": {"S": _text(entry.accepted_at)},
    }
    if entry.request is not None:
        stored["request"] = {"S": canonical(entry.request)}
    if entry.open is not None:
        stored["open"] = {"S": entry.open}
    return stored


def entry_from(stored: Any) -> JournalEntry:
    return JournalEntry(
        payment_id=stored["payment_id"]["S"],
        fingerprint=stored["fingerprint"]["S"],
        request=from_canonical(stored["request"]["S"]) if "request" in stored else None,
        accepted_at=_time(stored["accepted_at"]["S"]),
        epoch=int(stored["epoch"]["N"]),
        open=stored["open"]["S"] if "open" in stored else None,
    )


def _entries(found: Collection[Any]) -> tuple[tuple[JournalEntry, ...], tuple[Unreadable, ...]]:
    """One that makes no sense is set apart: those beside it are to be worked on."""
    entries: list[JournalEntry] = []
    unreadable: list[Unreadable] = []
    for stored in found:
        try:
            entries.append(entry_from(stored))
        except (AttributeError, KeyError, TypeError, ValueError) as mistake:
            unreadable.append(Unreadable(stored["payment_id"]["S"], mistake))
    return tuple(entries), tuple(unreadable)


def _key(payment_id: str) -> dict[str, Any]:
    return {"payment_id": {"S": payment_id}}


def _text(moment: datetime) -> str:
    """Always in UTC and to the millisecond, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _time(text: str) -> datetime:
    """Without a zone it could be any of 24 hours: raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment


def _from(after: str | None) -> dict[str, Any]:
    return {} if after is None else {"ExclusiveStartKey": json.loads(after)}


def _after(answer: Any) -> str | None:
    """The key the answer ended with, as text; without one, that was all."""
    last = answer.get("LastEvaluatedKey")
    return json.dumps(last, sort_keys=True, separators=(",", ":")) if last else None
