"""Session tokens, hashed, in a global table that replicates eventually and forgets by TTL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.aws import unknown_is_unavailable
from payments.model import Session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoSessions:
    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def put(self, session: Session) -> None:
        with unknown_is_unavailable("sessions"):
            self._client.put_item(
                TableName=self._table,
                Item={
                    "token_hash": {"S": session.token_hash},
                    "merchant_id": {"S": session.merchant_id},
                    "expires_at": {"N": str(int(session.expires_at.timestamp()))},
                },
            )

    def find(self, token_hash: str) -> Session | None:
        """Consistent within the region: whoever just opened a session here can use it here."""
        with unknown_is_unavailable("sessions"):
            answer = self._client.get_item(
                TableName=self._table, Key={"token_hash": {"S": token_hash}}, ConsistentRead=True
            )
        if "Item" not in answer:
            return None
        stored = answer["Item"]
        return Session(
            token_hash=stored["token_hash"]["S"],
            merchant_id=stored["merchant_id"]["S"],
            expires_at=datetime.fromtimestamp(int(stored["expires_at"]["N"]), UTC),
        )
