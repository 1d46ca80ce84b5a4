"""The journal in its strongly consistent global table: two of three regions hold a write that returned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from payments.errors import Unavailable
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
        """A write whose answer got lost is retried by the client and then meets its own entry: a join."""
        try:
            with unknown_is_unavailable("journal"):
                self._client.put_item(
                    TableName=self._table,
                    Item=item(entry),
                    ConditionExpression="attribute_not_exists(payment_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            return self._holder(error, entry.payment.payment_id)
        return entry

    def find(self, payment_id: str) -> JournalEntry | None:
        with unknown_is_unavailable("journal"):
            answer = self._client.get_item(
                TableName=self._table, Key={"payment_id": {"S": payment_id}}, ConsistentRead=True
            )
        return entry_from(answer["Item"]) if "Item" in answer else None

    def _holder(self, error: ClientError, payment_id: str) -> JournalEntry:
        held: Any = error.response.get("Item")
        if held:
            return entry_from(held)
        found = self.find(payment_id)
        if found is None:  # entries are never deleted
            raise Unavailable("journal: taken, yet not there")
        return found


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
