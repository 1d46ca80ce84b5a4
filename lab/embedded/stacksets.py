"""`AWS::CloudFormation::StackSet` and the StackSets API.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stackset.html
Self-managed permissions only, as ours are. The handler updates the set, then deletes, creates and updates
instances, in that order, and waits for each operation; a failed creation is cleaned up unless the stack keeps
failed resources.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import get_account_id
from ministack.services import cloudformation
from ministack.services.cloudformation import helpers, stacks

from lab.embedded import stackset_api, stackset_stacks
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError
from lab.embedded.stackset_operations import delete_instances, deploy_instances, failure, run
from lab.embedded.stackset_state import (
    STACK_SETS,
    Instance,
    Operation,
    Preferences,
    StackSet,
    StackSetError,
    Target,
    find_stack_set,
    new_stack_set,
    parameter_values,
    remove_stack_set,
    settings,
)
from lab.embedded.stackset_template import check, template_of

TYPE = "AWS::CloudFormation::StackSet"


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {
        "create": create,
        "update": update,
        "delete": delete,
        "update_with_logical_id": True,
    }
    cloudformation._ACTION_HANDLERS.update(stackset_api.ACTIONS)
    stackset_stacks.take_templates_from_stack_sets()
    _send_back_failed_updates()
    _name_stack_sets_to_iam()


def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    check(properties)
    owner = (stack_name, logical_id)
    name = str(properties["StackSetName"])
    left: StackSet | None = STACK_SETS.get(name)
    if left is not None and left.abandoned_by == owner:
        _delete_everything(left, properties)
    stack_set = new_stack_set(properties, template_of(properties))
    try:
        _create_instances(stack_set, properties, wanted_instances(stack_set, properties))
    except ResourceError:
        if _keeps_failed_resources(stack_name):
            stack_set.abandoned_by = owner
        else:
            _delete_everything(stack_set, properties)
        raise
    return stack_set.id, {"StackSetId": stack_set.id}


def update(
    physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None
) -> Created:
    check(new)
    stack_set = find_stack_set(physical_id)
    preferences = Preferences(new.get("OperationPreferences") or {})
    changed = settings(new, template_of(new))
    wanted = wanted_instances(stack_set, new)
    kept = [instance for target, instance in stack_set.instances.items() if target in wanted]
    if any(getattr(stack_set, name) != value for name, value in changed.items()):
        for name, value in changed.items():
            setattr(stack_set, name, value)
        _finish(stack_set, deploy_instances(stack_set, preferences, kept, action="UPDATE"))
    _delete_targets(stack_set, preferences, [t for t in stack_set.instances if t not in wanted])
    _create_instances(stack_set, new, {t: item for t, item in wanted.items() if t not in stack_set.instances})
    overridden = [
        instance
        for target, instance in stack_set.instances.items()
        if instance.overrides != wanted[target].overrides or instance.status != "CURRENT"
    ]
    for instance in overridden:
        instance.overrides = wanted[instance.target].overrides
    if overridden:
        _finish(stack_set, deploy_instances(stack_set, preferences, overridden, action="UPDATE"))
    return stack_set.id, {"StackSetId": stack_set.id}


def delete(physical_id: str, properties: Properties) -> None:
    try:
        stack_set = find_stack_set(physical_id)
    except StackSetError:
        return
    _delete_everything(stack_set, properties)


def wanted_instances(stack_set: StackSet, properties: Mapping[str, Any]) -> dict[Target, Instance]:
    """The instances that `StackInstancesGroup` asks for."""
    wanted: dict[Target, Instance] = {}
    for group in properties.get("StackInstancesGroup") or ():
        targets = group.get("DeploymentTargets") or {}
        for region in group["Regions"]:
            for account in targets.get("Accounts") or (get_account_id(),):
                wanted[str(account), region] = Instance(
                    stack_set.id, str(account), region, parameter_values(group.get("ParameterOverrides"))
                )
    return wanted


def _create_instances(
    stack_set: StackSet, properties: Mapping[str, Any], instances: Mapping[Target, Instance]
) -> None:
    if instances:
        preferences = Preferences(properties.get("OperationPreferences") or {})
        _finish(stack_set, deploy_instances(stack_set, preferences, instances.values(), action="CREATE"))


def _delete_targets(stack_set: StackSet, preferences: Preferences, targets: list[Target]) -> None:
    if targets:
        _finish(stack_set, delete_instances(stack_set, preferences, targets, retain_stacks=False))


def _delete_everything(stack_set: StackSet, properties: Mapping[str, Any]) -> None:
    preferences = Preferences(properties.get("OperationPreferences") or {})
    _delete_targets(stack_set, preferences, list(stack_set.instances))
    remove_stack_set(stack_set)


def _finish(stack_set: StackSet, operation: Operation) -> None:
    run(stack_set, operation)
    reason = failure(stack_set, operation)
    if reason is not None:
        raise ResourceError(
            f"Stack set operation [{operation.id}] was unexpectedly stopped or failed: {reason}"
        )


def _keeps_failed_resources(stack_name: str) -> bool:
    stack = cloudformation._stacks.get(stack_name) or {}
    return bool(stack.get("DisableRollback"))


def _send_back_failed_updates() -> None:
    """A rollback brings a StackSet whose own update failed back to its former properties, as any resource."""
    inherited: Callable[[str], bool] = stacks._sends_back_failed_update

    def sends_back(type_name: str) -> bool:
        return type_name == TYPE or inherited(type_name)

    stacks._sends_back_failed_update = sends_back


def _name_stack_sets_to_iam() -> None:
    """Let a policy name a StackSet: MiniStack takes every request about one for a request about anything."""
    inherited: Callable[..., str] = iam_actions.extract_resource_arn

    def resource_arn(
        service: str, method: str, path: str, headers: Any, body: Any, query: Any, region: str, account: str
    ) -> str:
        name = helpers._p(query, "StackSetName") if service == "cloudformation" else ""
        if not name:
            return inherited(service, method, path, headers, body, query, region, account)
        known: StackSet | None = STACK_SETS.get(name.partition(":")[0])
        return known.arn if known else f"arn:aws:cloudformation:{region}:{account}:stackset/{name}:*"

    iam_actions.extract_resource_arn = resource_arn
