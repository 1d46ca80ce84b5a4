"""What web ACLs decide, and which rules are not pretended to be evaluated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lab.embedded.waf_rules import (
    Context,
    NotModelledError,
    Rates,
    Verdict,
    WebRequest,
    decide,
    require_modelled,
)

REQUEST = WebRequest("192.0.2.1", "POST", "/payments", "", {"user-agent": "shop"}, b"{}")
Sets = Mapping[str, Mapping[str, Any]]
BLOCK: dict[str, Any] = {"Action": {"Block": {}}}
AS_IS = [{"Priority": 0, "Type": "NONE"}]


def rule(statement: dict[str, Any], priority: int = 0, **action: Any) -> dict[str, Any]:
    return {"Name": f"r{priority}", "Priority": priority, "Statement": statement, **(action or BLOCK)}


def byte_match(text: str, field: dict[str, Any], how: str = "CONTAINS", **more: Any) -> dict[str, Any]:
    inner = {"SearchString": text, "FieldToMatch": field, "PositionalConstraint": how}
    return {"ByteMatchStatement": {"TextTransformations": AS_IS, **inner, **more}}


def managed(name: str, **more: Any) -> dict[str, Any]:
    return {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name, **more}}


def judged(
    rules: list[dict[str, Any]],
    request: WebRequest = REQUEST,
    default: str = "Allow",
    sets: Sets | None = None,
) -> Verdict:
    acl = {"ARN": "acl", "Rules": rules, "DefaultAction": {default: {}}}
    return decide(Context(acl, request, Rates(), lambda arn: (sets or {})[arn], 0.0))


def test_the_first_that_matches_ends_it_and_counting_does_not() -> None:
    anything = byte_match("/", {"UriPath": {}}, "STARTS_WITH")
    counting, allowing, blocking = (
        rule(anything, 0, Action={"Count": {}}),
        rule(anything, 1, Action={"Allow": {}}),
        rule(anything, 2),
    )
    verdict = judged([blocking, allowing, counting])
    assert (verdict.action, verdict.rule, verdict.counted) == ("ALLOW", "r1", ("r0",))
    assert judged([blocking]).action == "BLOCK"
    assert judged([], default="Block") == Verdict("BLOCK")


def test_a_rate_is_counted_for_each_address_in_its_window() -> None:
    acl = {
        "Rules": [
            rule({"RateBasedStatement": {"Limit": 2, "AggregateKeyType": "IP", "EvaluationWindowSec": 60}})
        ]
    }
    rates = Rates()

    def at(now: float, address: str = "192.0.2.1") -> str:
        request = replace(REQUEST, source_ip=address)
        return decide(
            Context({**acl, "DefaultAction": {"Allow": {}}}, request, rates, lambda arn: {}, now)
        ).action

    assert [at(0), at(1), at(2)] == ["ALLOW", "ALLOW", "BLOCK"]
    assert at(2, "192.0.2.2") == "ALLOW"
    assert at(61.5) == "ALLOW"  # two of the three are too long ago


@pytest.mark.parametrize(("size", "handling", "action"), [(10, "MATCH", "ALLOW"), (11, "MATCH", "BLOCK")])
def test_a_body_is_measured(size: int, handling: str, action: str) -> None:
    body = {"Body": {"OversizeHandling": handling}}
    statement = {"FieldToMatch": body, "ComparisonOperator": "GT", "Size": 10, "TextTransformations": AS_IS}
    request = replace(REQUEST, body=b"x" * size)
    assert judged([rule({"SizeConstraintStatement": statement})], request).action == action


def test_what_lies_beyond_the_inspected_part_is_handled_as_the_rule_says() -> None:
    request = replace(REQUEST, body=b"x" * 20_000 + b"attack")
    for handling, action in (("CONTINUE", "ALLOW"), ("MATCH", "BLOCK"), ("NO_MATCH", "ALLOW")):
        found = judged([rule(byte_match("attack", {"Body": {"OversizeHandling": handling}}))], request)
        assert found.action == action


def test_statements_combine_and_sets_are_looked_up() -> None:
    inside = {"IPSetReferenceStatement": {"ARN": "ips"}}
    pattern = {
        "RegexPatternSetReferenceStatement": {
            "ARN": "paths",
            "FieldToMatch": {"UriPath": {}},
            "TextTransformations": AS_IS,
        }
    }
    both = {"AndStatement": {"Statements": [{"NotStatement": {"Statement": inside}}, pattern]}}
    sets = {"ips": {"Addresses": ["192.0.2.0/24"]}, "paths": {"RegularExpressionList": ["^/pay"]}}
    assert judged([rule(both)], sets=sets).action == "ALLOW"
    assert judged([rule(both)], replace(REQUEST, source_ip="198.51.100.1"), sets=sets).action == "BLOCK"
    lower = byte_match(
        "/PAY".lower(), {"UriPath": {}}, TextTransformations=[{"Priority": 0, "Type": "LOWERCASE"}]
    )
    assert judged([rule(lower)], replace(REQUEST, path="/PAYMENTS")).action == "BLOCK"


def test_rules_of_a_managed_group_block_unless_they_are_overridden() -> None:
    request = replace(REQUEST, headers={"x": "${jndi:ldap://x}", "user-agent": "shop"})
    group = "AWSManagedRulesKnownBadInputsRuleSet"
    verdict = judged([rule(managed(group), OverrideAction={"None": {}})], request)
    assert (verdict.action, verdict.kind, verdict.inner) == ("BLOCK", "MANAGED_RULE_GROUP", "Log4JRCE")
    counted = [{"Name": "Log4JRCE", "ActionToUse": {"Count": {}}}]
    for one in (
        rule(managed(group), OverrideAction={"Count": {}}),
        rule(managed(group, RuleActionOverrides=counted), OverrideAction={"None": {}}),
    ):
        assert judged([one], request).action == "ALLOW"
        assert "r0/Log4JRCE" in judged([one], request).counted or judged([one], request).counted == ("r0",)


@pytest.mark.parametrize(
    ("request_", "inner"),
    [
        (replace(REQUEST, headers={}), "NoUserAgent_HEADER"),
        (replace(REQUEST, body=b"x" * 8193), "SizeRestrictions_BODY"),
        (replace(REQUEST, query="file=..%2F..%2Fetc"), "GenericLFI_QUERYARGUMENTS"),
        (replace(REQUEST, body=b'"http://169.254.169.254/"'), "EC2MetaDataSSRF_BODY"),
        (REQUEST, None),
    ],
)
def test_the_core_rule_set(request_: WebRequest, inner: str | None) -> None:
    found = judged([rule(managed("AWSManagedRulesCommonRuleSet"), OverrideAction={"None": {}})], request_)
    assert found.inner == inner


@pytest.mark.parametrize(
    "statement",
    [
        {"GeoMatchStatement": {"CountryCodes": ["US"]}},
        managed("AWSManagedRulesBotControlRuleSet"),
        byte_match("x", {"AllQueryArguments": {}}),
        byte_match("x", {"UriPath": {}}, TextTransformations=[{"Priority": 0, "Type": "JS_DECODE"}]),
        {"RateBasedStatement": {"Limit": 10, "AggregateKeyType": "CUSTOM_KEYS"}},
        {"NotStatement": {"Statement": {"XssMatchStatement": {}}}},
    ],
)
def test_what_cannot_be_evaluated_is_refused(statement: dict[str, Any]) -> None:
    with pytest.raises(NotModelledError):
        require_modelled({"Rules": [rule(statement)]})
