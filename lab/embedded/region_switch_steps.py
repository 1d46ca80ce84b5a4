"""What an execution does: the steps of its workflow one after the other, with the plan's execution role.

Every call goes to the endpoint of the region that is activated, signed with a session of the role: IAM
decides, and whatever is wrong with that region is wrong here.
https://docs.aws.amazon.com/r53recovery/latest/dg/custom-action-lambda-block.html
https://docs.aws.amazon.com/r53recovery/latest/dg/aurora-global-database-block.html
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from ministack.services import iam, sts

from lab.embedded import outage, service_roles
from lab.embedded.handlers import Properties
from lab.embedded.region_switch_state import Execution
from lab.plan import LabPlan

SERVICE = "arc-region-switch.amazonaws.com"
_MINUTE = 60.0
_DEFAULT_MINUTES = 60
_LOOK_EVERY = 0.5  # seconds between two looks at the global cluster
_LONGEST_INVOCATION = 910  # seconds; Lambda allows 900


class StepFailed(Exception):  # noqa: N818 - what happened
    """Why, for the execution's events."""


class Cancelled(Exception):  # noqa: N818 - what happened
    """Somebody cancelled the execution."""


@dataclass(frozen=True, slots=True)
class Block:
    """One step's block under way; `config` is its configuration in the API's words."""

    execution: Execution
    step: str
    config: Properties
    client: Callable[[str], Any]
    time_scale: float = 1.0

    @property
    def ungraceful(self) -> bool:
        """Now: somebody may switch the step while it runs."""
        return self.execution.steps[self.step].mode == "ungraceful"

    def deadline(self) -> float:
        return time.monotonic() + _MINUTE * float(self.config.get("timeoutMinutes", _DEFAULT_MINUTES))

    def pause(self, seconds: float, deadline: float, why: str) -> None:
        """Raises Cancelled, and StepFailed with `why` once the deadline would pass meanwhile."""
        left = deadline - time.monotonic()
        if self.execution.cancelled.wait(max(0.0, min(seconds, left))):
            raise Cancelled
        if seconds >= left:
            raise StepFailed(f"timed out: {why}")

    def ask(self, call: Callable[..., Any], **request: Any) -> Any:
        """An execution stands still with its region, and goes on with it."""
        while True:
            outage.stand_still(self.execution.region)
            try:
                return call(**request)
            except BotoCoreError:
                if not outage.is_down(self.execution.region):
                    raise


def clients(execution: Execution, role_arn: str, endpoint_url: str) -> Callable[[str], Any]:
    """Of AWS in the region that is activated. Raises StepFailed when the role may not be assumed."""
    credentials = _session(execution, role_arn)
    config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=_LONGEST_INVOCATION)

    def client(service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service, region_name=execution.region, endpoint_url=endpoint_url, config=config, **credentials
        )

    return client


def _session(execution: Execution, role_arn: str) -> Properties:
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    context = {"aws:sourceaccount": account, "aws:sourcearn": execution.plan_arn}
    if role is None or not service_roles.trusts(role, SERVICE, context):
        raise StepFailed(f"Region switch cannot assume the execution role {role_arn}")
    key = f"ASIA{hashlib.sha256(execution.id.encode()).hexdigest()[:16].upper()}"
    secret, token = secrets.token_hex(20), secrets.token_hex(32)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{execution.id}",
            "UserId": f"{name}:{execution.id}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}


def run(execution: Execution, steps: list[Properties], role_arn: str, lab: LabPlan) -> None:
    """On a thread of its own, to the end: completed, cancelled, or paused by the step that failed."""
    execution.tell("executionStarted")
    go_on(execution, steps, role_arn, lab)


def go_on(execution: Execution, steps: list[Properties], role_arn: str, lab: LabPlan) -> None:
    """With the steps that are left, as `run`."""
    try:
        for step in steps:
            _run_step(execution, step, role_arn, lab)
    except Cancelled:
        execution.come_to("canceled", "executionCanceled")
    except StepFailed:
        execution.come_to("pausedByFailedStep", "executionPaused")
    else:
        execution.come_to("completed", "executionSucceeded")


def _run_step(execution: Execution, step: Properties, role_arn: str, lab: LabPlan) -> None:
    name, kind = str(step["name"]), str(step["executionBlockType"])
    field, act = BLOCKS[kind]
    config = step["executionBlockConfiguration"][field]
    if execution.cancelled.is_set():
        raise Cancelled
    execution.begin_step(name, kind)
    if (
        execution.steps[name].mode == "ungraceful"
        and (config.get("ungraceful") or {}).get("behavior") == "skip"
    ):
        execution.end_step(name, "skipped", "stepSkipped")
        return
    try:
        client = clients(execution, role_arn, lab.regions[execution.region].proxy_url)
        act(Block(execution, name, config, client, lab.time_scale))
    except Cancelled:
        execution.end_step(name, "canceled", "stepCanceled")
        raise
    except (StepFailed, ClientError, BotoCoreError) as failure:
        execution.end_step(name, "failed", "stepPausedByError", str(failure))
        raise StepFailed(str(failure)) from failure
    execution.end_step(name, "completed", "stepSucceeded")


def invoke(block: Block) -> None:
    """The function of the region that is activated, again and again until it ends well or the time is up."""
    region = block.execution.region
    lambdas, deadline = block.client("lambda"), block.deadline()
    function = own([one["arn"] for one in block.config["lambdas"]], region)
    while True:
        outage.stand_still(region)
        why = _failure(lambdas, function)
        if why is None:
            return
        block.execution.tell("stepUpdate", stepName=block.step, error=why, resources=[function])
        again_after = _MINUTE * float(block.config["retryIntervalMinutes"]) * block.time_scale
        block.pause(again_after, deadline, why)


def _failure(lambdas: Any, function: str) -> str | None:
    try:
        lambdas.get_function(FunctionName=function)
        answer = lambdas.invoke(FunctionName=function, Payload=json.dumps({}))
    except (ClientError, BotoCoreError) as error:
        return str(error)
    said = answer["Payload"].read().decode()
    return said if "FunctionError" in answer else None


def promote(block: Block) -> None:
    """Nothing to do where the region's cluster is the writer already, or becomes it by somebody else's doing;
    what RDS refuses fails the step. One that was switched to ungraceful meanwhile fails over once nothing is
    under way.
    """
    databases, deadline = block.client("rds"), block.deadline()
    ledger = str(block.config["globalClusterIdentifier"])
    target = own(block.config["databaseClusterArns"], block.execution.region)
    wanted = {"GlobalClusterIdentifier": ledger, "TargetDbClusterIdentifier": target}
    asked: set[bool] = set()
    while True:
        described = block.ask(databases.describe_global_clusters, GlobalClusterIdentifier=ledger)
        (found,) = described["GlobalClusters"]
        if target in (one["DBClusterArn"] for one in found["GlobalClusterMembers"] if one["IsWriter"]):
            return
        loses = _loses(block)
        if loses not in asked and (found.get("FailoverState") or {}).get("ToDbClusterArn") != target:
            if loses:
                block.ask(databases.failover_global_cluster, **wanted, AllowDataLoss=True)
            else:
                block.ask(databases.switchover_global_cluster, **wanted)
            asked.add(loses)
        block.pause(_LOOK_EVERY, deadline, f"{target} is not the writer of {ledger}")


def _loses(block: Block) -> bool:
    ungraceful = (block.config.get("ungraceful") or {}).get("ungraceful")
    return block.config["behavior"] == "failover" or bool(block.ungraceful and ungraceful)


def own(arns: list[str], region: str) -> str:
    """Of one thing in each of the plan's regions, the one in this region."""
    for arn in arns:
        if arn.split(":")[3] == region:
            return arn
    raise StepFailed(f"nothing in {region} is configured")


BLOCKS: dict[str, tuple[str, Callable[[Block], None]]] = {
    "CustomActionLambda": ("customActionLambdaConfig", invoke),
    "AuroraGlobalDatabase": ("globalAuroraConfig", promote),
}
"""By its type, where a step has its configuration, and what is done with it."""
