"""The StackSets actions of the CloudFormation API, for self-managed sets in the caller's account.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services.cloudformation.helpers import _error, _xml

from lab.embedded.handlers import ResourceError, Response
from lab.embedded.query_protocol import parsed, rendered
from lab.embedded.stackset_descriptions import (
    instance_summary,
    operation_summary,
    parameter_list,
    summary,
)
from lab.embedded.stackset_operations import delete_instances, deploy_instances, start
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

Request = Mapping[str, Any]
Answer = dict[str, Any]


def create_stack_set(request: Request) -> Answer:
    check(request)
    return {"StackSetId": new_stack_set(request, template_of(request)).id}


def update_stack_set(request: Request) -> Answer:
    stack_set = _stack_set(request)
    wanted = {**_previous(stack_set), **{name: value for name, value in request.items() if value != ""}}
    wanted["Parameters"] = [
        {"ParameterKey": key, "ParameterValue": value}
        for key, value in parameter_values(request.get("Parameters"), stack_set.parameters).items()
    ]
    if "TemplateURL" in request:
        del wanted["TemplateBody"]
    check(wanted)
    template = template_of(wanted)
    targets = _targets(request) if "Regions" in request else list(stack_set.instances)
    operation = _deploy(stack_set, request, _known(stack_set, targets), "UPDATE", begin=False)
    for name, value in settings(wanted, template).items():
        setattr(stack_set, name, value)
    for target, instance in stack_set.instances.items():
        if target not in operation.results:
            instance.status = "OUTDATED"
    start(stack_set, operation)
    return {"OperationId": operation.id}


def delete_stack_set(request: Request) -> Answer:
    remove_stack_set(_stack_set(request))
    return {}


def describe_stack_set(request: Request) -> Answer:
    stack_set = _stack_set(request)
    return {
        "StackSet": {
            **summary(stack_set),
            "TemplateBody": stack_set.template,
            "Parameters": parameter_list(stack_set.parameters),
            "Capabilities": stack_set.capabilities,
            "Tags": stack_set.tags,
            "StackSetARN": stack_set.arn,
            "AdministrationRoleARN": stack_set.administration_role_arn,
            "ExecutionRoleName": stack_set.execution_role_name,
            "Regions": sorted({region for _, region in stack_set.instances}),
        }
    }


def list_stack_sets(_: Request) -> Answer:
    return {"Summaries": [summary(stack_set) for stack_set in STACK_SETS.values()]}


def create_stack_instances(request: Request) -> Answer:
    stack_set = _stack_set(request)
    overrides = parameter_values(request.get("ParameterOverrides"))
    instances = [
        stack_set.instances.get((account, region)) or Instance(stack_set.id, account, region, overrides)
        for account, region in _targets(request)
    ]
    return {"OperationId": _deploy(stack_set, request, instances, "CREATE").id}


def update_stack_instances(request: Request) -> Answer:
    stack_set = _stack_set(request)
    instances = _known(stack_set, _targets(request))
    if "ParameterOverrides" in request:
        for instance in instances:
            instance.overrides = parameter_values(request["ParameterOverrides"], instance.overrides)
    return {"OperationId": _deploy(stack_set, request, instances, "UPDATE").id}


def delete_stack_instances(request: Request) -> Answer:
    stack_set = _stack_set(request)
    if "RetainStacks" not in request:
        raise StackSetError("ValidationError", "RetainStacks is required")
    known = [target for target in _targets(request) if target in stack_set.instances]
    operation = delete_instances(
        stack_set, _preferences(request), known, retain_stacks=str(request["RetainStacks"]).lower() == "true"
    )
    start(stack_set, operation)
    return {"OperationId": operation.id}


def describe_stack_instance(request: Request) -> Answer:
    target = (str(request.get("StackInstanceAccount", "")), str(request.get("StackInstanceRegion", "")))
    instance = _known(_stack_set(request), [target])[0]
    return {
        "StackInstance": {
            **instance_summary(instance),
            "ParameterOverrides": parameter_list(instance.overrides),
        }
    }


def list_stack_instances(request: Request) -> Answer:
    wanted = {"account": request.get("StackInstanceAccount"), "region": request.get("StackInstanceRegion")}
    return {
        "Summaries": [
            instance_summary(instance)
            for instance in _stack_set(request).instances.values()
            if all(getattr(instance, name) == value for name, value in wanted.items() if value)
        ]
    }


def describe_stack_set_operation(request: Request) -> Answer:
    stack_set = _stack_set(request)
    operation = _operation(stack_set, request)
    return {
        "StackSetOperation": {
            **operation_summary(operation),
            "StackSetId": stack_set.id,
            "OperationPreferences": dict(operation.preferences.document),
            "RetainStacks": operation.retain_stacks,
            "AdministrationRoleARN": stack_set.administration_role_arn,
            "ExecutionRoleName": stack_set.execution_role_name,
        }
    }


def list_stack_set_operations(request: Request) -> Answer:
    operations = reversed(_stack_set(request).operations.values())
    return {"Summaries": [operation_summary(operation) for operation in operations]}


def list_stack_set_operation_results(request: Request) -> Answer:
    operation = _operation(_stack_set(request), request)
    return {
        "Summaries": [
            {
                "Account": account,
                "Region": region,
                "Status": result.status,
                "StatusReason": result.reason or None,
                "AccountGateResult": {"Status": "SKIPPED"},
            }
            for (account, region), result in operation.results.items()
        ]
    }


def stop_stack_set_operation(request: Request) -> Answer:
    operation = _operation(_stack_set(request), request)
    if operation.ended.is_set():
        raise StackSetError("InvalidOperationException", f"Operation {operation.id} is not running")
    operation.status = "STOPPING"
    operation.stop.set()
    return {}


def _stack_set(request: Request) -> StackSet:
    return find_stack_set(str(request.get("StackSetName", "")))


def _operation(stack_set: StackSet, request: Request) -> Operation:
    identifier = str(request.get("OperationId", ""))
    if identifier not in stack_set.operations:
        raise StackSetError("OperationNotFoundException", f"Operation {identifier} not found", 404)
    return stack_set.operations[identifier]


def _preferences(request: Request) -> Preferences:
    return Preferences(request.get("OperationPreferences") or {})


def _targets(request: Request) -> list[Target]:
    named = request.get("Accounts") or (request.get("DeploymentTargets") or {}).get("Accounts")
    return [
        (account, region)
        for region in request.get("Regions") or ()
        for account in named or (get_account_id(),)
    ]


def _known(stack_set: StackSet, targets: list[Target]) -> list[Instance]:
    for account, region in targets:
        if (account, region) not in stack_set.instances:
            raise StackSetError(
                "StackInstanceNotFoundException",
                f"Stack instance {stack_set.id} {account} {region} not found",
                404,
            )
    return [stack_set.instances[target] for target in targets]


def _deploy(
    stack_set: StackSet, request: Request, instances: list[Instance], action: str, *, begin: bool = True
) -> Operation:
    operation = deploy_instances(stack_set, _preferences(request), instances, action=action)
    if begin:
        start(stack_set, operation)
    return operation


def _previous(stack_set: StackSet) -> dict[str, Any]:
    return {
        "TemplateBody": stack_set.template,
        "Description": stack_set.description,
        "Capabilities": stack_set.capabilities,
        "Tags": stack_set.tags,
        "AdministrationRoleARN": stack_set.administration_role_arn,
        "ExecutionRoleName": stack_set.execution_role_name,
        "ManagedExecution": {"Active": stack_set.managed_execution},
    }


def _action(name: str, act: Callable[[Request], Answer]) -> Callable[[Request], Response]:
    def answer(parameters: Request) -> Response:
        try:
            value = act(parsed(parameters))
        except StackSetError as error:
            return _response(_error(error.code, error.message, error.status))
        except ResourceError as error:
            return _response(_error("ValidationError", str(error)))
        return _response(_xml(200, f"{name}Response", f"<{name}Result>{rendered(value)}</{name}Result>"))

    return answer


def _response(value: Any) -> Response:
    response: Response = value
    return response


ACTIONS = {
    name: _action(name, act)
    for name, act in {
        "CreateStackSet": create_stack_set,
        "UpdateStackSet": update_stack_set,
        "DeleteStackSet": delete_stack_set,
        "DescribeStackSet": describe_stack_set,
        "ListStackSets": list_stack_sets,
        "CreateStackInstances": create_stack_instances,
        "UpdateStackInstances": update_stack_instances,
        "DeleteStackInstances": delete_stack_instances,
        "DescribeStackInstance": describe_stack_instance,
        "ListStackInstances": list_stack_instances,
        "DescribeStackSetOperation": describe_stack_set_operation,
        "ListStackSetOperations": list_stack_set_operations,
        "ListStackSetOperationResults": list_stack_set_operation_results,
        "StopStackSetOperation": stop_stack_set_operation,
    }.items()
}
