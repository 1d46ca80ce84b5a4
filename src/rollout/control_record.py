"""Custom::ControlRecord: the first control record of a new system; an existing one is never overwritten."""

from collections.abc import Mapping
from datetime import UTC, datetime

from adapters.aws import client
from adapters.control import DynamoControl
from adapters.custom_resource import Request
from failover.control import first_record


def control_record(request: Request) -> Mapping[str, str]:
    control = DynamoControl(client("dynamodb"), str(request.properties["Table"]))
    written = control.create(first_record(str(request.properties["Active"]), datetime.now(UTC)))
    return {"Written": "yes" if written else "kept"}
