"""Region switch: a plan is found and run in the region it activates, with its execution role and no more."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    WITNESS,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    outputs,
    reasons,
    unique,
)
from tests.integration.embedded.sessions import Role, allow
from tests.integration.embedded.zipped import zipped

# Fails as often as its region's queue of failures says, and notes each time it was called.
_STEP = """
import os
import boto3
secrets = boto3.client("secretsmanager")

def handle(event, context):
    before = secrets.get_secret_value(SecretId=os.environ["NOTES"])["SecretString"]
    secrets.put_secret_value(SecretId=os.environ["NOTES"], SecretString=before + "x")
    if len(before) < int(os.environ["FAILURES"]):
        raise RuntimeError("not yet")
"""
_ARN = re.compile(r"arn:aws:arc-region-switch::\d{12}:plan/[a-z0-9-]+:[a-z0-9]{6}")
_SOON = 0.01  # minutes


@dataclass(frozen=True)
class Plans:
    """Functions of one name in both regions, and a role that Region switch may take."""

    aws: EmbeddedAws
    name: str
    role: str

    def arn(self, region: str) -> str:
        return f"arn:aws:lambda:{region}:{self.aws.plan.account_id}:function:{self.name}"

    def step(self, name: str = "fence", **config: Any) -> dict[str, Any]:
        given = {
            "Lambdas": [{"Arn": self.arn(region)} for region in (HOME, PEER)],
            "RegionToRun": "activatingRegion",
            "RetryIntervalMinutes": _SOON,
            "TimeoutMinutes": 1,
            **config,
        }
        return {
            "Name": name,
            "ExecutionBlockType": "CustomActionLambda",
            "ExecutionBlockConfiguration": {"CustomActionLambdaConfig": given},
        }

    def template(self, *steps: dict[str, Any], **properties: Any) -> dict[str, Any]:
        plan = {
            "Name": self.name,
            "ExecutionRole": self.role,
            "Regions": [HOME, PEER],
            "PrimaryRegion": HOME,
            "RecoveryApproach": "activePassive",
            "Workflows": [
                {"WorkflowTargetAction": "activate", "WorkflowTargetRegion": region, "Steps": list(steps)}
                for region in (HOME, PEER)
            ],
            **properties,
        }
        resource = {"Type": "AWS::ARCRegionSwitch::Plan", "Properties": plan}
        return {"Resources": {"Plan": resource}, "Outputs": {"Arn": {"Value": {"Ref": "Plan"}}}}

    def deployed(self, *steps: dict[str, Any], **properties: Any) -> str:
        template = self.template(*(steps or (self.step(),)), **properties)
        assert deploy(self.aws, self.name, template) == "CREATE_COMPLETE", reasons(self.aws, self.name)
        return outputs(self.aws, self.name)["Arn"]

    def in_region(self, region: str) -> Any:
        return self.aws.client("arc-region-switch", region)

    def start(self, plan: str, region: str = PEER, **request: Any) -> str:
        started = self.in_region(region).start_plan_execution(
            planArn=plan, targetRegion=region, action="activate", **request
        )
        assert (started["plan"], started["activateRegion"]) == (plan, region)
        return str(started["executionId"])

    def ended(self, plan: str, execution: str, region: str = PEER) -> dict[str, Any]:
        def look() -> Any:
            found = self.in_region(region).get_plan_execution(planArn=plan, executionId=execution)
            return found if found["executionState"] != "inProgress" else None

        ended: dict[str, Any] = eventually(look, "the execution ends or pauses")
        return ended

    def events(self, plan: str, execution: str, region: str = PEER) -> list[dict[str, Any]]:
        answer = self.in_region(region).list_plan_execution_events(planArn=plan, executionId=execution)
        items: list[dict[str, Any]] = answer["items"]
        return items

    def calls(self, region: str) -> int:
        notes = self.aws.client("secretsmanager", region).get_secret_value(SecretId=f"{self.name}-notes")
        return len(notes["SecretString"])

    def fail(self, times: int) -> None:
        for region in (HOME, PEER):
            self.aws.client("lambda", region).update_function_configuration(
                FunctionName=self.name,
                Environment={"Variables": {"NOTES": f"{self.name}-notes", "FAILURES": str(times + 1)}},
            )


def _role_policy(name: str, *more: dict[str, Any]) -> str:
    functions = f"arn:aws:lambda:*:*:function:{name}"
    granted = [allow(["lambda:GetFunction", "lambda:InvokeFunction"], functions), *more]
    return json.dumps({"Version": "2012-10-17", "Statement": granted})


@pytest.fixture
def plans(aws: EmbeddedAws) -> Iterator[Plans]:
    name, account = unique("plan"), aws.plan.account_id
    runs = Role(aws, allow(["logs:*", "secretsmanager:*"]), service="lambda.amazonaws.com")
    iam = aws.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "arc-region-switch.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="plan", PolicyDocument=_role_policy(name))
    for region in (HOME, PEER):
        aws.client("secretsmanager", region).create_secret(Name=f"{name}-notes", SecretString="x")
        aws.client("lambda", region).create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="index.handle",
            Role=runs.arn,
            Timeout=20,
            Environment={"Variables": {"NOTES": f"{name}-notes", "FAILURES": "0"}},
            Code={"ZipFile": zipped(_STEP)},
        )
    yield Plans(aws, name, role)
    delete(aws, name)
    for region in (HOME, PEER):
        aws.client("lambda", region).delete_function(FunctionName=name)
        aws.client("secretsmanager", region).delete_secret(
            SecretId=f"{name}-notes", ForceDeleteWithoutRecovery=True
        )


def _steps(execution: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in execution["stepStates"]}


def test_a_plan_is_found_by_its_name_in_its_regions_only(plans: Plans) -> None:
    arn = plans.deployed()
    assert _ARN.fullmatch(arn)
    for region, known in ((HOME, True), (PEER, True), (WITNESS, False)):
        found = {
            plan["name"]: plan["arn"] for plan in plans.in_region(region).list_plans_in_region()["plans"]
        }
        assert (found.get(plans.name) == arn) is known
    described = plans.in_region(PEER).get_plan_in_region(arn=arn)["plan"]
    assert (described["name"], described["version"], described["executionRole"]) == (
        plans.name,
        "1",
        plans.role,
    )
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        plans.in_region(WITNESS).get_plan_in_region(arn=arn)


def test_the_control_plane_is_in_one_region(plans: Plans) -> None:
    arn = plans.deployed()
    assert plans.in_region(HOME).get_plan(arn=arn)["plan"]["regions"] == [HOME, PEER]
    with pytest.raises(ClientError, match="is answered in us-east-1 only"):
        plans.in_region(PEER).get_plan(arn=arn)


def test_an_evaluation_says_in_each_region_what_its_steps_lack_there(plans: Plans) -> None:
    arn = plans.deployed(plans.step(), plans.step("recover"))

    def evaluated(region: str) -> dict[str, Any]:
        found: dict[str, Any] = plans.in_region(region).get_plan_evaluation_status(planArn=arn)
        return found

    assert (evaluated(HOME)["evaluationState"], evaluated(HOME)["warnings"]) == ("passed", [])
    lambdas = plans.aws.client("lambda", PEER)
    code = lambdas.get_function(FunctionName=plans.name)["Configuration"]
    lambdas.delete_function(FunctionName=plans.name)
    try:
        there = evaluated(PEER)
        assert (there["evaluationState"], there["region"]) == ("actionRequired", PEER)
        assert [one["stepName"] for one in there["warnings"]] == ["fence", "recover"]
        assert "ResourceNotFoundException" in there["warnings"][0]["warningMessage"]
        assert evaluated(HOME)["evaluationState"] == "passed"
    finally:
        lambdas.create_function(
            FunctionName=plans.name,
            Runtime=code["Runtime"],
            Handler=code["Handler"],
            Role=code["Role"],
            Code={"ZipFile": zipped(_STEP)},
        )
    plans.aws.client("iam").delete_role_policy(RoleName=plans.name, PolicyName="plan")
    assert "AccessDenied" in evaluated(HOME)["warnings"][0]["warningMessage"]


def test_a_changed_plan_keeps_its_arn_and_another_name_is_another_plan(plans: Plans) -> None:
    arn = plans.deployed()
    changed = plans.template(plans.step(), plans.step("recover"), Description="longer")
    assert deploy(plans.aws, plans.name, changed) == "UPDATE_COMPLETE"
    plan = plans.in_region(HOME).get_plan(arn=arn)["plan"]
    assert (plan["version"], plan["description"]) == ("2", "longer")
    assert [step["name"] for step in plan["workflows"][0]["steps"]] == ["fence", "recover"]
    renamed = plans.template(plans.step(), Name=f"{plans.name}-b")
    assert deploy(plans.aws, plans.name, renamed) == "UPDATE_COMPLETE"
    assert outputs(plans.aws, plans.name)["Arn"] != arn
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        plans.in_region(HOME).get_plan(arn=arn)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"Name": "n" * 33}, "#/Name"),
        ({"Regions": [HOME]}, "#/Regions"),
        ({"Triggers": "red"}, "#/Triggers"),
    ],
)
def test_a_plan_that_aws_refuses(plans: Plans, change: dict[str, Any], refusal: str) -> None:
    assert deploy(plans.aws, plans.name, plans.template(plans.step(), **change)) == "ROLLBACK_COMPLETE"
    assert refusal in reasons(plans.aws, plans.name)


def test_a_block_the_lab_cannot_run_is_refused(plans: Plans) -> None:
    step = {
        "Name": "approve",
        "ExecutionBlockType": "ManualApproval",
        "ExecutionBlockConfiguration": {"ExecutionApprovalConfig": {"ApprovalRole": plans.role}},
    }
    assert deploy(plans.aws, plans.name, plans.template(step)) == "ROLLBACK_COMPLETE"
    assert "cannot run a block of type ManualApproval" in reasons(plans.aws, plans.name)


@pytest.mark.parametrize("region", [HOME, PEER])
def test_a_plan_runs_the_activating_regions_functions_one_after_the_other(plans: Plans, region: str) -> None:
    arn = plans.deployed(plans.step("fence"), plans.step("recover"))
    execution = plans.start(arn, region, mode="ungraceful", comment="a drill")
    ended = plans.ended(arn, execution, region)
    assert (ended["executionState"], ended["mode"], ended["comment"]) == (
        "completed",
        "ungraceful",
        "a drill",
    )
    assert ended["executionRegion"] == region
    assert _steps(ended) == {"fence": "completed", "recover": "completed"}
    assert plans.calls(region) == 3
    assert plans.calls(PEER if region == HOME else HOME) == 1
    told = [(one["type"], one.get("stepName")) for one in plans.events(arn, execution, region)]
    assert told == [
        ("executionStarted", None),
        ("stepStarted", "fence"),
        ("stepSucceeded", "fence"),
        ("stepStarted", "recover"),
        ("stepSucceeded", "recover"),
        ("executionSucceeded", None),
    ]
    (listed,) = plans.in_region(region).list_plan_executions(planArn=arn)["items"]
    assert (listed["executionId"], listed["executionState"]) == (execution, "completed")
    other = PEER if region == HOME else HOME
    assert plans.in_region(other).list_plan_executions(planArn=arn)["items"] == []


def test_a_plan_is_started_from_the_region_it_activates(plans: Plans) -> None:
    arn = plans.deployed()
    for region, target, action in (
        (HOME, PEER, "activate"),
        (PEER, WITNESS, "activate"),
        (PEER, PEER, "deactivate"),
    ):
        with pytest.raises(ClientError, match="IllegalArgumentException"):
            plans.in_region(region).start_plan_execution(planArn=arn, targetRegion=target, action=action)
    assert plans.in_region(PEER).list_plan_executions(planArn=arn)["items"] == []


def test_a_function_that_fails_is_invoked_again(plans: Plans) -> None:
    plans.fail(2)
    arn = plans.deployed()
    execution = plans.start(arn)
    assert plans.ended(arn, execution)["executionState"] == "completed"
    assert plans.calls(PEER) == 4
    failed = [one for one in plans.events(arn, execution) if one["type"] == "stepUpdate"]
    assert [json.loads(one["error"])["errorMessage"] for one in failed] == ["not yet", "not yet"]


def test_one_execution_at_a_time_and_a_cancelled_one_makes_room(plans: Plans) -> None:
    plans.fail(100)
    arn = plans.deployed()
    first = plans.start(arn, clientToken="once")
    assert plans.start(arn, clientToken="once") == first
    with pytest.raises(ClientError, match=f"IllegalStateException.*{first}"):
        plans.start(arn)
    (listed,) = [p for p in plans.in_region(PEER).list_plans_in_region()["plans"] if p["arn"] == arn]
    assert listed["activePlanExecution"] == first
    plans.in_region(PEER).cancel_plan_execution(planArn=arn, executionId=first)
    ended = plans.ended(arn, first)
    assert (ended["executionState"], _steps(ended)) == ("canceled", {"fence": "canceled"})
    plans.fail(0)
    second = plans.start(arn)
    assert plans.ended(arn, second)["executionState"] == "completed"
    items = plans.in_region(PEER).list_plan_executions(planArn=arn)["items"]
    assert [item["executionId"] for item in items] == [second, first]


def test_a_step_that_may_be_skipped_is_skipped_when_ungraceful(plans: Plans) -> None:
    arn = plans.deployed(plans.step(Ungraceful={"Behavior": "skip"}))
    assert _steps(plans.ended(arn, plans.start(arn, mode="ungraceful"))) == {"fence": "skipped"}
    assert plans.calls(PEER) == 1
    assert _steps(plans.ended(arn, plans.start(arn))) == {"fence": "completed"}


def test_what_has_not_begun_is_done_ungracefully_once_an_execution_is_switched(plans: Plans) -> None:
    plans.fail(100)
    arn = plans.deployed(plans.step("fence"), plans.step("recover", Ungraceful={"Behavior": "skip"}))
    execution = plans.start(arn)
    eventually(lambda: plans.calls(PEER) > 1 or None, "the first step runs")
    named = {"planArn": arn, "executionId": execution}
    plans.in_region(PEER).update_plan_execution(**named, action="switchToUngraceful", comment="it is gone")
    with pytest.raises(ClientError, match=r"IllegalStateException.*inProgress, ungraceful"):
        plans.in_region(PEER).update_plan_execution(**named, action="switchToUngraceful")
    plans.fail(0)
    ended = plans.ended(arn, execution)
    assert (ended["executionState"], ended["mode"]) == ("completed", "ungraceful")
    assert _steps(ended) == {"fence": "completed", "recover": "skipped"}
    assert [step["stepMode"] for step in ended["stepStates"]] == ["graceful", "ungraceful"]
    told = [one["type"] for one in plans.events(arn, execution)]
    assert "executionBehaviorChangedToUngraceful" in told
    with pytest.raises(ClientError, match=r"IllegalStateException.*completed"):
        plans.in_region(PEER).update_plan_execution(**named, action="switchToUngraceful")


def test_a_step_that_failed_is_tried_again_ungracefully(plans: Plans) -> None:
    arn = plans.deployed(_promotion(plans), plans.step("recover"))
    execution = plans.start(arn)
    assert plans.ended(arn, execution)["executionState"] == "pausedByFailedStep"
    asked = {"planArn": arn, "executionId": execution, "comment": "it is gone"}
    step = plans.in_region(PEER).update_plan_execution_step
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        step(**asked, stepName="recover", actionToTake="switchToUngraceful")
    step(**asked, stepName="promote", actionToTake="switchToUngraceful")
    ended = plans.ended(arn, execution)
    assert (ended["executionState"], _steps(ended)) == ("pausedByFailedStep", {"promote": "failed"})
    assert ended["stepStates"][0]["stepMode"] == "ungraceful"
    told = [one["type"] for one in plans.events(arn, execution)]
    assert told.count("stepPausedByError") == 2
    assert told.count("executionStarted") == 1
    plans.in_region(PEER).cancel_plan_execution(planArn=arn, executionId=execution)


def _promotion(plans: Plans) -> dict[str, Any]:
    return {
        "Name": "promote",
        "ExecutionBlockType": "AuroraGlobalDatabase",
        "ExecutionBlockConfiguration": {
            "GlobalAuroraConfig": {
                "Behavior": "switchoverOnly",
                "GlobalClusterIdentifier": plans.name,
                "DatabaseClusterArns": [
                    f"arn:aws:rds:{region}:000000000000:cluster:a" for region in (HOME, PEER)
                ],
                "Ungraceful": {"Ungraceful": "failover"},
                "TimeoutMinutes": 1,
            }
        },
    }


def test_the_execution_role_decides_what_a_step_may_do(plans: Plans) -> None:
    """And pauses the execution, which somebody has to cancel before the plan can be started again."""
    arn = plans.deployed(_promotion(plans))
    execution = plans.start(arn)
    ended = plans.ended(arn, execution)
    assert (ended["executionState"], _steps(ended)) == ("pausedByFailedStep", {"promote": "failed"})
    (paused,) = [one for one in plans.events(arn, execution) if one["type"] == "stepPausedByError"]
    assert "is not authorized to perform: rds:DescribeGlobalClusters" in paused["error"]
    with pytest.raises(ClientError, match="IllegalStateException"):
        plans.start(arn)
    plans.in_region(PEER).cancel_plan_execution(planArn=arn, executionId=execution)
    assert plans.ended(arn, execution)["executionState"] == "canceled"
    may = allow("rds:DescribeGlobalClusters", f"arn:aws:rds::000000000000:global-cluster:{plans.name}")
    plans.aws.client("iam").put_role_policy(
        RoleName=plans.name, PolicyName="plan", PolicyDocument=_role_policy(plans.name, may)
    )
    execution = plans.start(arn)
    assert plans.ended(arn, execution)["executionState"] == "pausedByFailedStep"
    (paused,) = [one for one in plans.events(arn, execution) if one["type"] == "stepPausedByError"]
    assert "GlobalClusterNotFoundFault" in paused["error"]
    plans.in_region(PEER).cancel_plan_execution(planArn=arn, executionId=execution)


def test_a_role_that_region_switch_cannot_assume_runs_nothing(plans: Plans) -> None:
    arn = plans.deployed()
    iam = plans.aws.client("iam")
    trust = json.loads(
        json.dumps(iam.get_role(RoleName=plans.name)["Role"]["AssumeRolePolicyDocument"]).replace(
            plans.aws.plan.account_id, "999999999999"
        )
    )
    iam.update_assume_role_policy(RoleName=plans.name, PolicyDocument=json.dumps(trust))
    execution = plans.start(arn)
    assert plans.ended(arn, execution)["executionState"] == "pausedByFailedStep"
    assert plans.calls(PEER) == 1
    (paused,) = [one for one in plans.events(arn, execution) if one["type"] == "stepPausedByError"]
    assert "cannot assume the execution role" in paused["error"]
    plans.in_region(PEER).cancel_plan_execution(planArn=arn, executionId=execution)


def test_who_may_start_a_plan_is_said_by_its_arn(plans: Plans) -> None:
    arn = plans.deployed()
    named, other = (f"arn:aws:arc-region-switch::*:plan/{name}:*" for name in (plans.name, "another"))
    decides = Role(plans.aws, allow("arc-region-switch:StartPlanExecution", other))
    request = {"planArn": arn, "targetRegion": PEER, "action": "activate"}
    with pytest.raises(ClientError, match="not authorized to perform: arc-region-switch:StartPlanExecution"):
        decides.client("arc-region-switch", PEER).start_plan_execution(**request)
    decides.may(allow("arc-region-switch:StartPlanExecution", named))
    started = decides.client("arc-region-switch", PEER).start_plan_execution(**request)
    assert plans.ended(arn, started["executionId"])["executionState"] == "completed"
