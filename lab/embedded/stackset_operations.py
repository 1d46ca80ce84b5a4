"""One operation of a StackSet: the regions in order, within what may fail, with a result for each instance.

"If the operation is stopped in a Region, CloudFormation doesn't attempt the operation in any subsequent
Regions":
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSetOperationPreferences.html
"""

import contextvars
import logging
import threading
from collections.abc import Iterable
from functools import partial

from ministack.core.concurrency import spawn_background
from ministack.core.responses import now_iso

from lab.embedded import stackset_stacks
from lab.embedded.handlers import ResourceError
from lab.embedded.stackset_roles import missing_trust
from lab.embedded.stackset_stacks import StackFailedError
from lab.embedded.stackset_state import (
    Instance,
    Operation,
    Preferences,
    Result,
    StackSet,
    Target,
    operation_in_progress,
)

_log = logging.getLogger("lab.embedded.stacksets")
_STOPPED_BY_FAILURE = "Cancelled since failure tolerance has exceeded"
_STOPPED_BY_USER = "Cancelled by user"


def deploy_instances(
    stack_set: StackSet, preferences: Preferences, instances: Iterable[Instance], *, action: str
) -> Operation:
    """Create or update the stacks of `instances`; the caller starts it with `run` or `start`."""
    targets = list(instances)
    for instance in targets:
        stack_set.instances[instance.target] = instance
    return _planned(stack_set, Operation(action, preferences), targets)


def delete_instances(
    stack_set: StackSet, preferences: Preferences, targets: Iterable[Target], *, retain_stacks: bool
) -> Operation:
    operation = Operation("DELETE", preferences, retain_stacks=retain_stacks)
    return _planned(stack_set, operation, [stack_set.instances[target] for target in targets])


def _planned(stack_set: StackSet, operation: Operation, instances: list[Instance]) -> Operation:
    if stack_set.running is not None and not stack_set.managed_execution:
        raise operation_in_progress(stack_set)
    stack_set.operations[operation.id] = operation
    for instance in instances:
        instance.status, instance.detailed_status, instance.reason = "OUTDATED", "PENDING", ""
        instance.last_operation = operation.id
        operation.results[instance.target] = Result()
    return operation


def start(stack_set: StackSet, operation: Operation) -> None:
    spawn_background(run, stack_set, operation, thread_name=f"stack-set-{stack_set.name}")


def run(stack_set: StackSet, operation: Operation) -> None:
    """Returns when every result is in. A managed set queues what comes while another operation runs."""
    try:
        with stack_set.turn:
            operation.status = "RUNNING"
            _run_regions(stack_set, operation)
            if operation.stop.is_set():
                operation.status = "STOPPED"
            elif any(result.status == "CANCELLED" for result in operation.results.values()) or _too_many(
                operation
            ):
                operation.status = "FAILED"
            else:
                operation.status = "SUCCEEDED"
    finally:
        operation.ended_at = now_iso()
        operation.ended.set()


def failure(stack_set: StackSet, operation: Operation) -> str | None:
    """Why `operation` failed: region, stack and resource of the first result that did; None when it
    succeeded.
    """
    if operation.status == "SUCCEEDED":
        return None
    failed = [(result.order, target, result.reason) for target, result in operation.results.items()]
    for _, (account, region), reason in sorted(failed):
        if operation.results[account, region].status == "FAILED":
            instance = stack_set.instances.get((account, region))
            stack = instance.stack_name if instance and instance.stack_name else "not created"
            return f"account {account}, region {region}, stack {stack}: {reason}"
    return operation.reason or f"the operation is {operation.status}"


def _too_many(operation: Operation) -> bool:
    return any(
        _failures(operation, region) > operation.preferences.tolerated_failures(len(accounts))
        for region, accounts in _accounts_by_region(operation).items()
    )


def _failures(operation: Operation, region: str) -> int:
    return sum(
        result.status == "FAILED" and target[1] == region for target, result in operation.results.items()
    )


def _accounts_by_region(operation: Operation) -> dict[str, list[str]]:
    regions: dict[str, list[str]] = {}
    for account, region in operation.results:
        regions.setdefault(region, []).append(account)
    return {region: regions[region] for region in operation.preferences.ordered(regions)}


def _run_regions(stack_set: StackSet, operation: Operation) -> None:
    lanes = [
        partial(_run_region, stack_set, operation, region, accounts)
        for region, accounts in _accounts_by_region(operation).items()
    ]
    if operation.preferences.parallel_regions:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return
    for lane in lanes:
        if not lane():
            break
    _cancel_the_rest(stack_set, operation)


def _run_region(stack_set: StackSet, operation: Operation, region: str, accounts: list[str]) -> bool:
    """Whether later regions may go on."""
    for account in accounts:
        if operation.stop.is_set():
            break
        instance = stack_set.instances[account, region]
        _run_instance(stack_set, operation, instance)
        if _failures(operation, region) > operation.preferences.tolerated_failures(len(accounts)):
            _cancel_the_rest(stack_set, operation, region)
            return False
    return not operation.stop.is_set()


def _run_instance(stack_set: StackSet, operation: Operation, instance: Instance) -> None:
    result = operation.results[instance.target]
    result.order = 1 + max((other.order for other in operation.results.values()), default=0)
    result.status = instance.detailed_status = "RUNNING"
    try:
        refusal = missing_trust(stack_set, instance.account)
        if refusal is not None:
            raise StackFailedError(refusal)
        if operation.action != "DELETE":
            stackset_stacks.deploy(stack_set, instance)
        elif not operation.retain_stacks:
            stackset_stacks.delete(instance)
    except (StackFailedError, ResourceError) as error:
        result.status, result.reason = "FAILED", str(error)
        # AWS says of INOPERABLE that a delete "has failed and left the stack in an unstable state".
        instance.status = "INOPERABLE" if operation.action == "DELETE" else "OUTDATED"
        instance.detailed_status, instance.reason = "FAILED", str(error)
        _log.warning("%s of %s in %s: %s", operation.action, stack_set.name, instance.region, error)
        return
    except Exception as error:
        result.status, result.reason = "FAILED", repr(error)
        instance.detailed_status, instance.reason = "FAILED", repr(error)
        raise
    result.status = instance.detailed_status = "SUCCEEDED"
    instance.status = "CURRENT"
    if operation.action == "DELETE":
        del stack_set.instances[instance.target]


def _cancel_the_rest(stack_set: StackSet, operation: Operation, region: str | None = None) -> None:
    reason = _STOPPED_BY_USER if operation.stop.is_set() else _STOPPED_BY_FAILURE
    for target, result in operation.results.items():
        if result.status == "PENDING" and region in (None, target[1]):
            result.status, result.reason = "CANCELLED", reason
            instance = stack_set.instances[target]
            instance.detailed_status, instance.reason = "CANCELLED", reason
