"""How the StackSets API describes sets, instances and operations."""

from collections.abc import Mapping
from typing import Any

from lab.embedded.stackset_state import Instance, Operation, StackSet

Answer = dict[str, Any]


def parameter_list(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def summary(stack_set: StackSet) -> Answer:
    return {
        "StackSetName": stack_set.name,
        "StackSetId": stack_set.id,
        "Description": stack_set.description,
        "Status": "ACTIVE",
        "PermissionModel": "SELF_MANAGED",
        "ManagedExecution": {"Active": stack_set.managed_execution},
    }


def instance_summary(instance: Instance) -> Answer:
    return {
        "StackSetId": instance.stack_set_id,
        "Region": instance.region,
        "Account": instance.account,
        "StackId": instance.stack_id,
        "Status": instance.status,
        "StatusReason": instance.reason or None,
        "StackInstanceStatus": {"DetailedStatus": instance.detailed_status},
        "DriftStatus": "NOT_CHECKED",
        "LastOperationId": instance.last_operation,
    }


def operation_summary(operation: Operation) -> Answer:
    failed = sum(result.status == "FAILED" for result in operation.results.values())
    return {
        "OperationId": operation.id,
        "Action": operation.action,
        "Status": operation.status,
        "CreationTimestamp": operation.created_at,
        "EndTimestamp": operation.ended_at,
        "StatusDetails": {"FailedStackInstancesCount": failed},
    }
