import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.unit.handlers.document import DOCUMENT, validator

OPERATIONS = [
    (f"{method} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_example_is_what_its_schema_says(name: str, operation: dict[str, Any]) -> None:
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in (*bodies, *operation["responses"].values()):
        for content in body["content"].values():
            examples = [content["example"]] if "example" in content else []
            examples += [example["value"] for example in content.get("examples", {}).values()]
            assert examples, name
            for example in examples:
                validator(content["schema"]).validate(example)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_an_unknown_outcome_tells_the_client_to_keep_its_key(name: str, operation: dict[str, Any]) -> None:
    if name == "post /payments":
        for status in ("500", "503", "504"):
            assert "**same** `Idempotency-Key`" in operation["responses"][status]["description"]
        assert "no balance check" in operation["description"]


def test_only_headers_that_reach_a_client_are_promised() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html"""
    promised = {
        header
        for _, operation in OPERATIONS
        for response in operation["responses"].values()
        for header in response.get("headers", {})
    }
    assert promised == {"Location", "Retry-After"}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_a_refused_stranger_is_told_what_is_needed(name: str, operation: dict[str, Any]) -> None:
    if refusal := operation["responses"].get("401"):
        assert "`detail`" in refusal["description"]
        (example,) = refusal["content"]["application/problem+json"]["examples"].values()
        assert ("HTTP Basic" if name == "post /sessions" else "Bearer") in example["value"]["detail"]


def test_nothing_in_it_is_what_api_gateway_refuses() -> None:
    text = json.dumps(DOCUMENT)
    for keyword in ("exclusiveMinimum", "discriminator", "oneOf", "anyOf", "nullable", "readOnly", "int64"):
        assert f'"{keyword}"' not in text
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in DOCUMENT["components"]["schemas"])
    assert "responses" not in DOCUMENT["components"]
    assert "security" not in DOCUMENT
