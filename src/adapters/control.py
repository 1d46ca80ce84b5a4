"""The control record in its strongly consistent global table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.once import put_once
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
        """Whether this one stands now; a record that was there is never overwritten."""
        written = item(first)
        return put_once(self._client, self._table, "id", written, "control record") == written

    def fence(self, after: int, active: str, changed_at: datetime, reason: str) -> bool:
        """Opens epoch `after` + 1 for a region, if the epoch still is `after`; False if it no longer is.

        A write whose answer got lost and that is sent again finds the epoch it opened itself: False, too.
        """
        opened = item(ControlRecord(after + 1, active, Phase.FENCING, changed_at, reason))
        return self._change(opened, "epoch = :after", {":after": {"N": str(after)}})

    def advance(self, found: ControlRecord, phase: Phase, changed_at: datetime) -> bool:
        """Moves the epoch's takeover on to `phase`, if epoch and phase still are as they were found."""
        return self._change(
            item(replace(found, phase=phase, changed_at=changed_at)),
            "epoch = :epoch AND phase = :phase",
            {":epoch": {"N": str(found.epoch)}, ":phase": {"S": found.phase.value}},
        )

    def _change(self, changed: dict[str, Any], condition: str, values: dict[str, Any]) -> bool:
        try:
            with unknown_is_unavailable("control record"):
                self._client.put_item(
                    TableName=self._table,
                    Item=changed,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            return False
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
