"""The check of all templates: what AWS's validator, the limits and the rules find becomes one list."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from generator.check import check
from generator.problems import BuildError
from templates.config import Settings, load

DELIVERED = Path(__file__).parents[3] / "deployment.toml"
SERVICE = {
    "Check": {
        "Type": "AWS::Route53::HealthCheck",
        "Properties": {
            "HealthCheckConfig": {
                "Type": "HTTPS",
                "FullyQualifiedDomainName": "primary.payments.example.com",
                "RequestInterval": 10,
                "FailureThreshold": 3,
            }
        },
    },
    "Record": {
        "Type": "AWS::Route53::RecordSet",
        "Properties": {
            "Name": "payments.example.com",
            "HostedZoneId": "Z0123456789ABCDEFGHIJ",
            "Type": "CNAME",
            "TTL": "60",
            "Failover": "PRIMARY",
            "SetIdentifier": "primary",
            "ResourceRecords": ["primary.payments.example.com"],
        },
    },
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(DELIVERED, None, {})


def texts(**templates: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
        for name, resources in {"service": SERVICE, **templates}.items()
    }


def problems(settings: Settings, **templates: Mapping[str, Any]) -> list[str]:
    with pytest.raises(BuildError) as raised:
        check(texts(**templates), settings)
    return [str(problem) for problem in raised.value.problems]


def test_nothing_is_wrong(settings: Settings) -> None:
    assert check(texts(), settings) == ()


def test_an_unknown_property_is_found_once_although_two_regions_are_checked(settings: Settings) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicColour": "red"}}
    assert problems(settings, data={"Topic": topic}) == [
        "data.json: Topic.Properties.TopicColour: F3002 Additional properties are not allowed"
        " ('TopicColour' was unexpected); see rule F3002 of cloudformation-validate"
    ]


def test_a_reference_to_nothing_is_found(settings: Settings) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Nobody"}}}
    found = problems(settings, root={"Topic": topic})
    assert len(found) == 1
    assert found[0].startswith("root.json: Topic.Properties.TopicName: F1020 'Nobody' is not one of")


def test_no_regional_template_may_need_packaging_which_sam_does_for_root_alone(settings: Settings) -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": "functions/rollout-UNPACKAGED.zip",
            "Handler": "rollout.handler.handle",
            "Runtime": "python3.11",
            "Role": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/rollout"},
        },
    }
    assert [line.split(" This")[0] for line in problems(settings, data={"Function": function})] == [
        "data.json: Function.Properties.Code: W3002"
    ]


def test_all_kinds_of_problems_come_together(settings: Settings) -> None:
    where = [
        line.split(": ")[1]
        for line in problems(
            settings,
            zone={"Zone": {"Type": "AWS::Route53::HostedZone", "Properties": {"Name": "example.com"}}},
            data={"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicColour": "red"}}},
            service={"Topic": {"Type": "AWS::SNS::Topic"}},
        )
    ]
    assert where == [
        "Topic.Properties.TopicColour",
        "Resources.Zone",
        "Resources.Zone",
        "has no AWS::Route53::HealthCheck; without one nothing leads clients to the other region",
    ]
