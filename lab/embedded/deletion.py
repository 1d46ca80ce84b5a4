"""A stack's deletion stops below what it could not delete, as CloudFormation's does.

MiniStack goes on: a database that refuses to go would lose its tables, keys and network all the same.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html#troubleshooting-errors-delete-stack-fails
"""

from collections.abc import Callable
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from lab.embedded.handlers import Handlers, Properties, ResourceError


def register(_: Handlers) -> None:
    inherited: Callable[..., None] = stacks._delete_resource

    def delete(
        type_name: str,
        physical_id: str,
        properties: Properties,
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> None:
        stack = cloudformation._stacks.get(stack_name) or {}
        if logical_id and stack.get("StackStatus") == "DELETE_IN_PROGRESS":
            needed_by = undeleted_dependents(stack, logical_id)
            if needed_by:
                raise ResourceError(f"not deleted: {', '.join(needed_by)} needs it and failed to delete")
        inherited(type_name, physical_id, properties, stack_name, logical_id)

    stacks._delete_resource = delete


def undeleted_dependents(stack: dict[str, Any], logical_id: str) -> list[str]:
    """The resources that failed to delete and depend on `logical_id`, directly or through others."""
    resources = stack.get("_resources", {})
    definitions = (stack.get("_template") or {}).get("Resources", {})
    failed = [name for name, record in resources.items() if record.get("ResourceStatus") == "DELETE_FAILED"]
    return sorted(
        name
        for name in failed
        if name != logical_id and logical_id in stacks._with_dependencies([name], definitions, set(resources))
    )
