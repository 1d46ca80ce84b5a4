"""A template in one place: nothing is left that a rule could take for a fault because it cannot read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from generator.render import render
from templates.config import load
from tools.audit.documents import policy_documents
from tools.audit.instances import Place

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Environment": {"Type": "String", "AllowedValues": ["prod"]}},
    "Conditions": {"IsPrimary": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}},
    "Mappings": {"Regions": {"us-east-1": {"Peer": "us-east-2"}, "us-east-2": {"Peer": "us-east-1"}}},
    "Resources": {
        "Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "logs-${Environment}"}}},
        "Key": {"Type": "AWS::KMS::Key", "Condition": "IsPrimary", "Properties": {}},
        "Queue": {"Type": "AWS::SQS::Queue", "DependsOn": ["Key", "Logs"], "Properties": {}},
    },
}


def resolved(value: Any, region: str = "us-east-1", **exports: str) -> Any:
    resources = {
        **TEMPLATE["Resources"],
        "Here": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": value}},
    }
    instance = Place({**TEMPLATE, "Resources": resources}, region, exports).instance()
    return instance["Resources"]["Here"]["Properties"].get("Value")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "Environment"}, "prod"),
        ({"Ref": "AWS::NoValue"}, None),
        ({"Ref": "Queue"}, {"Ref": "Queue"}),
        ({"Ref": "Logs"}, "logs-prod"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, {"Fn::GetAtt": ["Queue", "Arn"]}),
        ({"Fn::If": ["IsPrimary", 1, 2]}, 1),
        ({"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Peer"]}, "us-east-2"),
        ({"Fn::Sub": "${AWS::Region}/${Environment}/${!kept}"}, "us-east-1/prod/${kept}"),
        ({"Fn::Sub": ["s3:::${Bucket}/*", {"Bucket": {"Ref": "Logs"}}]}, "s3:::logs-prod/*"),
        ({"Fn::Sub": "${Queue.Arn}"}, "arn:aws:sqs:us-east-1:111122223333:Queue"),
        ({"Fn::Sub": "${Queue.QueueName}"}, "Queue.QueueName"),
        ({"Fn::Select": [1, {"Fn::Split": [",", {"Fn::ImportValue": "Subnets"}]}]}, "two"),
        ({"Fn::ImportValue": "Unknown"}, "imported-Unknown"),
        ({"Fn::Join": ["/", ["a", {"Ref": "Queue"}]]}, "a/Queue"),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
        ({"Name": "x", "Ref": "no call: it has two keys"}, {"Name": "x", "Ref": "no call: it has two keys"}),
    ],
)
def test_what_a_place_decides_is_resolved_and_what_aws_decides_is_not(value: Any, expected: Any) -> None:
    assert resolved(value, Subnets="one,two") == expected


def test_what_is_not_created_somewhere_is_not_there_and_nothing_waits_for_it() -> None:
    there = Place(TEMPLATE, "us-east-2", {}).instance()["Resources"]
    assert "Key" not in there
    assert there["Queue"]["DependsOn"] == ["Logs"]
    assert Place(TEMPLATE, "us-east-1", {}).instance()["Resources"]["Queue"]["DependsOn"] == ["Key", "Logs"]


def test_of_our_templates_only_references_are_left() -> None:
    settings = load(Path(__file__).parents[3] / "deployment.toml", None, {})
    rendered = {name: json.loads(text) for name, text in render(settings).items()}
    exports: dict[str, str] = {}
    for name in ("foundation", "data", "service", "root", "zone", "witness"):
        region = settings.regions.witness if name == "witness" else settings.regions.primary
        place = Place(rendered[name], region, exports)
        instance = place.instance()
        exports |= place.published()
        for title, body in instance["Resources"].items():
            left = {call for call in _calls(body) if call not in ("Ref", "Fn::GetAtt")}
            assert not left, f"{name}.{title}"
        for title, document in policy_documents(instance):
            assert not set(_calls(place.worded(document))), f"{name}.{title}"


def _calls(value: Any) -> list[str]:
    if isinstance(value, list):
        return [call for one in value for call in _calls(one)]
    if not isinstance(value, dict):
        return []
    inner = [call for one in value.values() for call in _calls(one)]
    return [
        *inner,
        *(name for name in value if len(value) == 1 and (name == "Ref" or name.startswith("Fn::"))),
    ]


def test_a_policy_is_found_wherever_it_is_and_trust_is_none() -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": ["*"]}]}
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": document, "Policies": [{"PolicyDocument": document}]},
    }
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": document}}
    found = list(policy_documents({"Resources": {"Role": role, "Key": key}}))
    assert [title for title, _ in found] == ["Role", "Key"]
    assert found[0][1]["Statement"][0]["Resource"] == ["*"]
    assert found[1][1]["Statement"][0]["Resource"] == ["arn:aws:kms:us-east-1:111122223333:key/Key"]
