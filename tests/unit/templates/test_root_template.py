"""The stack that is deployed."""

from fnmatch import fnmatch
from typing import Any

import pytest
from msgspec.structs import replace

from templates import root
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


def test_the_primary_founds_the_database_and_the_standby_gets_releases_first(
    rendered: dict[str, Any],
) -> None:
    data = _stack_set(rendered, "DataStackSet")["OperationPreferences"]["RegionOrder"]
    assert data == ["us-east-1", "us-east-2"]
    service = _stack_set(rendered, "ServiceStackSet")["OperationPreferences"]["RegionOrder"]
    assert service == {"Ref": "ServiceRegionOrder"}
    assert rendered["Parameters"]["ServiceRegionOrder"]["Default"] == "us-east-2,us-east-1"


def test_the_rollout_function_may_try_what_stack_sets_will_do(rendered: dict[str, Any]) -> None:
    trusted = rendered["Resources"]["AdministrationRole"]["Properties"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert trusted[0]["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert trusted[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert trusted[1]["Principal"] == {"AWS": {"Fn::GetAtt": ["RolloutRole", "Arn"]}}


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


def test_what_makes_the_stacks_cannot_change_itself(rendered: dict[str, Any]) -> None:
    role = rendered["Resources"]["ExecutionRole"]["Properties"]
    (policy,) = role["Policies"]
    by_sid = {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}
    patterns = [arn["Fn::Sub"].split(":role/")[1] for arn in by_sid["MakeRoles"]["Resource"]]
    assert fnmatch("payments-api-primary-prod", patterns[0])
    assert not any(fnmatch(role["RoleName"], pattern) for pattern in patterns)
