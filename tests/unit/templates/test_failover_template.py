"""The plan that makes either region the active one."""

import json
from typing import Any

import pytest

from generator.render import OPENAPI
from ops.region_switch import PROMOTION
from templates import root, service
from tests.rules.reading import in_region
from tests.unit.templates.rendering import settings

_REGIONAL = {"foundation": "{}", "data": "{}", "service": "{}"}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return dict(root.render(settings(), _REGIONAL).to_dict()["Resources"])


@pytest.fixture(scope="module")
def plan(resources: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resources["FailoverPlan"]["Properties"]
    return found


def _blocks(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [
        next(iter(step["ExecutionBlockConfiguration"].values()))
        for workflow in plan["Workflows"]
        for step in workflow["Steps"]
        if step["ExecutionBlockType"] == kind
    ]


def test_either_region_is_activated_by_the_same_steps_in_the_same_order(plan: dict[str, Any]) -> None:
    assert plan["Regions"] == ["us-east-1", "us-east-2"]
    assert {w["WorkflowTargetRegion"]: [step["Name"] for step in w["Steps"]] for w in plan["Workflows"]} == {
        region: ["fence", "promote", "recover"] for region in plan["Regions"]
    }
    assert {w["WorkflowTargetAction"] for w in plan["Workflows"]} == {"activate"}
    assert (plan["Name"], plan["RecoveryTimeObjectiveMinutes"]) == ("payments-failover-prod", 30)
    assert "Triggers" not in plan  # they cannot say in which mode


def test_steps_run_in_the_region_that_is_activated_and_are_never_skipped(plan: dict[str, Any]) -> None:
    for block in _blocks(plan, "CustomActionLambda"):
        assert block["RegionToRun"] == "activatingRegion"
        assert "Ungraceful" not in block


def test_the_functions_are_those_that_the_regions_make(plan: dict[str, Any]) -> None:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    named = {
        arn["Arn"]["Fn::Sub"].partition(":lambda:")[2]
        for block in _blocks(plan, "CustomActionLambda")
        for arn in block["Lambdas"]
    }
    assert named == {
        f"{region}:${{AWS::AccountId}}:function:"
        + in_region(rendered, region)["Resources"][f"{step}Function"]["Properties"]["FunctionName"]
        for region in plan["Regions"]
        for step in ("Fence", "Recover")
    }


def test_data_is_lost_only_by_a_run_that_was_started_ungraceful(plan: dict[str, Any]) -> None:
    for block in _blocks(plan, "AuroraGlobalDatabase"):
        assert (block["Behavior"], block["Ungraceful"]) == ("switchoverOnly", {"Ungraceful": "failover"})
        assert block["GlobalClusterIdentifier"] == {"Ref": "GlobalCluster"}
        assert [arn["Fn::Sub"].rpartition(":")[2] for arn in block["DatabaseClusterArns"]] == [
            "payments-ledger-primary-prod",
            "payments-ledger-secondary-prod",
        ]


def test_the_step_that_operators_switch_is_the_one_with_an_ungraceful_way(plan: dict[str, Any]) -> None:
    ungraceful = {
        step["Name"]
        for workflow in plan["Workflows"]
        for step in workflow["Steps"]
        if any("Ungraceful" in block for block in step["ExecutionBlockConfiguration"].values())
    }
    assert ungraceful == {PROMOTION}


def test_a_step_is_tried_until_it_has_had_time_to_end(plan: dict[str, Any]) -> None:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    longest = max(
        rendered["Resources"][f"{s}Function"]["Properties"]["Timeout"] for s in ("Fence", "Recover")
    )
    for block in _blocks(plan, "CustomActionLambda"):
        assert block["RetryIntervalMinutes"] == 1
        assert 60 * block["TimeoutMinutes"] > 3 * longest


def test_the_plan_may_run_its_steps_and_promote_one_ledger(
    resources: dict[str, Any], plan: dict[str, Any]
) -> None:
    role = resources["FailoverRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "arc-region-switch.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    (policy,) = role["Policies"]
    granted = {s["Sid"]: s for s in policy["PolicyDocument"]["Statement"]}
    assert granted["RunSteps"]["Action"] == ["lambda:GetFunction", "lambda:InvokeFunction"]
    assert {arn["Fn::Sub"] for arn in granted["RunSteps"]["Resource"]} == {
        arn["Arn"]["Fn::Sub"] for block in _blocks(plan, "CustomActionLambda") for arn in block["Lambdas"]
    }
    assert granted["Promote"]["Action"] == ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster"]
    ledger, *clusters = granted["Promote"]["Resource"]
    assert ledger["Fn::Sub"][1] == {"Ledger": {"Ref": "GlobalCluster"}}
    assert clusters == _blocks(plan, "AuroraGlobalDatabase")[0]["DatabaseClusterArns"]


def test_the_plan_comes_after_what_it_names(resources: dict[str, Any]) -> None:
    assert resources["FailoverPlan"]["DependsOn"] == ["ServiceStackSet"]
