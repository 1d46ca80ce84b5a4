"""The REST API made of the public document."""

import json
from pathlib import Path
from typing import Any

import pytest
from troposphere import Template, awslambda

from templates.api import add_api, deployable

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
        assert response["responseParameters"] == {
            "gatewayresponse.header.Content-Type": "'application/problem+json'"
        }


def test_models_have_no_keyword_api_gateway_refuses(body: dict[str, Any]) -> None:
    assert '"example' not in json.dumps(body["components"])


def test_another_document_is_another_deployment(function: awslambda.Function) -> None:
    other = json.loads(json.dumps(_PUBLIC))
    other["paths"]["/health"]["get"]["summary"] = "Something else"
    assert _deployment(_PUBLIC, function) == _deployment(_PUBLIC, function)
    assert _deployment(_PUBLIC, function) != _deployment(other, function)


def _deployment(openapi: dict[str, Any], function: awslambda.Function) -> str:
    template = Template()
    add_api(template, "payments-api", openapi, function)
    (title,) = (title for title in template.resources if title.startswith("Deployment"))
    return title
