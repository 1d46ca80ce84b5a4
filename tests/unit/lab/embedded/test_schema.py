"""The AWS resource schemas as a gate: what is refused, in which words, and how scalars are converted."""

import time
from typing import Any

import pytest

from lab.embedded.schema import ResourceSchema, converted, problems, resource_schema

REGION = "us-east-1"


def schema(type_name: str) -> ResourceSchema:
    found = resource_schema(type_name, REGION)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("type_name", "properties", "problem"),
    [
        ("AWS::SNS::Topic", {"Nonsense": 1}, "#: extraneous key [Nonsense] is not permitted"),
        ("AWS::EC2::NatGateway", {"SubnetId": 7}, "#/SubnetId: expected type: String, found: Integer"),
        ("AWS::EC2::VPCPeeringConnection", {"VpcId": "vpc-1"}, "#: required key [PeerVpcId] not found"),
        (
            "AWS::S3::Bucket",
            {"VersioningConfiguration": {"Status": "On"}},
            "#/VersioningConfiguration/Status: On is not a valid enum value",
        ),
        (
            "AWS::S3::Bucket",
            {"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "Wrong": 1}]}},
            "#/LifecycleConfiguration/Rules/0: extraneous key [Wrong] is not permitted",
        ),
        ("AWS::EC2::EIP", {"PublicIp": "192.0.2.1"}, "#: read-only property [PublicIp] is not permitted"),
    ],
)
def test_what_aws_refuses_is_named_by_its_path(
    type_name: str, properties: dict[str, Any], problem: str
) -> None:
    assert problem in problems(schema(type_name), properties)


def test_a_name_that_breaks_its_pattern_is_refused() -> None:
    (problem,) = problems(schema("AWS::S3::Bucket"), {"BucketName": "NOT_A_BUCKET"})
    assert problem.startswith("#/BucketName: string [NOT_A_BUCKET] does not match pattern")


def test_a_type_no_region_has_has_no_schema() -> None:
    assert resource_schema("AWS::Nothing::AtAll", REGION) is None


def test_scalars_are_converted_as_cloudformation_does() -> None:
    health_check = {"HealthCheckConfig": {"Type": "HTTPS", "Port": "443", "Inverted": "false"}}
    assert converted(schema("AWS::Route53::HealthCheck"), health_check) == {
        "HealthCheckConfig": {"Type": "HTTPS", "Port": 443, "Inverted": False}
    }
    record = {"Name": "a", "Type": "A", "TTL": 60, "ResourceRecords": ["192.0.2.1"]}
    assert converted(schema("AWS::Route53::RecordSet"), record)["TTL"] == "60"


def test_a_string_that_is_no_number_stays_and_is_refused() -> None:
    function = schema("AWS::Lambda::Function")
    values = converted(function, {"Timeout": "soon", "Code": {}, "Role": "r"})
    assert "#/Timeout: expected type: Integer, found: String" in problems(function, values)


def test_replacement_and_tags_follow_from_the_schema() -> None:
    peering = schema("AWS::EC2::VPCPeeringConnection")
    assert {"VpcId", "PeerVpcId", "PeerRegion"} <= set(peering.create_only)
    assert peering.tag_property == "Tags"


def test_a_deployment_of_250_resources_is_checked_within_its_budget() -> None:
    """The budget is 2 s in all; this takes a fraction of it, the first time of each type included."""
    kinds: dict[str, dict[str, Any]] = {
        "AWS::EC2::Route": {
            "RouteTableId": "rtb-1",
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": "igw-1",
        },
        "AWS::S3::Bucket": {"BucketName": "a-bucket", "VersioningConfiguration": {"Status": "Enabled"}},
        "AWS::Lambda::Function": {
            "Code": {"S3Bucket": "code", "S3Key": "k"},
            "Role": "arn:aws:iam::123456789012:role/r",
        },
        "AWS::DynamoDB::GlobalTable": {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Replicas": [{"Region": "us-east-1"}],
        },
        "AWS::EC2::Subnet": {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"},
    }
    started = time.process_time()
    for _ in range(50):
        for type_name, properties in kinds.items():
            known = schema(type_name)
            assert problems(known, converted(known, properties)) == []
    assert time.process_time() - started < 2
