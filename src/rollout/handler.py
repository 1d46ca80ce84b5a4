"""The custom resources of `root`, by type."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from adapters.custom_resource import Act, Failed, LambdaContext, Request, answer
from rollout.control_record import control_record
from rollout.emptied_buckets import emptied_buckets
from rollout.published_code import published_code
from rollout.stack_set_outputs import stack_set_outputs
from rollout.stack_set_roles import stack_set_roles

logging.getLogger().setLevel(logging.INFO)

_ACTS: Final[dict[str, Act]] = {
    "Custom::StackSetRoles": stack_set_roles,
    "Custom::PublishedCode": published_code,
    "Custom::StackSetOutputs": stack_set_outputs,
    "Custom::ControlRecord": control_record,
    "Custom::EmptiedBuckets": emptied_buckets,
}
_ACTS_ON_DELETE: Final = frozenset({"Custom::EmptiedBuckets"})


def handle(event: Mapping[str, Any], context: LambdaContext) -> None:
    answer(event, context, act)


def act(request: Request) -> Mapping[str, str]:
    """Deleting the others takes nothing back: roles go with the stack, code and control record are kept."""
    if request.action == "Delete" and request.resource_type not in _ACTS_ON_DELETE:
        return {}
    chosen = _ACTS.get(request.resource_type)
    if chosen is None:
        raise Failed(f"{request.resource_type} is not a type this function knows")
    return chosen(request)
