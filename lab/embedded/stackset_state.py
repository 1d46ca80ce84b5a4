"""StackSets as the service keeps them: sets, their instances, their operations.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-concepts.html
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, new_uuid, now_iso

from lab.embedded.handlers import ResourceError

Target = tuple[str, str]
"""Account and region of an instance."""

STACK_SETS = AccountRegionScopedDict()
"""Name -> StackSet, in the account and region that administer it."""


class StackSetError(ResourceError):
    """What the API answers instead of doing what was asked: a code and a message of AWS's."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{message} ({code})")
        self.code, self.message, self.status = code, message, status


@dataclass(slots=True)
class Instance:
    """One stack of a set; `status` and `detailed_status` are AWS's words."""

    stack_set_id: str
    account: str
    region: str
    overrides: dict[str, str]
    stack_id: str | None = None
    status: str = "OUTDATED"
    detailed_status: str = "PENDING"
    reason: str = ""
    last_operation: str = ""

    @property
    def target(self) -> Target:
        return self.account, self.region

    @property
    def stack_name(self) -> str | None:
        return None if self.stack_id is None else self.stack_id.split("/")[1]


@dataclass(slots=True)
class Result:
    """What an operation did in one account and region."""

    status: str = "PENDING"
    reason: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True)
class Preferences:
    """`OperationPreferences`: in which order, how many at once, and how much may fail."""

    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parallel_regions(self) -> bool:
        return bool(self.document.get("RegionConcurrencyType") == "PARALLEL")

    def ordered(self, regions: Iterable[str]) -> list[str]:
        """`RegionOrder` first, the others as they were given."""
        wanted = list(dict.fromkeys(regions))
        first = [region for region in self.document.get("RegionOrder") or () if region in wanted]
        return first + [region for region in wanted if region not in first]

    def tolerated_failures(self, accounts: int) -> int:
        """How many accounts may fail in a region before the operation stops there and in every later one."""
        if "FailureTolerancePercentage" in self.document:
            return accounts * int(self.document["FailureTolerancePercentage"]) // 100
        return int(self.document.get("FailureToleranceCount", 0))


@dataclass(slots=True)
class Operation:
    action: str
    preferences: Preferences
    retain_stacks: bool | None = None
    id: str = field(default_factory=new_uuid)
    status: str = "QUEUED"
    reason: str = ""
    created_at: str = field(default_factory=now_iso)
    ended_at: str | None = None
    results: dict[Target, Result] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class StackSet:
    name: str
    id: str
    arn: str
    description: str
    template: str
    parameters: dict[str, str]
    capabilities: list[str]
    tags: list[dict[str, str]]
    administration_role_arn: str
    execution_role_name: str
    managed_execution: bool
    abandoned_by: tuple[str, str] | None = None
    """The stack and resource whose creation failed; the next attempt replaces what it left."""
    instances: dict[Target, Instance] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the operation that is running; the others queue."""

    @property
    def running(self) -> Operation | None:
        unfinished = (operation for operation in self.operations.values() if not operation.ended.is_set())
        return next(unfinished, None)


def new_stack_set(properties: Mapping[str, Any], template: str) -> StackSet:
    """A set with the properties of the resource or the request, kept under its name."""
    name = str(properties["StackSetName"])
    if name in STACK_SETS:
        raise StackSetError(
            "NameAlreadyExistsException", f"The Name '{name}' for stack set already exists", 409
        )
    identifier = f"{name}:{new_uuid()}"
    stack_set = StackSet(
        name=name,
        id=identifier,
        arn=f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stackset/{identifier}",
        **settings(properties, template),
    )
    STACK_SETS[name] = stack_set
    return stack_set


def settings(properties: Mapping[str, Any], template: str) -> dict[str, Any]:
    """What both CreateStackSet and UpdateStackSet set."""
    role = "AWSCloudFormationStackSetAdministrationRole"
    return {
        "description": str(properties.get("Description", "")),
        "template": template,
        "parameters": parameter_values(properties.get("Parameters")),
        "capabilities": [str(item) for item in properties.get("Capabilities") or ()],
        "tags": [dict(tag) for tag in properties.get("Tags") or () if not tag["Key"].startswith("aws:")],
        "administration_role_arn": str(
            properties.get("AdministrationRoleARN") or f"arn:aws:iam::{get_account_id()}:role/{role}"
        ),
        "execution_role_name": str(
            properties.get("ExecutionRoleName") or "AWSCloudFormationStackSetExecutionRole"
        ),
        "managed_execution": str((properties.get("ManagedExecution") or {}).get("Active")).lower() == "true",
    }


def parameter_values(parameters: object, previous: Mapping[str, str] | None = None) -> dict[str, str]:
    """`Parameters` or `ParameterOverrides` as a mapping; `UsePreviousValue` takes from `previous`."""
    values: dict[str, str] = {}
    for parameter in parameters if isinstance(parameters, list) else ():
        key = str(parameter["ParameterKey"])
        if str(parameter.get("UsePreviousValue")).lower() == "true":
            if previous and key in previous:
                values[key] = previous[key]
        else:
            values[key] = str(parameter.get("ParameterValue", ""))
    return values


def find_stack_set(name_or_id: str) -> StackSet:
    name = name_or_id.partition(":")[0]
    found: StackSet | None = STACK_SETS.get(name)
    if found is None or name_or_id not in (found.name, found.id):
        raise StackSetError("StackSetNotFoundException", f"StackSet {name_or_id} not found", 404)
    return found


def remove_stack_set(stack_set: StackSet) -> None:
    if stack_set.instances:
        raise StackSetError("StackSetNotEmptyException", "StackSet is not empty", 409)
    if stack_set.running is not None:
        raise operation_in_progress(stack_set)
    del STACK_SETS[stack_set.name]


def operation_in_progress(stack_set: StackSet) -> StackSetError:
    running = stack_set.running
    return StackSetError(
        "OperationInProgressException",
        f"Another Operation on StackSet {stack_set.arn} is in progress: {running.id if running else ''}",
        409,
    )
