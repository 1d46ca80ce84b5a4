"""Custom::ControlRecord: the first control record of a new system; an existing one is never overwritten."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from adapters.aws import client
from adapters.control import DynamoControl
from adapters.custom_resource import Request
from failover.control import ControlRecord, first_record
from rollout.waiting import until_allowed


def control_record(request: Request) -> Mapping[str, str]:
    return write_first(request, DynamoControl(client("dynamodb"), _table(request)).create)


def write_first(
    request: Request, create: Callable[[ControlRecord], bool], *, every: float = 5.0
) -> Mapping[str, str]:
    first = first_record(str(request.properties["Active"]), datetime.now(UTC))
    written = until_allowed(
        lambda: create(first),
        deadline=request.deadline,
        what=f"this function to be allowed to write to table {_table(request)}, and to use its key",
        every=every,
    )
    return {"Written": "yes" if written else "kept"}


def _table(request: Request) -> str:
    return str(request.properties["Table"])
