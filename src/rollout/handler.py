"""The custom resources of `root`, by type."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from adapters.custom_resource import Act, Failed, LambdaContext, Request, answer
from rollout.control_record import control_record
from rollout.published_code import published_code
from rollout.stack_set_outputs import stack_set_outputs
from rollout.stack_set_roles import stack_set_roles

logging.getLogger().setLevel(logging.INFO)

_ACTS: Final[dict[str, Act]] = {
    "Custom::StackSetRoles": stack_set_roles,
    "Custom::PublishedCode": published_code,
    "Custom::StackSetOutputs": stack_set_outputs,
    "Custom::ControlRecord": control_record,
}


def handle(event: Mapping[str, Any], context: LambdaContext) -> None:
    answer(event, context, act)


def act(request: Request) -> Mapping[str, str]:
    """Deleting any of them takes nothing back: roles go with the stack, code and control record are kept."""
    if request.action == "Delete":
        return {}
    chosen = _ACTS.get(request.resource_type)
    if chosen is None:
        raise Failed(f"{request.resource_type} is not a type this function knows")
    return chosen(request)
