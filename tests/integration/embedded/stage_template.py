"""A template of a small API behind everything that can stand before one, for the tests of it."""

import copy
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.integration.embedded.embedded_aws import HOME, EmbeddedAws, deploy, outputs, reasons

CODE = """
import json
def handle(event, context):
    if event["path"] == "/broken":
        raise RuntimeError("as asked")
    print(json.dumps({
        "_aws": {
            "Timestamp": event["requestContext"]["requestTimeEpoch"],
            "CloudWatchMetrics": [{
                "Namespace": "shop", "Dimensions": [["service"]],
                "Metrics": [{"Name": "Taken", "Unit": "Count"}],
            }],
        },
        "service": "api", "Taken": 1,
    }))
    return {"statusCode": 200, "body": json.dumps(event["requestContext"])}
"""
FORMAT = {
    "requestId": "$context.requestId",
    "status": "$context.status",
    "path": "$context.resourcePath",
    "errorType": "$context.error.responseType",
    "waf": "$context.wafResponseCode",
    "sourceIp": "$context.identity.sourceIp",
    "traceId": "$context.xrayTraceId",
    "unheard": "$context.unheardOf",
}
PROBLEM = {"type": "urn:problem:too-many", "status": 429}


def rule(name: str, priority: int, statement: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    visible = {"CloudWatchMetricsEnabled": True, "MetricName": name, "SampledRequestsEnabled": False}
    return {
        "Name": name,
        "Priority": priority,
        "Statement": statement,
        "VisibilityConfig": visible,
        **action,
    }


RULES = [
    rule(
        "rate",
        0,
        {"RateBasedStatement": {"Limit": 20, "AggregateKeyType": "IP", "EvaluationWindowSec": 60}},
        {"Action": {"Block": {"CustomResponse": {"ResponseCode": 429, "CustomResponseBodyKey": "too-many"}}}},
    ),
    rule(
        "body",
        1,
        {
            "SizeConstraintStatement": {
                "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
                "ComparisonOperator": "GT",
                "Size": 100,
                "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
            }
        },
        {"Action": {"Block": {}}},
    ),
    rule(
        "bad-inputs",
        2,
        {
            "ManagedRuleGroupStatement": {
                "VendorName": "AWS",
                "Name": "AWSManagedRulesKnownBadInputsRuleSet",
            }
        },
        {"OverrideAction": {"None": {}}},
    ),
]


def operation(**more: Any) -> dict[str, Any]:
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": {"Fn::Sub": uri}}
    return {"responses": {}, "x-amazon-apigateway-integration": integration, **more}


def openapi(title: str) -> dict[str, Any]:
    body = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}}
    key = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}
    pay = operation(parameters=[key], requestBody={"content": {"application/json": {"schema": body}}})
    return {
        "openapi": "3.0.1",
        "info": {"title": title, "version": "1"},
        "paths": {
            "/payments": {"post": pay},
            "/once": {"get": operation()},
            "/broken": {"get": operation()},
        },
        "x-amazon-apigateway-request-validators": {
            "all": {"validateRequestBody": True, "validateRequestParameters": True}
        },
        "x-amazon-apigateway-request-validator": "all",
        "x-amazon-apigateway-gateway-responses": {
            "THROTTLED": {"statusCode": "429", "responseTemplates": {"application/json": json.dumps(PROBLEM)}}
        },
    }


def role(service: str, *actions: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    grant = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [grant]}}
            ],
        },
    }


LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def template(name: str) -> dict[str, Any]:
    stage_arn = "arn:aws:apigateway:${AWS::Region}::/restapis/${Api}/stages/live"
    setting = {"HttpMethod": "*", "ResourcePath": "/*", "MetricsEnabled": True, "LoggingLevel": "ERROR"}
    resources = {
        "LogRole": role("apigateway.amazonaws.com", *LOGS),
        "Account": ("ApiGateway::Account", {"CloudWatchRoleArn": {"Fn::GetAtt": ["LogRole", "Arn"]}}),
        "FunctionRole": role("lambda.amazonaws.com", *LOGS),
        "Function": (
            "Lambda::Function",
            {
                "FunctionName": name,
                "Runtime": "python3.11",
                "Handler": "index.handle",
                "Code": {"ZipFile": CODE},
                "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
            },
        ),
        "Permission": (
            "Lambda::Permission",
            {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
            },
        ),
        "Api": ("ApiGateway::RestApi", {"Name": name, "Body": openapi(name)}),
        "Deployment": ("ApiGateway::Deployment", {"RestApiId": {"Ref": "Api"}}),
        "AccessLog": ("Logs::LogGroup", {"LogGroupName": f"/aws/apigateway/{name}"}),
        "Stage": (
            "ApiGateway::Stage",
            {
                "RestApiId": {"Ref": "Api"},
                "DeploymentId": {"Ref": "Deployment"},
                "StageName": "live",
                "TracingEnabled": True,
                "AccessLogSetting": {
                    "DestinationArn": {
                        "Fn::Sub": "arn:aws:logs:${AWS::Region}:${AWS::AccountId}:log-group:${AccessLog}"
                    },
                    "Format": json.dumps(FORMAT),
                },
                "MethodSettings": [
                    {**setting, "ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000},
                    {
                        **setting,
                        "HttpMethod": "GET",
                        "ResourcePath": "/~1once",
                        "ThrottlingRateLimit": 0.001,
                        "ThrottlingBurstLimit": 1,
                    },
                ],
            },
            "Account",
        ),
        "Firewall": (
            "WAFv2::WebACL",
            {
                "Name": name,
                "Scope": "REGIONAL",
                "DefaultAction": {"Allow": {}},
                "Rules": copy.deepcopy(RULES),
                "CustomResponseBodies": {
                    "too-many": {"ContentType": "APPLICATION_JSON", "Content": json.dumps(PROBLEM)}
                },
                "VisibilityConfig": rule(name, 0, {}, {})["VisibilityConfig"],
            },
        ),
        "Association": (
            "WAFv2::WebACLAssociation",
            {"ResourceArn": {"Fn::Sub": stage_arn}, "WebACLArn": {"Fn::GetAtt": ["Firewall", "Arn"]}},
            "Stage",
        ),
        "FirewallLog": ("Logs::LogGroup", {"LogGroupName": f"aws-waf-logs-{name}"}),
        "FirewallLogging": (
            "WAFv2::LoggingConfiguration",
            {
                "ResourceArn": {"Fn::GetAtt": ["Firewall", "Arn"]},
                "LogDestinationConfigs": [
                    {"Fn::Sub": "arn:aws:logs:${AWS::Region}:${AWS::AccountId}:log-group:${FirewallLog}"}
                ],
                "RedactedFields": [{"SingleHeader": {"Name": "authorization"}}],
            },
        ),
    }
    return {
        "Resources": {title: resource(found) for title, found in resources.items()},
        "Outputs": {"Api": {"Value": {"Ref": "Api"}}, "Acl": {"Value": {"Fn::GetAtt": ["Firewall", "Arn"]}}},
    }


def resource(found: Any) -> dict[str, Any]:
    if isinstance(found, dict):
        return found
    kind, properties, *needs = found
    return {"Type": f"AWS::{kind}", "Properties": properties, **({"DependsOn": needs} if needs else {})}


@dataclass(frozen=True)
class DeployedStage:
    aws: EmbeddedAws
    name: str
    api: str
    acl: str

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers (by lower-case name). `source` is the client's address."""
        sent = {"X-Forwarded-For": headers.pop("source", "192.0.2.1"), "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{self.aws.plan.gateway_url}/_aws/execute-api/{self.api}/live{path}",
            data=body,
            headers=sent,
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - our own
                return response.status, json.loads(response.read() or b"null"), _lower(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null"), _lower(error.headers)

    def lines(self, group: str) -> list[Any]:
        found = self.aws.client("logs", HOME).filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in found]


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def deployed_stage(aws: EmbeddedAws, name: str) -> DeployedStage:
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    found = outputs(aws, name)
    return DeployedStage(aws, name, found["Api"], found["Acl"])
