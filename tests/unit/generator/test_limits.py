"""A build fails before any limit of CloudFormation is passed, and not a single one earlier."""

from typing import Any

import pytest

from generator.limits import exceeded, notes

TOPIC = {"Type": "AWS::SNS::Topic"}


def found(template: dict[str, Any], text: str = "{}") -> list[str]:
    return [str(problem) for problem in exceeded("data", text, {"Resources": {}, **template})]


def statement(length: int) -> dict[str, Any]:
    """A document whose JSON has as many characters."""
    empty = len('{"Statement":""}')
    return {"Statement": "x" * (length - empty)}


def role(trust: int = 100, *policies: int) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": statement(trust),
            "Policies": [{"PolicyDocument": statement(length)} for length in policies],
        },
    }


def function(characters: int) -> dict[str, Any]:
    variables = {"A": "x" * (characters - len('{"A":""}'))}
    return {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": variables}}}


def many(count: int, entry: object) -> dict[str, Any]:
    return {f"X{number}": entry for number in range(count)}


def inline(characters: int) -> dict[str, Any]:
    return {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ZipFile": "x" * characters}}}


def alarm(metrics: int) -> dict[str, Any]:
    queries = [{"Id": f"m{number}", "MetricStat": {}} for number in range(metrics)]
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {"Metrics": [{"Id": "e", "Expression": "SUM(METRICS())"}, *queries]},
    }


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "resources": (
        {"Resources": many(500, TOPIC)},
        {"Resources": many(501, TOPIC)},
        "data.json: 501 resources, AWS takes 500; move some to another template",
    ),
    "outputs": (
        {"Outputs": many(200, {})},
        {"Outputs": many(201, {})},
        "data.json: 201 outputs, AWS takes 200; move some to another template",
    ),
    "parameters": (
        {"Parameters": many(200, {})},
        {"Parameters": many(201, {})},
        "data.json: 201 parameters, AWS takes 200; move some to another template",
    ),
    "mappings": (
        {"Mappings": many(200, {})},
        {"Mappings": many(201, {})},
        "data.json: 201 mappings, AWS takes 200; move some to another template",
    ),
    "attributes": (
        {"Mappings": {"M": {"k": many(200, "")}}},
        {"Mappings": {"M": {"k": many(201, "")}}},
        "data.json: Mappings.M.k: 201 attributes, AWS takes 200; split the mapping",
    ),
    "titles": (
        {"Resources": {"A" * 255: TOPIC}},
        {"Resources": {"A" * 256: TOPIC}},
        f"data.json: Resources.{'A' * 256}: 256 characters, AWS takes 255; shorten the title",
    ),
    "description": (
        {"Description": "é" * 512},
        {"Description": "é" * 513},
        "data.json: 1026 bytes of description, AWS takes 1024; say it shorter",
    ),
    "output description": (
        {"Outputs": {"A": {"Description": "x" * 1024}}},
        {"Outputs": {"A": {"Description": "x" * 1025}}},
        "data.json: Outputs.A: 1025 bytes of description, AWS takes 1024; say it shorter",
    ),
    "environment": (
        {"Resources": {"F": function(4096)}},
        {"Resources": {"F": function(4097)}},
        "data.json: Resources.F: 4097 bytes of environment, AWS takes 4096;"
        " let the function compute some of it",
    ),
    "inline code": (
        {"Resources": {"F": inline(4096)}},
        {"Resources": {"F": inline(4097)}},
        "data.json: Resources.F: 4097 characters of inline code, AWS takes 4096; shorten the text",
    ),
    "alarm": (
        {"Resources": {"A": alarm(10)}},
        {"Resources": {"A": alarm(11)}},
        "data.json: Resources.A: 11 metrics in one alarm, AWS takes 10; watch some by another alarm",
    ),
    "role": (
        {"Resources": {"R": role(100, 5_000, 5_240)}},
        {"Resources": {"R": role(100, 5_000, 5_241)}},
        "data.json: Resources.R: 10241 characters of policies, AWS takes 10240;"
        " move statements to a managed policy",
    ),
    "trust": (
        {"Resources": {"R": role(2048)}},
        {"Resources": {"R": role(2049)}},
        "data.json: Resources.R: 2049 characters of trust policy, AWS takes 2048; trust fewer principals",
    ),
    "policy": (
        {
            "Resources": {
                "P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": statement(6144)}}
            }
        },
        {
            "Resources": {
                "P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": statement(6145)}}
            }
        },
        "data.json: Resources.P: 6145 characters of policy, AWS takes 6144; split the policy",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_most_passes_and_one_more_does_not(case: str) -> None:
    most, more, line = CASES[case]
    assert found(most) == []
    assert found(more) == [line]


def test_a_megabyte_is_the_most() -> None:
    assert found({}, "x" * 1_000_000) == []
    assert found({}, "x" * 999_999 + "é") == [
        "data.json: 1000001 bytes, AWS takes 1000000; move resources to another template"
    ]


def test_a_template_too_long_to_be_sent_inline_is_worth_a_note() -> None:
    assert list(notes("root", "x" * 51_200)) == []
    assert list(notes("root", "x" * 51_201)) == [
        "root.json: 51201 bytes, more than the 51200 that can be sent inline"
    ]
