"""What our stacks rely on in CloudFormation itself: scopes of exports, conditions, how a deletion stops."""

import uuid
from typing import Any

from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws, delete, deploy, outputs, reasons


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def topic(**more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SNS::Topic", "Properties": {}, **more}


def test_an_export_is_for_its_region_and_held_by_who_imports_it(aws: EmbeddedAws) -> None:
    name, exporter, importer = unique("export"), unique("exporter"), unique("importer")
    publishing = {
        "Resources": {"Topic": topic()},
        "Outputs": {"Topic": {"Value": {"Ref": "Topic"}, "Export": {"Name": name}}},
    }
    reading = {
        "Resources": {"Topic": topic(Properties={"DisplayName": {"Fn::ImportValue": name}})},
        "Outputs": {"Read": {"Value": {"Fn::ImportValue": name}}},
    }
    assert deploy(aws, exporter, publishing) == "CREATE_COMPLETE"
    assert deploy(aws, importer, reading, PEER) == "ROLLBACK_COMPLETE"
    assert "not found" in reasons(aws, importer, PEER)
    assert deploy(aws, importer, reading) == "CREATE_COMPLETE"
    assert outputs(aws, importer)["Read"].startswith(f"arn:aws:sns:{HOME}:")
    assert delete(aws, importer) == "DELETE_COMPLETE"
    assert delete(aws, exporter) == "DELETE_COMPLETE"


def test_a_condition_sees_region_and_mappings(aws: EmbeddedAws) -> None:
    template = {
        "Mappings": {"Regions": {HOME: {"Place": "primary"}, PEER: {"Place": "secondary"}}},
        "Conditions": {
            "IsPrimary": {
                "Fn::Equals": [{"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Place"]}, "primary"]
            },
            "IsSecondary": {"Fn::Not": [{"Condition": "IsPrimary"}]},
        },
        "Resources": {
            "Always": topic(),
            "First": topic(Condition="IsPrimary"),
            "Second": topic(Condition="IsSecondary"),
        },
    }
    stack = unique("conditions")
    for region, present in ((HOME, {"Always", "First"}), (PEER, {"Always", "Second"})):
        assert deploy(aws, stack, template, region) == "CREATE_COMPLETE"
        resources = aws.client("cloudformation", region).describe_stack_resources(StackName=stack)
        assert {item["LogicalResourceId"] for item in resources["StackResources"]} == present


def test_a_deletion_stops_below_what_it_could_not_delete(aws: EmbeddedAws) -> None:
    stack, bucket = unique("deletion"), unique("full")
    template = {
        "Resources": {
            "Below": topic(),
            "Beside": topic(),
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "DependsOn": ["Below"],
                "Properties": {"BucketName": bucket},
            },
        }
    }
    assert deploy(aws, stack, template) == "CREATE_COMPLETE", reasons(aws, stack)
    aws.client("s3").put_object(Bucket=bucket, Key="kept", Body=b"1")
    assert delete(aws, stack) == "DELETE_FAILED"
    client = aws.client("cloudformation")
    left = client.describe_stack_resources(StackName=stack)["StackResources"]
    assert {item["LogicalResourceId"] for item in left} == {"Below", "Bucket"}
    aws.client("s3").delete_object(Bucket=bucket, Key="kept")
    assert delete(aws, stack) == "DELETE_COMPLETE"
