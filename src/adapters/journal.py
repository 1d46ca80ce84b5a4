"""The journal in its strongly consistent global table: two of three regions hold a write that returned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.aws import unknown_is_unavailable
from adapters.once import put_once
from payments.idempotency import canonical, from_canonical
from payments.journal import JournalEntry
from payments.model import Payment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoJournal:
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
            answer = self._client.get_item(
                TableName=self._table, Key={"payment_id": {"S": payment_id}}, ConsistentRead=True
            )
        return entry_from(answer["Item"]) if "Item" in answer else None


def item(entry: JournalEntry) -> dict[str, Any]:
    payment = entry.payment
    stored: dict[str, Any] = {
        "payment_id": {"S": payment.payment_id},
        "fingerprint": {"S": payment.fingerprint},
        "request": {"S": canonical(payment.request)},
        "epoch": {"N": str(entry.epoch)},
        "accepted_at": {"S": payment.accepted_at.astimezone(UTC).isoformat(timespec="milliseconds")},
    }
    if entry.open is not None:
        stored["open"] = {"S": entry.open}
    return stored


def entry_from(stored: Any) -> JournalEntry:
    return JournalEntry(
        payment=Payment(
            payment_id=stored["payment_id"]["S"],
            fingerprint=stored["fingerprint"]["S"],
            request=from_canonical(stored["request"]["S"]),
            accepted_at=datetime.fromisoformat(stored["accepted_at"]["S"]),
        ),
        epoch=int(stored["epoch"]["N"]),
        open=stored["open"]["S"] if "open" in stored else None,
    )
