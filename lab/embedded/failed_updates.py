"""A stack whose update failed and was not rolled back: the next one starts from what is really there.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html: what succeeded
stays, and a change set can follow, of the same template or another, or a rollback. MiniStack compares
with the template before the failure, so that going back to it would be "no changes", and it skips a resource
that failed when its properties are to be what they were, although the failure may have changed half of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudformation
from ministack.services.cloudformation import changesets, stacks

from lab.embedded.handlers import Handlers

_FAILED = "UPDATE_FAILED"
_attempted: dict[tuple[str, str, str], Any] = {}
"""Account, region and physical id of a resource -> the properties that an update failed to give it."""


def register(_: Handlers) -> None:
    changesets._diff_resources = _from_what_is_there(changesets._diff_resources)
    stacks._update_resource = _from_what_was_attempted(stacks._update_resource)


def _from_what_is_there(inherited: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def diff(old: Mapping[str, Any], new: Mapping[str, Any], resources: Any = None, *rest: Any) -> list[Any]:
        stack = _failed_stack(resources)
        if stack is None:
            return inherited(old, new, resources, *rest)
        operation = stack["_failed_operation"]
        attempt = changesets._resolve_props_for_diff(
            operation["template"], operation["param_values"], stack["StackName"], stack["StackId"]
        )
        there = {name: one for name, one in old.get("Resources", {}).items() if name in resources}
        there |= {name: attempt["Resources"][name] for name in operation["created"]}
        changes = inherited({**old, "Resources": there}, new, resources, *rest)
        failed = operation["failed_logical_id"]
        listed = {change["ResourceChange"]["LogicalResourceId"] for change in changes}
        if failed in there and failed in new.get("Resources", {}) and failed not in listed:
            changes.append(_retried(failed, resources[failed]))
        return changes

    return diff


def _failed_stack(resources: Any) -> Any:
    """The stack these resources are of, when its update failed."""
    if not resources:
        return None
    for stack in cloudformation._stacks.values():
        if stack.get("_resources") is resources:
            failed = stack.get("StackStatus") == _FAILED and stack.get("_failed_operation")
            return stack if failed else None
    return None


def _retried(name: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    change = {
        "Action": "Modify",
        "LogicalResourceId": name,
        "PhysicalResourceId": resource["PhysicalResourceId"],
        "ResourceType": resource["ResourceType"],
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [],
    }
    return {"ResourceChange": change}


def _from_what_was_attempted(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def update(type_name: str, physical_id: str, old: Any, new: Any, *rest: Any) -> Any:
        key = (get_account_id(), get_region(), physical_id)
        attempted = _attempted.get(key)
        if old == new and attempted is not None:
            old = attempted
        try:
            updated = inherited(type_name, physical_id, old, new, *rest)
        except Exception:
            _attempted[key] = new
            raise
        _attempted.pop(key, None)
        return updated

    return update
