"""The REST API made of the public document."""

import json
from pathlib import Path
from typing import Any

import pytest
from troposphere import Template, awslambda

from templates.api import HEALTH, OPERATIONS, ApiPlan, Operation, add_api, deployable, problem, problems
from tests.unit.templates.rendering import properties

_PUBLIC = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text("utf-8"))


@pytest.fixture
def function() -> awslambda.Function:
    return awslambda.Function("ApiFunction")


@pytest.fixture
def body(function: awslambda.Function) -> dict[str, Any]:
    return deployable(_PUBLIC, function)


def test_every_operation_is_validated_and_integrated(body: dict[str, Any]) -> None:
    operations = [operation for path in body["paths"].values() for operation in path.values()]
    assert len(operations) == sum(len(path) for path in _PUBLIC["paths"].values())
    for operation in operations:
        assert operation["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
        assert operation["x-amazon-apigateway-integration"]["httpMethod"] == "POST"
    assert body["x-amazon-apigateway-request-validator"] in body["x-amazon-apigateway-request-validators"]


def test_the_public_document_stays_as_it_is(function: awslambda.Function) -> None:
    before = json.dumps(_PUBLIC)
    deployable(_PUBLIC, function)
    assert json.dumps(_PUBLIC) == before
    assert "x-amazon" not in before


def test_api_gateway_answers_with_problems_of_the_public_document(body: dict[str, Any]) -> None:
    known = set(_PUBLIC["components"]["schemas"]["Problem"]["properties"]["type"]["enum"])
    for kind, response in body["x-amazon-apigateway-gateway-responses"].items():
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert problem["type"] in known, kind
        assert problem["status"] == int(response["statusCode"]), kind
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert ("gatewayresponse.header.Retry-After" in headers) == (response["statusCode"] == "429")


def test_models_have_no_keyword_api_gateway_refuses(body: dict[str, Any]) -> None:
    assert '"example' not in json.dumps(body["components"])


def test_another_document_is_another_deployment(function: awslambda.Function) -> None:
    other = json.loads(json.dumps(_PUBLIC))
    other["paths"]["/health"]["get"]["summary"] = "Something else"
    assert _deployment(_PUBLIC, function) == _deployment(_PUBLIC, function)
    assert _deployment(_PUBLIC, function) != _deployment(other, function)


def test_alarms_count_every_operation_but_health_checks() -> None:
    documented = {
        Operation(method.upper(), path) for path, item in _PUBLIC["paths"].items() for method in item
    }
    assert documented == {*OPERATIONS, HEALTH}


def test_the_stage_logs_who_asked_what_and_how_it_ended(function: awslambda.Function) -> None:
    stage = properties(_added(_PUBLIC, function), "Stage")
    assert stage["AccessLogSetting"]["DestinationArn"]["Fn::Sub"][1] == {"Group": {"Ref": "AccessLogs"}}
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"requestId", "requestTime", "sourceIp", "httpMethod", "resourcePath", "status"} <= line.keys()
    # Values are put between the quotes as they are: none may be chosen by a client.
    assert not {"$context.identity.userAgent", "$context.path"} & set(line.values())


def test_health_checks_have_a_throttle_of_their_own(function: awslambda.Function) -> None:
    everything, health = properties(_added(_PUBLIC, function), "Stage")["MethodSettings"]
    assert (everything["HttpMethod"], everything["ResourcePath"]) == ("*", "/*")
    assert (health["HttpMethod"], health["ResourcePath"]) == ("GET", "/~1health")
    throttles = {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    for setting in (everything, health):
        assert setting["LoggingLevel"] == "ERROR"
        assert setting["DataTraceEnabled"] is False
        assert setting["MetricsEnabled"] is True
        assert throttles <= setting.keys()
    assert everything["ThrottlingRateLimit"] > health["ThrottlingRateLimit"]


def test_the_log_of_api_gateways_own_steps_exists_before_the_stage(function: awslambda.Function) -> None:
    template = _added(_PUBLIC, function)
    assert properties(template, "ExecutionLogs")["LogGroupName"] == {
        "Fn::Sub": ["API-Gateway-Execution-Logs_${Id}/live", {"Id": {"Ref": "Api"}}]
    }
    assert template.to_dict()["Resources"]["Stage"]["DependsOn"] == ["ExecutionLogs"]


def test_a_problem_is_the_documents_own() -> None:
    assert json.loads(problem(problems(_PUBLIC), "too-many-requests", 429)) == {
        "type": "urn:payments:problem:too-many-requests",
        "title": "Too many requests.",
        "status": 429,
    }


def _added(openapi: dict[str, Any], function: awslambda.Function) -> Template:
    template = Template()
    plan = ApiPlan("payments-api", openapi, key_arn="arn:key", log_level="ERROR", disposable=False)
    add_api(template, plan, function)
    return template


def _deployment(openapi: dict[str, Any], function: awslambda.Function) -> str:
    (title,) = (title for title in _added(openapi, function).resources if title.startswith("Deployment"))
    return title
