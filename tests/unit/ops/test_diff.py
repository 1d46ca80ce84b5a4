"""`python -m ops diff`: what CloudFormation is asked, what is left of it, and what it means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from failover.planner import Unknown
from ops import diff_report
from ops.changes import Action, Change, Effect
from ops.diff import Difference, StackDiff, by_change_set, change_of, rolled_out
from ops.drift import Drift, expected_after, of_resource
from templates.config import load

ARN = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/samcli-deploy1/a"
STACK = {
    "StackName": "payments-prod",
    "StackId": "arn:stack",
    "StackStatus": "UPDATE_COMPLETE",
    "CreationTime": "2026-11-22T00:00:00Z",
}


@dataclass
class Sam:
    """What `sam deploy` would say."""

    says: Mapping[str, Any]
    stack: str = "payments-prod"
    region: str = "us-east-1"
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def deploy(self, *options: str) -> Mapping[str, Any]:
        self.asked.append(options)
        return self.says

    def document(self) -> Mapping[str, Any]:
        return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}


@pytest.fixture
def cloudformation() -> Iterator[Stubber]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("cloudformation", region_name="us-east-1", **keys)  # type: ignore[call-overload]
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def described(action: str, kind: str = "AWS::S3::Bucket", **more: Any) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": "Thing", "ResourceType": kind, **more}
    return {"Type": "Resource", "ResourceChange": change}


def test_a_change_set_is_read_and_deleted_again(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", {"Stacks": [STACK]}, {"StackName": "payments-prod"})
    changes = {"Changes": [described("Add")], "Status": "CREATE_COMPLETE"}
    cloudformation.add_response("describe_change_set", changes, {"ChangeSetName": ARN})
    cloudformation.add_response("delete_change_set", {}, {"ChangeSetName": ARN})
    sam = Sam({"status": "changeset_created", "changeset_id": ARN})
    found = by_change_set(cloudformation.client, "root", sam)
    assert found.changes == (Change("Thing", "AWS::S3::Bucket", Action.ADD),)
    assert sam.asked == [("--no-execute-changeset", "--no-fail-on-empty-changeset")]


def test_a_change_set_that_cannot_be_read_is_deleted_as_well(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", {"Stacks": [STACK]})
    cloudformation.add_client_error("describe_change_set", "AccessDenied", http_status_code=403)
    cloudformation.add_response("delete_change_set", {}, {"ChangeSetName": ARN})
    with pytest.raises(cloudformation.client.exceptions.ClientError):
        by_change_set(cloudformation.client, "root", Sam({"status": "x", "changeset_id": ARN}))


def test_only_what_failed_is_deleted_where_nothing_changes(cloudformation: Stubber) -> None:
    """Somebody else may be about to execute theirs."""
    listed = [
        {"ChangeSetId": ARN, "ChangeSetName": "samcli-deploy1", "Status": "FAILED"},
        {"ChangeSetId": ARN + "b", "ChangeSetName": "samcli-deploy2", "Status": "CREATE_COMPLETE"},
        {"ChangeSetId": ARN + "c", "ChangeSetName": "somebody-s", "Status": "FAILED"},
    ]
    cloudformation.add_response("describe_stacks", {"Stacks": [STACK]})
    cloudformation.add_response("list_change_sets", {"Summaries": listed})
    cloudformation.add_response("delete_change_set", {}, {"ChangeSetName": ARN})
    assert not by_change_set(cloudformation.client, "root", Sam({"status": "no_changes"})).differs


def test_a_stack_that_is_not_there_gets_no_change_set(cloudformation: Stubber) -> None:
    """It would leave an empty stack in review."""
    message = "Stack with id payments-prod does not exist"
    cloudformation.add_client_error("describe_stacks", "ValidationError", message)
    sam = Sam({})
    found = by_change_set(cloudformation.client, "root", sam)
    assert found.absent
    assert [change.action for change in found.changes] == [Action.ADD]
    assert sam.asked == []


def test_a_change_of_nothing_but_outputs_is_one(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", {"Stacks": [STACK]})
    cloudformation.add_response("describe_change_set", {"Changes": []})
    cloudformation.add_response("delete_change_set", {})
    assert by_change_set(cloudformation.client, "root", Sam({"changeset_id": ARN})).differs


@pytest.mark.parametrize(
    ("change", "action", "effect"),
    [
        (described("Remove", PolicyAction="Delete"), Action.REMOVE, Effect.LOSES),
        (described("Remove", PolicyAction="Retain"), Action.REMOVE, Effect.LEAVES),
        (described("Remove"), Action.REMOVE, Effect.LOSES),
        (described("Remove", kind="AWS::SNS::Topic"), Action.REMOVE, None),
        (
            described("Modify", Replacement="True", PolicyAction="ReplaceAndRetain"),
            Action.REPLACE,
            Effect.LEAVES,
        ),
        (described("Modify", Replacement="False"), Action.CHANGE, None),
        (described("Modify", Replacement="Conditional"), Action.CHANGE, Effect.LOSES),
        (described("Dynamic"), Action.UNKNOWN, Effect.LOSES),
        (
            described(
                "Modify",
                kind="AWS::RDS::GlobalCluster",
                Replacement="False",
                Details=[{"Target": {"Attribute": "Properties", "Name": "EngineVersion"}}],
            ),
            Action.CHANGE,
            Effect.INTERRUPTS,
        ),
    ],
)
def test_what_cloudformation_says_of_a_resource(
    change: dict[str, Any], action: Action, effect: Effect | None
) -> None:
    found = change_of(change)
    assert (found.action, found.effect) == (action, effect)


def test_the_build_says_what_is_rolled_out_where() -> None:
    stack_set = {
        "Type": "AWS::CloudFormation::StackSet",
        "Properties": {
            "StackSetName": "payments-data-prod",
            "TemplateURL": "data.json",
            "StackInstancesGroup": [{"Regions": ["us-east-1", "us-east-2"]}],
        },
    }
    root = {"Resources": {"Data": stack_set, "Topic": {"Type": "AWS::SNS::Topic"}}}
    (found,) = rolled_out(root)
    assert (found.template, found.stack_set) == ("data", "payments-data-prod")
    assert found.regions == ("us-east-1", "us-east-2")


def test_drift_of_a_role_swap_is_expected_and_no_other_is() -> None:
    resource = {
        "ResourceType": "AWS::RDS::DBCluster",
        "LogicalResourceId": "Cluster",
        "StackResourceDriftStatus": "MODIFIED",
        "PropertyDifferences": [
            {"PropertyPath": "/GlobalClusterIdentifier"},
            {"PropertyPath": "/ServerlessV2ScalingConfiguration/MinCapacity"},
        ],
    }
    found = {drift.name: drift.expected for drift in of_resource(resource, "data", "us-east-1")}
    assert found == {"GlobalClusterIdentifier": True, "ServerlessV2ScalingConfiguration": False}
    (gone,) = of_resource(
        {**resource, "StackResourceDriftStatus": "DELETED", "PropertyDifferences": []}, "data", "x"
    )
    assert "Cluster is gone" in gone.text


def test_after_a_role_swap_it_is_known_without_looking() -> None:
    settings = load(Path(__file__).parents[3] / "deployment.toml", None, {})
    expected = expected_after(settings, settings.regions.secondary)
    assert all(drift.expected for drift in expected)
    assert {(one.stack, one.region, one.name) for one in expected} == {
        ("data", "us-east-1", "GlobalClusterIdentifier"),
        ("data", "us-east-1", "SourceDBClusterIdentifier"),
        ("data", "us-east-2", "GlobalClusterIdentifier"),
        ("data", "us-east-2", "SourceDBClusterIdentifier"),
        ("root", "us-east-1", "SourceDBClusterIdentifier"),
    }


HARMLESS = Change("Role", "AWS::IAM::Role", Action.CHANGE, ("Policies",))
GRAVE = Change("Bucket", "AWS::S3::Bucket", Action.REPLACE, ("BucketName",), effect=Effect.LEAVES)


def difference(*changes: Change, unknown: bool = False) -> Difference:
    stacks: dict[tuple[str, str], StackDiff | Unknown] = {
        ("root", "us-east-1"): StackDiff("root", "us-east-1", changes)
    }
    if unknown:
        stacks["data", "us-east-2"] = Unknown("no answer within 60 s")
    drift = Drift(
        "data", "us-east-1", "Cluster", "AWS::RDS::DBCluster", "GlobalClusterIdentifier", expected=True
    )
    return Difference(stacks, (drift,), {})


def test_what_it_says_of_a_difference() -> None:
    text = diff_report.text(difference(HARMLESS, GRAVE, unknown=True))
    assert "1 to change, 1 to replace" in text
    assert "it is left behind" in text
    assert "unknown: no answer within 60 s" in text
    assert "expected after a role swap; leave it as it is" in text
    assert "would change nothing" not in text
    assert "would change nothing" in diff_report.text(difference())


def test_how_grave_it_is() -> None:
    assert not difference().differs
    assert (difference(HARMLESS).differs, difference(HARMLESS).grave) == (True, False)
    assert difference(GRAVE).grave
    assert (difference(unknown=True).unknown, difference(unknown=True).differs) == (True, False)


def test_the_document_holds_all_of_it() -> None:
    document = diff_report.document(difference(GRAVE, unknown=True))
    root, data = document["stacks"]
    assert root["changes"][0]["effect"] == "leaves"
    assert data["unknown"] == "no answer within 60 s"
    assert document["drift"][0]["expected"] is True
