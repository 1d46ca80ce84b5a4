"""What is stopped before the API."""

import json
from typing import Any

import pytest

from generator.render import OPENAPI
from payments.parse import MAX_BODY_BYTES
from templates import service
from tests.unit.templates.rendering import settings


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    return dict(rendered["Resources"])


@pytest.fixture(scope="module")
def rules(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(resources["Firewall"]["Properties"]["Rules"], key=lambda rule: int(rule["Priority"]))


def test_health_checks_pass_whatever_aws_changes_in_its_rules(rules: list[dict[str, Any]]) -> None:
    names = [rule["Name"] for rule in rules]
    assert names.index("requests-per-address") < names.index("health-checks")
    managed = [name for name in names if name.startswith("AWSManagedRules")]
    assert all(names.index("health-checks") < names.index(name) for name in managed)
    (health,) = (rule for rule in rules if rule["Name"] == "health-checks")
    assert health["Action"] == {"Allow": {}}


def test_managed_rules_cover_reputation_bad_inputs_and_the_common_ones(rules: list[dict[str, Any]]) -> None:
    managed = [rule for rule in rules if "OverrideAction" in rule]
    assert {rule["Name"] for rule in managed} == {
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
    }
    assert all(rule["OverrideAction"] == {"None": {}} for rule in managed)


def test_a_body_is_too_large_for_the_firewall_when_it_is_for_the_api(rules: list[dict[str, Any]]) -> None:
    (rule,) = (rule for rule in rules if rule["Name"] == "body-size")
    constraint = rule["Statement"]["SizeConstraintStatement"]
    assert (constraint["ComparisonOperator"], constraint["Size"]) == ("GT", MAX_BODY_BYTES)
    assert constraint["FieldToMatch"] == {"Body": {"OversizeHandling": "MATCH"}}
    assert rule["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 413


def test_what_is_refused_is_said_as_the_public_document_says_it(
    resources: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    bodies = resources["Firewall"]["Properties"]["CustomResponseBodies"]
    for rule in rules:
        if "Block" in rule.get("Action", {}):
            response = rule["Action"]["Block"]["CustomResponse"]
            problem = json.loads(bodies[response["CustomResponseBodyKey"]]["Content"])
            assert problem["status"] == response["ResponseCode"]
            assert problem["type"].startswith("urn:payments:problem:")


def test_the_firewall_stands_before_the_stage_and_logs_no_token(resources: dict[str, Any]) -> None:
    association = resources["FirewallAssociation"]["Properties"]
    assert association["ResourceArn"]["Fn::Sub"][1] == {"Api": {"Ref": "Api"}, "Stage": {"Ref": "Stage"}}
    logging = resources["FirewallLogging"]["Properties"]
    assert logging["LogDestinationConfigs"][0]["Fn::Sub"][0].endswith("log-group:${Group}")
    redacted = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]}
    assert redacted == {"authorization", "idempotency-key"}
    name = resources["FirewallLogs"]["Properties"]["LogGroupName"]["Fn::Sub"][0]
    assert name.startswith("aws-waf-logs-")  # AWS WAF takes no other


def test_no_sample_of_a_request_is_kept(resources: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    acl = resources["Firewall"]["Properties"]
    for visible in (acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in rules)):
        assert visible["SampledRequestsEnabled"] is False
        assert visible["CloudWatchMetricsEnabled"] is True
