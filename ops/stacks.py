"""The deployed stacks of a region, found there by their names: no other region is asked for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable

PATIENT: Final = Config(
    connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}
)
_GONE: Final = frozenset({"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"})
_IDENTITY: Final = "-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class DeployedStack:
    id: str
    name: str
    status: str
    parameters: Mapping[str, str]

    def template(self, client: Any) -> Mapping[str, Any]:
        with unknown_is_unavailable(f"template of {self.name}"):
            answer = client.get_template(StackName=self.id, TemplateStage="Original")
        template: Mapping[str, Any] = answer["TemplateBody"]
        return template


def find_stack(client: Any, name: str) -> DeployedStack | None:
    """None where CloudFormation itself says that there is none."""
    try:
        with unknown_is_unavailable(f"stack {name}"):
            answer = client.describe_stacks(StackName=name)
    except ClientError as error:
        if code(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return _stack(answer["Stacks"][0])


def find_instance(client: Any, stack_set: str) -> DeployedStack | None:
    """The stack of a StackSet's instance, whose name AWS ends with an identity of its own."""
    named = re.compile(f"StackSet-{re.escape(stack_set)}{_IDENTITY}")
    with unknown_is_unavailable(f"stacks of {stack_set}"):
        pages = client.get_paginator("describe_stacks").paginate()
        described = [
            stack for page in pages for stack in page["Stacks"] if named.fullmatch(stack["StackName"])
        ]
    found = [stack for one in described if (stack := _stack(one)) is not None]
    return found[0] if found else None


def _stack(described: Mapping[str, Any]) -> DeployedStack | None:
    if described["StackStatus"] in _GONE:
        return None
    parameters = {
        one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", ())
    }
    return DeployedStack(described["StackId"], described["StackName"], described["StackStatus"], parameters)
