"""A stack update leaves unchanged resources alone, and says nothing of them.

MiniStack leaves them alone too, yet records UPDATE_IN_PROGRESS and UPDATE_COMPLETE for each: nobody could
see from a stack's events what an update touched.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
"""

from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from lab.embedded.handlers import Handlers, Properties

_IN_PROGRESS, _COMPLETE = "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"


def register(_: Handlers) -> None:
    untouched: set[tuple[str, str | None]] = set()
    update_resource, add_event = stacks._update_resource, stacks._add_event

    def update(
        type_name: str,
        physical_id: str,
        old: Properties,
        new: Properties,
        stack_name: str,
        logical_id: str | None = None,
        *rest: Any,
    ) -> Any:
        if old == new:
            untouched.add((stack_name, logical_id))
        return update_resource(type_name, physical_id, old, new, stack_name, logical_id, *rest)

    def add(
        stack_id: str, stack_name: str, logical_id: str, type_name: str, status: str, *rest: Any, **more: Any
    ) -> None:
        if status == _COMPLETE and (stack_name, logical_id) in untouched:
            untouched.remove((stack_name, logical_id))
            _forget_start(stack_id, logical_id)
        else:
            add_event(stack_id, stack_name, logical_id, type_name, status, *rest, **more)

    stacks._update_resource, stacks._add_event = update, add


def _forget_start(stack_id: str, logical_id: str) -> None:
    events = cloudformation._stack_events[stack_id]
    started = next(
        index
        for index in reversed(range(len(events)))
        if (events[index]["LogicalResourceId"], events[index]["ResourceStatus"]) == (logical_id, _IN_PROGRESS)
    )
    del events[started]
