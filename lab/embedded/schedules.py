"""Schedules: as templates declare them, and as EventBridge Scheduler runs them.

A rate counts from the moment the schedule is made, and begins with it:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
What is started is started by the schedule's role, which the scheduler must be lent, and with a payload that
the role can decrypt; what cannot be started goes into the dead-letter queue, by the same role. Each of these
is something that trying again does not mend, so that nothing is tried twice:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
"""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, lambda_svc, scheduler

from lab.embedded import asynchronous, key_use, metrics, outage, queues, service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response, checked
from lab.embedded.key_use import DECRYPT
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

TYPE = "AWS::Scheduler::Schedule"
_SERVICE = "scheduler.amazonaws.com"
_LOOK_EVERY = 1.0  # seconds, for what is due
_log = logging.getLogger(__name__)


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {"create": _create, "update": _update, "delete": _delete}
    scheduler._create_schedule = _begun(_lent_to(scheduler._create_schedule))
    scheduler._update_schedule = _lent_to(scheduler._update_schedule)
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    scheduler._SCHEDULE_TICK_INTERVAL = plan.scaled(_LOOK_EVERY)
    eventbridge._parse_rate_seconds = scaled(eventbridge._parse_rate_seconds, plan)
    eventbridge._invoke_target = _targeted(eventbridge._invoke_target)


def scaled(inherited: Callable[[str], int | None], plan: LabPlan) -> Callable[[str], float | None]:
    """Rates as they are here."""

    def seconds(expression: str) -> float | None:
        rate = inherited(expression)
        return None if rate is None else plan.scaled(rate)

    return seconds


def _create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = str(properties.get("Name") or f"{stack_name}-{logical_id}")
    checked(scheduler._create_schedule(name, _body(properties)))
    return _created(name, properties)


def _update(physical_id: str, old: Properties, new: Properties, stack_name: str, *_: Any) -> Created:
    """In another group it is another schedule, although CloudFormation calls it an update."""
    if _group(old) != _group(new):
        created = _create(physical_id, {**new, "Name": physical_id}, stack_name)
        _delete(physical_id, old)
        return created
    checked(scheduler._update_schedule(physical_id, _body(new)))
    return _created(physical_id, new)


def _delete(physical_id: str, properties: Properties) -> None:
    """A group takes its schedules with it."""
    status, _, body = scheduler._delete_schedule(physical_id, {"groupName": _group(properties)})
    if status not in (200, 404):
        raise ResourceError(body.decode())


def _created(name: str, properties: Mapping[str, Any]) -> Created:
    return name, {"Arn": scheduler._schedule_arn(_group(properties), name)}


def _group(properties: Mapping[str, Any]) -> str:
    return str(properties.get("GroupName", "default"))


def _body(properties: Properties) -> Properties:
    """A template's words are the API's."""
    return {**properties, "GroupName": _group(properties)}


def _lent_to(inherited: Callable[..., Response]) -> Callable[..., Response]:
    """A schedule is not made with a role that the scheduler may not take on."""

    def make(name: str, body: Properties) -> Response:
        role = str((body.get("Target") or {}).get("RoleArn", ""))
        if role.startswith("arn:") and not service_roles.lent(role, _SERVICE, _asking(_group(body))):
            return _error(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            )
        return inherited(name, body)

    return make


def _error(message: str) -> Response:
    body = json.dumps({"__type": "ValidationException", "Message": message}).encode()
    return 400, {"Content-Type": "application/json", "x-amzn-errortype": "ValidationException"}, body


def _begun(inherited: Callable[..., Response]) -> Callable[..., Response]:
    """A rate begins with its schedule, and one that is made again is another one."""

    def create(name: str, body: Properties) -> Response:
        answer = inherited(name, body)
        if answer[0] < 400:
            key = (get_account_id(), get_region(), f"{_group(body)}/{name}")
            scheduler._schedule_last_fired.pop(key, None)
            if str(body["ScheduleExpression"]).startswith("rate("):
                scheduler._schedule_last_fired[key] = 0.0
        return answer

    return create


def _asking(group: str) -> Mapping[str, str]:
    return {"aws:sourcearn": scheduler._group_arn(group), "aws:sourceaccount": get_account_id()}


def _targeted(inherited: Callable[..., None]) -> Callable[..., None]:
    """MiniStack runs schedules as rules of EventBridge, which act by their own leave."""

    def invoke(target: Properties, event: Any, rule: Properties, *rest: Any, **more: Any) -> None:
        if ":scheduler:" in str(rule.get("Arn")):
            run(rule)
        else:
            inherited(target, event, rule, *rest, **more)

    return invoke


def run(schedule: Properties) -> None:
    """One run, in the schedule's account and region; what would have run in a dead region never does."""
    if outage.is_down(get_region()):
        return
    target = schedule["Target"]
    dimensions = {"ScheduleGroup": str(schedule["GroupName"])}
    metrics.record("AWS/Scheduler", "InvocationAttemptCount", 1, "Count", dimensions)
    problem = _start(schedule, target)
    if problem is None:
        return
    code, message = problem
    metrics.record("AWS/Scheduler", "TargetErrorCount", 1, "Count", dimensions)
    _log.warning("schedule %s: %s: %s", schedule["Arn"], code, message)
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue is None:
        metrics.record("AWS/Scheduler", "InvocationDroppedCount", 1, "Count", dimensions)
        return
    attributes = {
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
        "EXECUTION_ID": new_uuid(),
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SCHEDULE_ARN": str(schedule["Arn"]),
        "TARGET_ARN": str(target["Arn"]),
    }
    lost = _unlent(schedule, target) or queues.send(
        str(target["RoleArn"]), _SERVICE, str(queue), str(target.get("Input") or "{}"), attributes
    )
    sent = (
        "InvocationsSentToDeadLetterCount" if lost is None else "InvocationsFailedToBeSentToDeadLetterCount"
    )
    metrics.record("AWS/Scheduler", sent, 1, "Count", dimensions)
    if lost is not None:
        _log.warning("schedule %s: its dead letter is lost: %s", schedule["Arn"], lost)


def _start(schedule: Properties, target: Properties) -> tuple[str, str] | None:
    """What kept the function from being started: the code and message that the scheduler reports."""
    arn = str(target["Arn"])
    if not re.match(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:", arn):
        return "ValidationException", f"this lab starts functions only, not {arn}"
    refused = _unlent(schedule, target) or _undecrypted(schedule, target)
    refused = refused or service_roles.lacking(
        str(target["RoleArn"]), _SERVICE, [("lambda:InvokeFunction", arn)]
    )
    if refused is not None:
        return "AccessDeniedException", refused
    record, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if record is None or config is None or arn.split(":")[3] != get_region():
        return "ResourceNotFoundException", f"Function not found: {arn}"
    asynchronous.start(
        lambda_svc._execution_record_for_config(record, config), json.loads(target.get("Input") or "{}")
    )
    return None


def _unlent(schedule: Properties, target: Properties) -> str | None:
    role = str(target["RoleArn"])
    if service_roles.lent(role, _SERVICE, _asking(str(schedule["GroupName"]))):
        return None
    return f"{_SERVICE} is not authorized to assume {role}"


def _undecrypted(schedule: Properties, target: Properties) -> str | None:
    key = key_use.ours(schedule.get("KmsKeyArn"))
    if key is None:
        return None
    session = key_use.session(str(target["RoleArn"]), "scheduler")
    context = {"aws:scheduler:schedule:arn": str(schedule["Arn"])}
    found = key_use.obstacle(session, "scheduler", key, [DECRYPT], context)
    return found.message if found else None
