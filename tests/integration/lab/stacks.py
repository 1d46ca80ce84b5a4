"""Tiny templates for what the lab must show, and how a test deploys them."""

import json
import time
from typing import Any

import boto3.session
from botocore.exceptions import ClientError

from lab.plan import LabPlan

Template = dict[str, Any]
_DEADLINE = 60.0


class StackError(Exception):
    """The stack did not come to its end; the message holds the reasons of its failed resources."""


class Region:
    """One region of the lab as a deployer sees it: through the region's proxy."""

    def __init__(self, lab: LabPlan, session: boto3.session.Session, name: str) -> None:
        where = lab.regions[name]
        self.rds = session.client("rds", region_name=name, endpoint_url=where.proxy_url)
        self.functions = session.client("lambda", region_name=name, endpoint_url=where.proxy_url)
        self.s3 = session.client("s3", region_name=name, endpoint_url=where.proxy_url)
        self.cloudwatch = session.client("cloudwatch", region_name=name, endpoint_url=where.proxy_url)
        self._stacks = session.client("cloudformation", region_name=name, endpoint_url=where.proxy_url)

    def deploy(self, name: str, template: Template) -> dict[str, str]:
        self._stacks.create_stack(
            StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        stack = self._ended(name)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise StackError(self._reasons(name))
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def remove(self, name: str) -> None:
        self._stacks.delete_stack(StackName=name)
        try:
            self._ended(name)
        except ClientError:
            return  # a deleted stack is not found by its name
        raise StackError(self._reasons(name))

    def _ended(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + _DEADLINE
        while True:
            stack: dict[str, Any] = dict(self._stacks.describe_stacks(StackName=name)["Stacks"][0])
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            assert time.monotonic() < deadline, f"{name} is still {stack['StackStatus']}"
            time.sleep(0.05)

    def _reasons(self, name: str) -> str:
        events = self._stacks.describe_stack_events(StackName=name)["StackEvents"]
        failed = [event for event in events if event.get("ResourceStatus", "").endswith("_FAILED")]
        return "\n".join(f"{e.get('LogicalResourceId')}: {e.get('ResourceStatusReason')}" for e in failed)


def global_cluster(name: str, **properties: object) -> Template:
    fixed = {"GlobalClusterIdentifier": name, "Engine": "aurora-postgresql", "EngineVersion": "14.6"}
    resource = {
        "Type": "AWS::RDS::GlobalCluster",
        "Properties": {**fixed, "StorageEncrypted": True, **properties},
    }
    return {"Resources": {"Global": resource}}


def cluster(name: str, member_of: str, *, instance: bool = True, **properties: object) -> Template:
    fixed = {
        "DBClusterIdentifier": name,
        "GlobalClusterIdentifier": member_of,
        "Engine": "aurora-postgresql",
        "EngineVersion": "14.6",
        "Port": 5432,
        "StorageEncrypted": True,
        "KmsKeyId": "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 1},
    }
    resources: Template = {
        "Cluster": {
            "Type": "AWS::RDS::DBCluster",
            "DeletionPolicy": "Delete",
            "Properties": {**fixed, **properties},
        }
    }
    if instance:
        resources["Instance"] = {
            "Type": "AWS::RDS::DBInstance",
            "Properties": {
                "DBClusterIdentifier": {"Ref": "Cluster"},
                "DBInstanceClass": "db.serverless",
                "Engine": "aurora-postgresql",
            },
        }
    endpoints = {"Address": "Endpoint.Address", "Port": "Endpoint.Port", "Readers": "ReadEndpoint.Address"}
    outputs = {name: {"Value": {"Fn::GetAtt": ["Cluster", part]}} for name, part in endpoints.items()}
    return {"Resources": resources, "Outputs": outputs}


_CODE = """\
import importlib, json, os, sys, time, urllib.error, urllib.request
import boto3

def attempt(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True

def handle(event, context):
    if event.get("asks") == "environment":
        return dict(os.environ)
    if event.get("asks") == "process":
        return os.getpid()
    if event.get("asks") == "imports":
        return {name: attempt(name) for name in event["names"]}
    if event.get("asks") == "buckets":
        return [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    if event.get("asks") == "https":
        try:
            with urllib.request.urlopen(event["url"], timeout=3) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            return str(error)
    if event.get("asks") == "wait":
        while not os.path.exists(event["until"]):
            time.sleep(0.01)
        return os.path.realpath(__file__)
    seen = {name: event.get(name) for name in ("httpMethod", "path", "queryStringParameters", "body")}
    seen["headers"] = {name.lower(): value for name, value in event["headers"].items()}
    return {"statusCode": 200, "headers": {"X-Seen": "yes"}, "body": json.dumps(seen)}
"""


def function_with_api(host: str) -> Template:
    """A function that tells what it sees, behind a REST API with a custom domain."""
    trust = {"Principal": {"Service": "lambda.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
    grant = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": {"Fn::Sub": uri}}
    method = {"x-amazon-apigateway-integration": integration, "responses": {"200": {"description": "ok"}}}
    body = {
        "openapi": "3.0.1",
        "info": {"title": "seen", "version": "1"},
        "paths": {"/health": {"get": method}, "/payments": {"post": method}},
    }
    return {
        "Resources": {
            "Role": resource(
                "AWS::IAM::Role",
                AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
                Policies=[
                    {"PolicyName": "s3", "PolicyDocument": {"Version": "2012-10-17", "Statement": [grant]}}
                ],
            ),
            "Function": resource(
                "AWS::Lambda::Function",
                FunctionName="seen",
                Runtime="python3.11",
                Handler="index.handle",
                Timeout=20,
                Role={"Fn::GetAtt": ["Role", "Arn"]},
                Code={"ZipFile": _CODE},
                Environment={"Variables": {"OWN": "value"}},
            ),
            "Permission": resource(
                "AWS::Lambda::Permission",
                Action="lambda:InvokeFunction",
                FunctionName={"Ref": "Function"},
                Principal="apigateway.amazonaws.com",
            ),
            "Api": resource("AWS::ApiGateway::RestApi", Name="seen", Body=body),
            "Deployment": resource("AWS::ApiGateway::Deployment", RestApiId={"Ref": "Api"}),
            "Stage": resource(
                "AWS::ApiGateway::Stage",
                RestApiId={"Ref": "Api"},
                DeploymentId={"Ref": "Deployment"},
                StageName="live",
            ),
            "Certificate": resource("AWS::CertificateManager::Certificate", DomainName=host),
            "Domain": resource(
                "AWS::ApiGateway::DomainName",
                DomainName=host,
                RegionalCertificateArn={"Ref": "Certificate"},
                EndpointConfiguration={"Types": ["REGIONAL"]},
            ),
            "Mapping": resource(
                "AWS::ApiGateway::BasePathMapping",
                DomainName={"Ref": "Domain"},
                RestApiId={"Ref": "Api"},
                Stage={"Ref": "Stage"},
            ),
        },
        "Outputs": {"End": {"Value": {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}}},
    }


def alias(name: str, end: str, **more: object) -> Template:
    """A record of the template's zone that leads to a custom domain."""
    target = {"DNSName": end, "HostedZoneId": "Z1UJRXOUMOOFQ8"}
    zone = {"Ref": "Zone"}
    return resource(
        "AWS::Route53::RecordSet", HostedZoneId=zone, Name=name, Type="A", AliasTarget=target, **more
    )


def health_check(host: str, path: str) -> Template:
    """One result is enough to change its state."""
    return resource(
        "AWS::Route53::HealthCheck",
        HealthCheckConfig={
            "Type": "HTTPS",
            "FullyQualifiedDomainName": host,
            "ResourcePath": path,
            "RequestInterval": 10,
            "FailureThreshold": 1,
        },
    )


def resource(kind: str, **properties: object) -> Template:
    return {"Type": kind, "Properties": properties}
