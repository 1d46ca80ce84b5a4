"""Events of an update, as CloudFormation writes them: none for what it leaves alone, CREATE for what is new.

MiniStack walks through every resource of a stack and reports each as updated, although it skips those whose
properties are the same. What a second deployment touched could not be told from its events:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from lab.embedded.handlers import Handlers

Key = tuple[str, str, str, str]
"""Account, region, stack and logical id."""

_STATE = ("ResourceStatus", "Timestamp")
_untouched: dict[Key, dict[str, Any]] = {}
"""What the record of a resource said before an update that does not concern it."""
_created: set[Key] = set()


def register(_: Handlers) -> None:
    stacks._update_resource = _noting_untouched(stacks._update_resource)
    stacks._provision_resource = _noting_created(stacks._provision_resource)
    stacks._add_event = _telling_them_apart(stacks._add_event)


def _key(stack_name: str, logical_id: str) -> Key:
    return get_account_id(), get_region(), stack_name, logical_id


def _record(stack_name: str, logical_id: str) -> dict[str, Any]:
    stack = cloudformation._stacks.get(stack_name) or {}
    record: dict[str, Any] = stack.get("_resources", {}).get(logical_id, {})
    return record


def _noting_untouched(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def update(type_name: str, physical_id: str, old: Any, new: Any, stack_name: str, *rest: Any) -> Any:
        if old == new and rest:
            former = _record(stack_name, rest[0])
            _untouched[_key(stack_name, rest[0])] = {name: former.get(name) for name in _STATE}
        return inherited(type_name, physical_id, old, new, stack_name, *rest)

    return update


def _noting_created(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def provision(type_name: str, logical_id: str, properties: Any, stack_name: str) -> Any:
        created = inherited(type_name, logical_id, properties, stack_name)
        _created.add(_key(stack_name, logical_id))
        return created

    return provision


def _telling_them_apart(inherited: Callable[..., None]) -> Callable[..., None]:
    def add_event(
        stack_id: str, stack_name: str, logical_id: str, type_name: str, status: str, *rest: Any, **more: Any
    ) -> None:
        if status not in ("UPDATE_COMPLETE", "CREATE_COMPLETE"):
            inherited(stack_id, stack_name, logical_id, type_name, status, *rest, **more)
            return
        key = _key(stack_name, logical_id)
        former = _untouched.pop(key, None)
        created = key in _created
        _created.discard(key)
        begun = _begun(stack_id, logical_id)
        if status == "UPDATE_COMPLETE" and begun is not None:
            if former is not None:
                cloudformation._stack_events[stack_id].remove(begun)
                _record(stack_name, logical_id).update(former)
                return
            if created:
                begun["ResourceStatus"], status = "CREATE_IN_PROGRESS", "CREATE_COMPLETE"
                _record(stack_name, logical_id)["ResourceStatus"] = status
        inherited(stack_id, stack_name, logical_id, type_name, status, *rest, **more)

    return add_event


def _begun(stack_id: str, logical_id: str) -> dict[str, Any] | None:
    """The event with which the update of a resource began, when nothing followed it."""
    events: list[dict[str, Any]] = cloudformation._stack_events.get(stack_id) or []
    last = events[-1] if events else {}
    if last.get("LogicalResourceId") != logical_id or last.get("ResourceStatus") != "UPDATE_IN_PROGRESS":
        return None
    return last
