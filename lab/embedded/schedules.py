"""Schedules as templates declare them: MiniStack's handler leaves most of their properties out."""

from collections.abc import Mapping
from typing import Any

from ministack.services import scheduler

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked

TYPE = "AWS::Scheduler::Schedule"


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = str(properties.get("Name") or f"{stack_name}-{logical_id}")
    checked(scheduler._create_schedule(name, _body(properties)))
    return _created(name, properties)


def _update(physical_id: str, old: Properties, new: Properties, stack_name: str, *_: Any) -> Created:
    """Another group means another schedule, which the resource reference counts as an update all the same."""
    if _group(old) != _group(new):
        created = _create(physical_id, {**new, "Name": physical_id}, stack_name)
        _delete(physical_id, old)
        return created
    checked(scheduler._update_schedule(physical_id, _body(new)))
    return _created(physical_id, new)


def _delete(physical_id: str, properties: Properties) -> None:
    status, _, body = scheduler._delete_schedule(physical_id, {"groupName": _group(properties)})
    if status not in (200, 404):
        raise ResourceError(body.decode())


def _created(name: str, properties: Mapping[str, Any]) -> Created:
    return name, {"Arn": scheduler._schedule_arn(_group(properties), name)}


def _group(properties: Mapping[str, Any]) -> str:
    return str(properties.get("GroupName", "default"))


def _body(properties: Properties) -> Properties:
    """A template's words are the API's."""
    return {**properties, "GroupName": _group(properties)}
