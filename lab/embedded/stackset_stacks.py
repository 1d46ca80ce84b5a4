"""The stacks behind stack instances: MiniStack's own create, update and delete, in the instance's region.

Everything here waits for stacks and so runs on a worker thread; MiniStack's handlers run on its event loop.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

from ministack import app
from ministack.core.responses import get_region, new_uuid, request_scope
from ministack.services import cloudformation
from ministack.services.cloudformation import handlers

from lab.embedded import outage
from lab.embedded.handlers import ResourceError, Response, checked
from lab.embedded.stackset_state import Instance, StackSet

_DEADLINE = 3600.0  # seconds a stack may take; AWS has no limit, a lab that hangs should say so
_template: contextvars.ContextVar[str | None] = contextvars.ContextVar("stack_set_template", default=None)


class StackFailedError(Exception):
    """A stack of an instance did not reach what was asked; the message names stack and resource."""


def take_templates_from_stack_sets() -> None:
    """A StackSet keeps its template: MiniStack's handlers must not fetch it or hold it to the inline
    limit.
    """
    inherited: Callable[[dict[str, Any]], tuple[str | None, Response | None]] = handlers._resolve_template

    def resolve(parameters: dict[str, Any]) -> tuple[str | None, Response | None]:
        kept = _template.get()
        return inherited(parameters) if kept is None else (kept, None)

    handlers._resolve_template = resolve


def deploy(stack_set: StackSet, instance: Instance) -> None:
    """Create the instance's stack, or bring it to the set's template and parameters."""
    _require_way(instance)
    with request_scope(instance.account, instance.region):
        stack = _stack(instance)
        if stack is not None and stack["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
            _delete(instance)  # what a failed creation left cannot be updated
            stack = None
        if stack is None:
            name = f"StackSet-{stack_set.name}-{new_uuid()}"
            _call(handlers._create_stack, _request(stack_set, instance, name), stack_set.template)
            instance.stack_id = str(cloudformation._stacks[name]["StackId"])
            _wait(instance, "CREATE_COMPLETE", seen=0)
            return
        seen = len(cloudformation._stack_events.get(instance.stack_id) or ())
        try:
            _call(
                handlers._update_stack,
                _request(stack_set, instance, str(stack["StackName"])),
                stack_set.template,
            )
        except ResourceError as error:
            if "No updates are to be performed" in str(error):
                return
            raise
        _wait(instance, "UPDATE_COMPLETE", seen=seen)


def delete(instance: Instance) -> None:
    _require_way(instance)
    with request_scope(instance.account, instance.region):
        if _stack(instance) is not None:
            _delete(instance)


def _require_way(instance: Instance) -> None:
    """Between the region the set is kept in, and the instance's. What AWS says then is nowhere documented."""
    if not outage.now().reaches(get_region(), instance.region):
        raise StackFailedError(f"{instance.region} does not answer")


def _delete(instance: Instance) -> None:
    seen = len(cloudformation._stack_events.get(instance.stack_id) or ())
    _call(handlers._delete_stack, {"StackName": [instance.stack_id]}, None)
    _wait(instance, "DELETE_COMPLETE", seen=seen)
    instance.stack_id = None


def _stack(instance: Instance) -> dict[str, Any] | None:
    found: dict[str, Any] | None = cloudformation._stacks.get(instance.stack_name)
    return None if found is None or found["StackStatus"] == "DELETE_COMPLETE" else found


def _request(stack_set: StackSet, instance: Instance, name: str) -> dict[str, list[str]]:
    """The query parameters of CreateStack and UpdateStack."""
    request = {"StackName": [name], "Tags": [""]}
    for position, (key, value) in enumerate({**stack_set.parameters, **instance.overrides}.items(), 1):
        request[f"Parameters.member.{position}.ParameterKey"] = [key]
        request[f"Parameters.member.{position}.ParameterValue"] = [value]
    for position, tag in enumerate(stack_set.tags, 1):
        request[f"Tags.member.{position}.Key"] = [tag["Key"]]
        request[f"Tags.member.{position}.Value"] = [tag["Value"]]
    for position, capability in enumerate(stack_set.capabilities, 1):
        request[f"Capabilities.member.{position}"] = [capability]
    return request


def _call(handler: Callable[..., Response], request: Mapping[str, Any], template: str | None) -> None:
    with _setting(_template, template):
        checked(on_event_loop(lambda: handler(dict(request))))


@contextmanager
def _setting(variable: contextvars.ContextVar[str | None], value: str | None) -> Any:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def on_event_loop(call: Callable[[], Response]) -> Response:
    """`call` on MiniStack's event loop, in this thread's account and region: a stack is a task of that
    loop.
    """
    context = contextvars.copy_context()

    async def run() -> Response:
        return context.run(call)

    return asyncio.run_coroutine_threadsafe(run(), app._MAIN_LOOP).result()


def _wait(instance: Instance, wanted: str, *, seen: int) -> None:
    """Until the stack is at rest. Raises StackFailedError with its first failure after event number
    `seen`.
    """
    end = time.monotonic() + _DEADLINE
    pause = threading.Event()
    stack = cloudformation._stacks[instance.stack_name]
    while str(stack["StackStatus"]).endswith("_IN_PROGRESS"):
        if time.monotonic() > end:
            raise StackFailedError(f"stack {instance.stack_name} is still {stack['StackStatus']}")
        pause.wait(0.01)
    if stack["StackStatus"] != wanted:
        raise StackFailedError(_failure(instance, str(stack["StackStatus"]), seen))


def _failure(instance: Instance, status: str, seen: int) -> str:
    """The resource that failed first, in the words of a StackSet operation's result."""
    events = (cloudformation._stack_events.get(instance.stack_id) or [])[seen:]
    failed = [event for event in events if str(event["ResourceStatus"]).endswith("_FAILED")]
    of_resources = [event for event in failed if event["PhysicalResourceId"] != instance.stack_id]
    for event in of_resources or failed:
        return (
            f"ResourceLogicalId:{event['LogicalResourceId']}, ResourceType:{event['ResourceType']}, "
            f"ResourceStatusReason:{event['ResourceStatusReason']}."
        )
    return f"stack {instance.stack_name} is {status}"
