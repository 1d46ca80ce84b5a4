"""The stack that is deployed."""

from typing import Any

import pytest
from msgspec.structs import replace

from templates import root, zone
from tests.unit.templates.rendering import properties, settings

_REGIONAL = {"foundation": "{}", "data": "{}", "service": "{}"}


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return dict(root.render(settings(), _REGIONAL).to_dict())


def _stack_set(rendered: dict[str, Any], title: str) -> dict[str, Any]:
    found: dict[str, Any] = rendered["Resources"][title]["Properties"]
    return found


@pytest.mark.parametrize("template", ["foundation", "data", "service"])
def test_stack_sets_roll_out_to_both_regions_one_after_the_other(
    rendered: dict[str, Any], template: str
) -> None:
    stack_set = _stack_set(rendered, f"{template.capitalize()}StackSet")
    assert stack_set["TemplateURL"] == f"{template}.json"
    assert stack_set["PermissionModel"] == "SELF_MANAGED"
    assert stack_set["OperationPreferences"]["RegionConcurrencyType"] == "SEQUENTIAL"
    (group,) = stack_set["StackInstancesGroup"]
    assert group["Regions"] == ["us-east-1", "us-east-2"]
    assert group["DeploymentTargets"] == {"Accounts": [{"Ref": "AWS::AccountId"}]}


def test_the_witness_is_rolled_out_to_its_region_when_what_it_looks_at_is_there(
    rendered: dict[str, Any],
) -> None:
    stack_set = _stack_set(rendered, "WitnessStackSet")
    (group,) = stack_set["StackInstancesGroup"]
    assert group["Regions"] == stack_set["OperationPreferences"]["RegionOrder"] == ["us-west-2"]
    assert stack_set["TemplateURL"] == "witness.json"
    assert rendered["Resources"]["WitnessStackSet"]["DependsOn"] == ["ServiceStackSet"]


def test_the_primary_founds_the_database_and_the_standby_gets_releases_first(
    rendered: dict[str, Any],
) -> None:
    data = _stack_set(rendered, "DataStackSet")["OperationPreferences"]["RegionOrder"]
    assert data == ["us-east-1", "us-east-2"]
    service = _stack_set(rendered, "ServiceStackSet")["OperationPreferences"]["RegionOrder"]
    assert service == {"Ref": "ServiceRegionOrder"}
    assert rendered["Parameters"]["ServiceRegionOrder"]["Default"] == "us-east-2,us-east-1"


def test_the_rollout_function_may_try_what_stack_sets_will_do_and_nothing_more(
    rendered: dict[str, Any],
) -> None:
    """For good, because trust knows no time: but only in sessions of a name that may do nothing."""
    roles = {
        title: rendered["Resources"][f"{title}Role"]["Properties"]
        for title in ("Administration", "Execution")
    }
    stack_sets, trial = roles["Administration"]["AssumeRolePolicyDocument"]["Statement"]
    assert stack_sets["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert stack_sets["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert trial["Principal"] == {"AWS": {"Fn::GetAtt": ["RolloutRole", "Arn"]}}
    named = {"StringEquals": {"sts:RoleSessionName": "payments-trial-prod"}}
    assert trial["Condition"] == named

    stack_sets, trial = roles["Execution"]["AssumeRolePolicyDocument"]["Statement"]
    assert stack_sets["Condition"] == {"StringNotLike": {"aws:userid": "*:payments-trial-prod"}}
    assert trial["Condition"] == named
    ((refusal,),) = [policy["PolicyDocument"]["Statement"] for policy in roles["Execution"]["Policies"]]
    assert (refusal["Effect"], refusal["Action"], refusal["Resource"]) == ("Deny", ["*"], ["*"])
    assert refusal["Condition"] == {"StringLike": {"aws:userid": "*:payments-trial-prod"}}
    asked = rendered["Resources"]["RolesReady"]["Properties"]
    assert asked["SessionName"] == "payments-trial-prod"


def test_whoever_deploys_names_the_environment_that_was_built(rendered: dict[str, Any]) -> None:
    """So that what was built for one environment never lands on another's stack."""
    for template in (rendered, zone.render(settings()).to_dict()):
        parameter = template["Parameters"]["Environment"]
        assert parameter["AllowedValues"] == ["prod"]
        assert "Default" not in parameter


def test_another_foundation_is_asked_for_its_outputs_again() -> None:
    one = properties(root.render(settings(), _REGIONAL), "FoundationOutputs")
    other = properties(root.render(settings(), _REGIONAL | {"foundation": "{} "}), "FoundationOutputs")
    assert one["TemplateHash"] != other["TemplateHash"]


def test_sam_uploads_the_rollout_function(rendered: dict[str, Any]) -> None:
    function = rendered["Resources"]["RolloutFunction"]["Properties"]
    assert function["Code"] == "functions/rollout-UNPACKAGED.zip"
    assert "VpcConfig" not in function
    assert function["Timeout"] == 900


def test_the_zone_is_the_configured_one_or_the_one_that_was_deployed(rendered: dict[str, Any]) -> None:
    configured = replace(settings(), dns=replace(settings().dns, hosted_zone_id="Z0123456789ABCDEFGHIJ"))
    (exported, *_) = _stack_set(rendered, "ServiceStackSet")["Parameters"]
    assert exported["ParameterValue"] == {"Fn::ImportValue": "payments-prod-Zone-HostedZoneId"}
    (given, *_) = properties(root.render(configured, _REGIONAL), "ServiceStackSet")["Parameters"]
    assert given == {"ParameterKey": "HostedZoneId", "ParameterValue": "Z0123456789ABCDEFGHIJ"}


def test_secrets_are_readable_in_both_regions(rendered: dict[str, Any]) -> None:
    for user in ("master", "migrator", "application"):
        secret = rendered["Resources"][f"{user.capitalize()}Secret"]["Properties"]
        assert secret["Name"] == f"payments/prod/database/{user}"
        assert secret["GenerateSecretString"]["SecretStringTemplate"] == f'{{"username": "ledger_{user}"}}'
        assert secret["ReplicaRegions"] == [
            {"Region": "us-east-2", "KmsKeyId": "alias/payments-data-secondary-prod"}
        ]
