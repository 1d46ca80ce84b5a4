"""The real `sam deploy`: a root with a StackSet and a custom resource, deployed, unchanged, changed."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws, delete, outputs, reasons

STACK = "sam-root"
FUNCTION = textwrap.dedent(
    """
    import json, os, urllib.request
    import boto3
    from botocore.exceptions import ClientError


    def handle(event, context):
        data = {"Caller": boto3.client("sts").get_caller_identity()["Arn"]}
        if event["RequestType"] != "Delete":
            data["Instances"] = ",".join(sorted(
                item["Region"] for item in boto3.client("cloudformation").list_stack_instances(
                    StackSetName=event["ResourceProperties"]["StackSetName"])["Summaries"]))
            try:
                boto3.client("dynamodb").list_tables()
                data["Tables"] = "granted"
            except ClientError as error:
                data["Tables"] = error.response["Error"]["Code"]
        body = json.dumps({"Status": "SUCCESS", "PhysicalResourceId": "probe", "StackId": event["StackId"],
                           "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
                           "Data": data}).encode()
        urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"))
    """
)


def role(name: str, principal: Any, *statements: dict[str, Any]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **item} for item in statements]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "work", "PolicyDocument": policy}],
        },
    }


def root(words: str) -> dict[str, Any]:
    administration = {"Fn::GetAtt": ["Administration", "Arn"]}
    stack_set = {
        "Fn::Sub": "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stackset/*"
    }
    return {
        "Resources": {
            "Administration": role(
                "sam-administration",
                {"Service": "cloudformation.amazonaws.com"},
                {"Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/sam-execution"},
            ),
            "Execution": role("sam-execution", {"AWS": administration}, {"Action": "*", "Resource": "*"}),
            "Regional": {
                "Type": "AWS::CloudFormation::StackSet",
                "DependsOn": ["Execution"],
                "Properties": {
                    "StackSetName": "sam-regional",
                    "PermissionModel": "SELF_MANAGED",
                    "CallAs": "SELF",
                    "AdministrationRoleARN": administration,
                    "ExecutionRoleName": "sam-execution",
                    "TemplateURL": "regional.json",
                    "Parameters": [{"ParameterKey": "Words", "ParameterValue": words}],
                    "OperationPreferences": {"RegionOrder": [PEER, HOME]},
                    "StackInstancesGroup": [
                        {
                            "DeploymentTargets": {"Accounts": [{"Ref": "AWS::AccountId"}]},
                            "Regions": [HOME, PEER],
                        }
                    ],
                },
            },
            "FunctionRole": role(
                "sam-function",
                {"Service": "lambda.amazonaws.com"},
                {"Action": "cloudformation:ListStackInstances", "Resource": stack_set},
            ),
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "sam-probe",
                    "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
                    "Handler": "probe.handle",
                    "Code": "function",
                    "Timeout": 30,
                    "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
                },
            },
            "Kept": {
                "Type": "AWS::DynamoDB::Table",
                "DeletionPolicy": "RetainExceptOnCreate",
                "Properties": {
                    "TableName": "sam-kept",
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                },
            },
            "Probe": {
                "Type": "Custom::Probe",
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]},
                    "StackSetName": {"Ref": "Regional"},
                    "Words": words,
                },
            },
        },
        "Outputs": {
            name: {"Value": {"Fn::GetAtt": ["Probe", name]}} for name in ("Caller", "Instances", "Tables")
        },
    }


REGIONAL = {
    "Parameters": {"Words": {"Type": "String"}},
    "Mappings": {"Regions": {HOME: {"Place": "primary"}, PEER: {"Place": "secondary"}}},
    "Conditions": {
        "IsPrimary": {
            "Fn::Equals": [{"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Place"]}, "primary"]
        }
    },
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": {"Fn::Sub": "sam-${AWS::Region}"},
                "DisplayName": {"Ref": "Words"},
                "Tags": [
                    {"Key": "place", "Value": {"Fn::If": ["IsPrimary", "first", "second"]}},
                ],
            },
        },
        "OnlyPrimary": {
            "Type": "AWS::SNS::Topic",
            "Condition": "IsPrimary",
            "Properties": {"TopicName": "sam-only-primary"},
        },
    },
    "Outputs": {"Topic": {"Value": {"Ref": "Topic"}, "Export": {"Name": "sam-topic"}}},
}


@dataclass(frozen=True)
class Project:
    """A directory `sam deploy` runs in; its AWS configuration leads nowhere but to the embedded AWS."""

    directory: Path

    def deploy(self, words: str) -> str:
        (self.directory / "root.json").write_text(json.dumps(root(words)))
        finished = subprocess.run(
            [
                str(Path(sys.executable).parent / "sam"),
                *("deploy", "--template-file", "root.json", "--stack-name", STACK, "--resolve-s3"),
                *("--capabilities", "CAPABILITY_NAMED_IAM", "--region", HOME, "--profile", "embedded"),
                *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            ],
            cwd=self.directory,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.directory),
                "AWS_CONFIG_FILE": str(self.directory / "config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(self.directory / "credentials"),
                "AWS_EC2_METADATA_DISABLED": "true",
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.3",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def project(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp("sam")
    (directory / "config").write_text(
        f"[profile embedded]\nregion = {HOME}\nendpoint_url = {aws.plan.gateway_url}\n"
    )
    (directory / "credentials").write_text(
        f"[embedded]\naws_access_key_id = {aws.plan.account_id}\naws_secret_access_key = lab\n"
    )
    (directory / "regional.json").write_text(json.dumps(REGIONAL))
    (directory / "function").mkdir()
    (directory / "function" / "probe.py").write_text(FUNCTION)
    return Project(directory)


def events(aws: EmbeddedAws, stack: str, region: str) -> list[str]:
    found = aws.client("cloudformation", region).describe_stack_events(StackName=stack)["StackEvents"]
    return [f"{event['LogicalResourceId']} {event['ResourceStatus']}" for event in found]


def test_deploying_unchanged_and_changed(aws: EmbeddedAws, project: Project) -> None:
    project.deploy("first")
    found = outputs(aws, STACK)
    assert found["Instances"] == f"{HOME},{PEER}"
    assert ":assumed-role/sam-function/" in found["Caller"]
    assert found["Tables"] == "AccessDeniedException"
    client = aws.client("cloudformation")
    stacks = {
        item["Region"]: item["StackId"]
        for item in client.list_stack_instances(StackSetName="sam-regional")["Summaries"]
    }
    for region, tag in ((HOME, "first"), (PEER, "second")):
        sns = aws.client("sns", region)
        arn = f"arn:aws:sns:{region}:{aws.plan.account_id}:sam-{region}"
        assert {"Key": "place", "Value": tag} in sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
        exported = aws.client("cloudformation", region).list_exports()["Exports"]
        assert {item["Value"] for item in exported if item["Name"] == "sam-topic"} == {arn}
    primary_only = [t["TopicArn"] for t in aws.client("sns", PEER).list_topics()["Topics"]]
    assert not any("only-primary" in arn for arn in primary_only)

    assert "No changes to deploy" in project.deploy("first")

    before = {region: len(events(aws, stack, region)) for region, stack in stacks.items()}
    kept_at = aws.client("dynamodb").describe_table(TableName="sam-kept")["Table"]["TableId"]
    before_root = len(events(aws, STACK, HOME))
    project.deploy("second")
    fresh = events(aws, STACK, HOME)[:-before_root]
    touched = {line.split()[0] for line in fresh if line.endswith("UPDATE_COMPLETE")}
    assert touched == {"Regional", "Probe", STACK}
    for region, stack in stacks.items():
        assert "Topic UPDATE_COMPLETE" in events(aws, stack, region)[: -before[region]]

    assert delete(aws, STACK) == "DELETE_COMPLETE", reasons(aws, STACK)
    # Retained, as what no failed operation made; the rest is gone.
    assert aws.client("dynamodb").describe_table(TableName="sam-kept")["Table"]["TableId"] == kept_at
    left = [item["StackSetName"] for item in client.list_stack_sets()["Summaries"]]
    assert "sam-regional" not in left
