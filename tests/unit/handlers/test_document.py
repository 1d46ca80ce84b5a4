import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from handlers.problems import INTERNAL, PROBLEMS
from tests.unit.handlers.document import DOCUMENT, validator

OPERATIONS = [
    (f"{method} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]

every_operation = pytest.mark.parametrize(
    ("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS]
)
PREFIX = "urn:payments:problem:"
TITLES = {problem.kind: (problem.status, problem.title) for problem in (*PROBLEMS.values(), INTERNAL)}
GATEWAY = {"too-many-requests", "timeout"}  # API Gateway's alone


def examples(content: dict[str, Any]) -> list[Any]:
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


@every_operation
def test_every_example_is_what_its_schema_says(name: str, operation: dict[str, Any]) -> None:
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in (*bodies, *operation["responses"].values()):
        for content in body["content"].values():
            shown = examples(content)
            assert shown, name
            for example in shown:
                validator(content["schema"]).validate(example)
    headers = [
        one for answer in operation["responses"].values() for one in answer.get("headers", {}).values()
    ]
    for described in (*operation.get("parameters", ()), *headers):
        validator(described["schema"]).validate(described["example"])


@every_operation
def test_every_problem_is_shown_under_its_status_with_its_title(name: str, operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        if int(status) >= 400 and name != "get /health":
            assert list(answer["content"]) == ["application/problem+json"]
        for problem in examples(answer["content"].get("application/problem+json", {})):
            known = TITLES.get(problem["type"].removeprefix(PREFIX))
            assert problem["status"] == int(status)
            assert known in (None, (int(status), problem["title"])), "as handlers.problems has it"


def test_every_problem_is_shown_and_every_shown_one_exists() -> None:
    shown = {
        problem["type"].removeprefix(PREFIX)
        for _, operation in OPERATIONS
        for answer in operation["responses"].values()
        for problem in examples(answer["content"].get("application/problem+json", {}))
    }
    listed = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert shown == {kind.removeprefix(PREFIX) for kind in listed} == TITLES.keys() | GATEWAY


def test_a_kind_of_problem_has_one_title() -> None:
    assert (
        len({(problem.kind, problem.title) for problem in PROBLEMS.values()}) == len(TITLES) - 1
    )  # INTERNAL


@every_operation
def test_every_operation_says_what_can_happen_before_the_function_is_asked(
    name: str, operation: dict[str, Any]
) -> None:
    assert operation["responses"].keys() >= {"400", "429", "500", "504"}, name
    assert operation["description"]
    assert operation["summary"]


@every_operation
def test_who_may_call_is_said(name: str, operation: dict[str, Any]) -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    needed = [scheme for one in operation["security"] for scheme in one]
    assert [schemes[scheme]["scheme"] for scheme in needed] == {
        "post /sessions": ["basic"],
        "get /health": [],
    }.get(name, ["bearer"])


def test_every_text_is_bounded() -> None:
    def unbounded(node: Any, where: str) -> Iterator[str]:
        if isinstance(node, dict):
            if node.get("type") == "string" and not node.keys() & {"maxLength", "enum"}:
                yield where
            for name, child in node.items():
                yield from unbounded(child, f"{where}/{name}")
        elif isinstance(node, list):
            for number, child in enumerate(node):
                yield from unbounded(child, f"{where}/{number}")

    assert list(unbounded(DOCUMENT, "")) == []


@every_operation
def test_an_unknown_outcome_tells_the_client_to_keep_its_key(name: str, operation: dict[str, Any]) -> None:
    if name == "post /payments":
        for status in ("500", "503", "504"):
            assert "**same** `Idempotency-Key`" in operation["responses"][status]["description"]
        assert "no balance check" in operation["description"]
        assert "201 where the first answer was 202" in operation["description"]


@every_operation
def test_who_has_to_wait_is_told_how_long(name: str, operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        waits = status in {"429", "503"} and "application/problem+json" in answer["content"]
        assert ("Retry-After" in answer.get("headers", {})) == waits, f"{name} {status}"
        assert ("Location" in answer.get("headers", {})) == (
            name == "post /payments" and status in {"201", "202"}
        )


def test_only_headers_that_reach_a_client_are_promised() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html"""
    promised = {
        header
        for _, operation in OPERATIONS
        for response in operation["responses"].values()
        for header in response.get("headers", {})
    }
    assert promised == {"Location", "Retry-After"}


@every_operation
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
