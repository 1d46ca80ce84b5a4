"""The control record in its strongly consistent global table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY: Final[dict[str, Any]] = {"id": {"S": "control"}}


class DynamoControl:
    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> ControlRecord:
        with unknown_is_unavailable("control record"):
            answer = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        if "Item" not in answer:
            raise Unavailable("control record: not there (yet)")
        return record(answer["Item"])

    def create(self, first: ControlRecord) -> bool:
        """Whether it was written; an existing record is never overwritten."""
        try:
            with unknown_is_unavailable("control record"):
                self._client.put_item(
                    TableName=self._table,
                    Item=item(first),
                    ConditionExpression="attribute_not_exists(id)",
                )
        except ClientError as error:
            if code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def item(control: ControlRecord) -> dict[str, Any]:
    return _KEY | {
        "epoch": {"N": str(control.epoch)},
        "active": {"S": control.active},
        "phase": {"S": control.phase.value},
        "changed_at": {"S": control.changed_at.astimezone(UTC).isoformat(timespec="milliseconds")},
        "reason": {"S": control.reason},
    }


def record(stored: Any) -> ControlRecord:
    """Raises Unavailable for a record that makes no sense: whoever wrote it, it grants nothing."""
    try:
        return ControlRecord(
            epoch=int(stored["epoch"]["N"]),
            active=stored["active"]["S"],
            phase=Phase(stored["phase"]["S"]),
            changed_at=datetime.fromisoformat(stored["changed_at"]["S"]),
            reason=stored["reason"]["S"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"control record: unreadable ({type(error).__name__})") from error
