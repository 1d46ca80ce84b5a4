"""Application Recovery Controller's Region switch: the resource type and the API that runs plans.

The API's control plane is in us-east-1; its data plane is in every region, where it knows the plans of that
region and runs them: https://docs.aws.amazon.com/arc-region-switch/latest/api/API_Operations.html
A plan is run by the region it activates. Of the blocks there are those for functions and for Aurora.
"""

import asyncio
import contextvars
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response
from lab.embedded.region_switch_evaluation import warnings
from lab.embedded.region_switch_state import Execution, Plan, Refused, new_arn
from lab.embedded.region_switch_steps import BLOCKS, go_on, run
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

TYPE = "AWS::ARCRegionSwitch::Plan"
SERVICE = "arc-region-switch"
_CONTROL_PLANE_REGION = "us-east-1"
_UNCHANGING = ("name", "regions", "primaryRegion", "recoveryApproach")


def register(handlers: Handlers) -> None:
    switch = RegionSwitch(read_plan(Path(os.environ[PLAN_VARIABLE])))
    handlers[TYPE] = {"create": switch.create, "update": switch.update, "delete": switch.delete}
    app.SERVICE_HANDLERS[SERVICE] = switch.handle
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    iam_actions.extract_resource_arn = _naming_plans(iam_actions.extract_resource_arn)


class RegionSwitch:
    def __init__(self, lab: LabPlan) -> None:
        self._lab = lab
        self._plans: dict[str, Plan] = {}
        self._executions: dict[str, Execution] = {}
        self._starting = threading.Lock()

    # --- the resource ---

    def create(self, _logical_id: str, properties: Properties, _stack_name: str) -> Created:
        try:
            plan = self._created(_api_words(properties))
        except Refused as refusal:
            raise ResourceError(f"{refusal} ({refusal.code})") from refusal
        return plan.arn, _attributes(plan)

    def update(
        self, physical_id: str, _old: Properties, new: Properties, _stack_name: str, *_: Any
    ) -> Created:
        plan = self._plans[physical_id]
        words = _api_words(new)
        _require_blocks(words)
        plan.change({name: value for name, value in words.items() if name not in _UNCHANGING})
        return physical_id, _attributes(plan)

    def delete(self, physical_id: str, _properties: Properties) -> None:
        if physical_id not in self._plans:
            return
        try:
            self.delete_plan({"arn": physical_id})
        except Refused as refusal:
            raise ResourceError(f"{refusal} ({refusal.code})") from refusal

    # --- the API ---

    async def handle(
        self, _method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Any
    ) -> Response:
        name = headers.get("x-amz-target", "").partition(".")[2]
        in_control_plane, act = self._actions().get(name, (False, None))
        try:
            if act is None:
                raise Refused("UnknownOperationException", f"This lab has no {name or 'such operation'}.")
            if in_control_plane and get_region() != _CONTROL_PLANE_REGION:
                raise Refused("AccessDeniedException", f"{name} is answered in {_CONTROL_PLANE_REGION} only.")
            # An evaluation asks this server, which would otherwise wait for itself.
            return _answer(200, await asyncio.to_thread(act, json.loads(body or b"{}")))
        except Refused as refusal:
            return _answer(400, {"__type": refusal.code, "message": str(refusal)})

    def _actions(self) -> dict[str, tuple[bool, Callable[[Properties], Properties]]]:
        return {
            "CreatePlan": (True, lambda asked: {"plan": self._created(asked).described()}),
            "GetPlan": (True, lambda asked: {"plan": self._plan(asked["arn"]).described()}),
            "DeletePlan": (True, self.delete_plan),
            "ListPlans": (True, lambda _: {"plans": [plan.summary() for plan in self._plans.values()]}),
            "ListTagsForResource": (True, lambda asked: {"resourceTags": self._tags(asked["arn"])}),
            "GetPlanInRegion": (False, lambda asked: {"plan": self._here(asked["arn"]).described()}),
            "ListPlansInRegion": (False, self.list_plans_in_region),
            "StartPlanExecution": (False, self.start),
            "CancelPlanExecution": (False, self.cancel),
            "GetPlanEvaluationStatus": (False, lambda asked: self._evaluated(self._here(asked["planArn"]))),
            "UpdatePlanExecution": (False, self.update_execution),
            "UpdatePlanExecutionStep": (False, self.update_step),
            "GetPlanExecution": (False, lambda asked: self._execution(asked).described()),
            "ListPlanExecutions": (False, self.list_executions),
            "ListPlanExecutionEvents": (False, self.list_events),
        }

    def delete_plan(self, asked: Properties) -> Properties:
        plan = self._plan(asked["arn"])
        if any(one.plan_arn == plan.arn and not one.finished for one in self._executions.values()):
            raise Refused("IllegalStateException", f"The plan {plan.arn} is being executed.")
        del self._plans[plan.arn]
        return {}

    def list_plans_in_region(self, _asked: Properties) -> Properties:
        plans = [plan for plan in self._plans.values() if get_region() in plan.regions]
        return {"plans": [{**plan.summary(), **self._active(plan)} for plan in plans]}

    def start(self, asked: Properties) -> Properties:
        """https://docs.aws.amazon.com/arc-region-switch/latest/api/API_StartPlanExecution.html"""
        plan, region, action = self._here(asked["planArn"]), str(asked["targetRegion"]), str(asked["action"])
        if region not in plan.regions:
            raise Refused("IllegalArgumentException", f"{region} is no Region of the plan {plan.arn}.")
        if action == "activate" and region != get_region():
            raise Refused("IllegalArgumentException", f"{region} is activated from {region} only.")
        workflow = plan.workflow(action, region)
        if workflow is None:
            raise Refused("IllegalArgumentException", f"The plan has no workflow to {action} {region}.")
        token = asked.get("clientToken")
        with self._starting:
            known = [one for one in self._of(plan) if token and one.token == token]
            unfinished = [one.id for one in self._of(plan) if not one.finished]
            if unfinished and not known:
                raise Refused("IllegalStateException", f"The execution {unfinished[0]} is in progress.")
            execution = known[0] if known else self._begun(plan, workflow, asked)
        other = next(one for one in plan.regions if one != region)
        first, second = (region, other) if action == "activate" else (other, region)
        return {
            "executionId": execution.id,
            "plan": plan.arn,
            "planVersion": str(execution.version),
            "activateRegion": first,
            "deactivateRegion": second,
        }

    def cancel(self, asked: Properties) -> Properties:
        """At once where it is paused; else when the call under way has ended, and its step with it."""
        execution = self._execution(asked)
        if execution.state == "pausedByFailedStep":
            execution.come_to("canceled", "executionCanceled")
        elif not execution.finished:
            execution.tell("executionCanceling")
            execution.cancelled.set()
        return {}

    def update_execution(self, asked: Properties) -> Properties:
        """https://docs.aws.amazon.com/arc-region-switch/latest/api/API_UpdatePlanExecution.html"""
        execution = self._execution(asked)
        if asked["action"] != "switchToUngraceful":
            raise Refused("IllegalStateException", f"This lab cannot {asked['action']} an execution.")
        if execution.finished or execution.mode == "ungraceful":
            what = f"{execution.state}, {execution.mode}"
            raise Refused("IllegalStateException", f"The execution {execution.id} is {what}.")
        execution.switch_to_ungraceful()
        return {}

    def update_step(self, asked: Properties) -> Properties:
        """A step that runs is told; one that failed is tried again.

        https://docs.aws.amazon.com/arc-region-switch/latest/api/API_UpdatePlanExecutionStep.html
        """
        execution, name = self._execution(asked), str(asked["stepName"])
        step = execution.steps.get(name)
        if asked["actionToTake"] != "switchToUngraceful":
            raise Refused("AccessDeniedException", f"This lab cannot {asked['actionToTake']} a step.")
        runs = step is not None and (step.status, execution.state) == ("running", "inProgress")
        failed = step is not None and (step.status, execution.state) == ("failed", "pausedByFailedStep")
        if not runs and not failed:
            raise Refused("ResourceNotFoundException", f"The step {name} neither runs nor failed.")
        execution.switch_step_to_ungraceful(name)
        if failed:
            execution.state = "inProgress"
            workflow = self._plans[execution.plan_arn].workflow(execution.action, execution.region)
            steps = list((workflow or {}).get("steps", ()))
            left = [one["name"] for one in steps].index(name)
            self._spawn(go_on, execution, steps[left:])
        return {}

    def list_executions(self, asked: Properties) -> Properties:
        """The newest first."""
        found = [one.summary() for one in self._of(self._here(asked["planArn"]))]
        wanted = asked.get("state")
        items = [one for one in found if wanted in (None, one["executionState"])]
        return {"items": items[::-1][: int(asked.get("maxResults", 100))]}

    def list_events(self, asked: Properties) -> Properties:
        events = self._execution(asked).events
        wanted = asked.get("name")
        return {"items": [one for one in events if wanted in (None, one.get("stepName"))]}

    def _created(self, document: Properties) -> Plan:
        _require_blocks(document)
        account = get_account_id()
        if any(plan.document["name"] == document["name"] for plan in self._plans.values()):
            raise Refused("ConflictException", f"There is a plan of the name {document['name']}.")
        plan = Plan(new_arn(account, document["name"]), account, dict(document))
        self._plans[plan.arn] = plan
        return plan

    def _begun(self, plan: Plan, workflow: Properties, asked: Properties) -> Execution:
        execution = Execution(
            plan=plan.described(),
            plan_arn=plan.arn,
            version=plan.version,
            region=get_region(),
            action=asked["action"],
            mode=asked.get("mode", "graceful"),
            comment=asked.get("comment", ""),
            token=asked.get("clientToken"),
        )
        self._executions[execution.id] = execution
        self._spawn(run, execution, list(workflow.get("steps", ())))
        return execution

    def _spawn(self, act: Callable[..., None], execution: Execution, steps: list[Properties]) -> None:
        role = str(self._plans[execution.plan_arn].document["executionRole"])
        runs = contextvars.copy_context().run
        threading.Thread(target=runs, args=(act, execution, steps, role, self._lab), daemon=True).start()

    def _plan(self, arn: str) -> Plan:
        try:
            return self._plans[arn]
        except KeyError:
            raise Refused("ResourceNotFoundException", f"There is no plan {arn}.") from None

    def _here(self, arn: str) -> Plan:
        """The data plane of a region knows the plans of that region."""
        plan = self._plan(arn)
        if get_region() not in plan.regions:
            raise Refused("ResourceNotFoundException", f"There is no plan {arn} in {get_region()}.")
        return plan

    def _evaluated(self, plan: Plan) -> Properties:
        """What it would find if it evaluated the plan just now; on AWS it does so several times an hour.

        https://docs.aws.amazon.com/r53recovery/latest/dg/working-with-rs-plan-evaluation.html
        """
        region, now = get_region(), time.time()
        workflow = plan.workflow("activate", region) or {}
        endpoint = self._lab.regions[region].proxy_url
        found = warnings(
            plan.arn, region, workflow.get("steps", ()), plan.document["executionRole"], endpoint
        )
        about = {"workflow": {"action": "activate", "name": region}, "version": str(plan.version)}
        return {
            "planArn": plan.arn,
            "region": region,
            "lastEvaluationTime": now,
            "lastEvaluatedVersion": str(plan.version),
            "evaluationState": "actionRequired" if found else "passed",
            "warnings": [
                {**about, **one, "warningStatus": "active", "warningUpdatedTime": now} for one in found
            ],
        }

    def _tags(self, arn: str) -> Properties:
        return dict(self._plan(arn).document.get("tags", {}))

    def _of(self, plan: Plan) -> list[Execution]:
        """Those of this region, in the order in which they were started."""
        region = get_region()
        return [one for one in self._executions.values() if (one.plan_arn, one.region) == (plan.arn, region)]

    def _active(self, plan: Plan) -> Properties:
        unfinished = [one.id for one in self._of(plan) if not one.finished]
        return {"activePlanExecution": unfinished[0]} if unfinished else {}

    def _execution(self, asked: Properties) -> Execution:
        for execution in self._of(self._here(asked["planArn"])):
            if execution.id == asked["executionId"]:
                return execution
        raise Refused("ResourceNotFoundException", f"There is no execution {asked['executionId']}.")


def _require_blocks(document: Properties) -> None:
    """What the lab cannot run it does not promise to."""
    for workflow in document["workflows"]:
        for step in workflow.get("steps", ()):
            kind = step["executionBlockType"]
            if kind not in BLOCKS:
                raise Refused("IllegalArgumentException", f"This lab cannot run a block of type {kind}.")
            if BLOCKS[kind][0] not in step["executionBlockConfiguration"]:
                raise Refused("IllegalArgumentException", f"The step {step['name']} is not configured.")


def _attributes(plan: Plan) -> Properties:
    return {"Arn": plan.arn, "Owner": plan.account, "Version": str(plan.version)}


def _api_words(value: Any, *, tags: bool = False) -> Any:
    """A template's words begin with a capital; the keys of tags are nobody's words."""
    if isinstance(value, list):
        return [_api_words(one) for one in value]
    if isinstance(value, dict) and not tags:
        return {
            name[0].lower() + name[1:]: _api_words(one, tags=name == "Tags") for name, one in value.items()
        }
    return value


def _answer(status: int, body: Properties) -> Response:
    kind = {"x-amzn-errortype": str(body["__type"])} if status >= 400 else {}
    return status, {"Content-Type": "application/x-amz-json-1.0", **kind}, json.dumps(body).encode()


def _naming_plans(inherited: Callable[..., str]) -> Callable[..., str]:
    """What a request is checked against: MiniStack does not know the service."""

    def resource_arn(service: str, *request: Any) -> str:
        if service != SERVICE:
            return inherited(service, *request)
        _method, _path, _headers, body, *_ = request
        asked = json.loads(body or b"{}")
        return str(asked.get("planArn") or asked.get("arn") or "*")

    return resource_arn
