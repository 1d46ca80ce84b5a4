import base64
import json
import re
from typing import Any

import pytest

from failover.control import Phase
from handlers.http import Response
from handlers.problems import INTERNAL, PROBLEMS
from handlers.routes import respond
from payments.errors import PaymentsError, Unavailable
from payments.parse import MAX_BODY_BYTES
from tests.unit.handlers.document import DOCUMENT, validator
from tests.unit.handlers.services import service
from tests.unit.payments.fakes import BODY, HERE, KEY, OTHER_TOKEN, THERE, TOKEN, World, record


def event(method: str, resource: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "resource": resource,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} if headers else None,
        "body": None,
        "isBase64Encoded": False,
        "pathParameters": None,
    } | more


def post(body: bytes = BODY, **headers: str) -> dict[str, Any]:
    sent = {
        "Authorization": f"Bearer {TOKEN}",
        "Idempotency-Key": "order-1",
        "Content-Type": "application/json",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return event("POST", "/payments", sent, body=body.decode())


def answered(world: World, event: dict[str, Any]) -> tuple[Response, dict[str, Any]]:
    """The answer, checked against the public document as a client's generated code would."""
    response = respond(event, service(world))
    proxied = response.proxied()
    document = json.loads(str(proxied["body"]))
    operation = DOCUMENT["paths"][event["resource"]][event["httpMethod"].lower()]
    content = operation["responses"][str(response.status)]["content"]
    assert response.media_type in content
    validator(content[response.media_type]["schema"]).validate(document)
    return response, document


def test_a_payment_from_session_to_reading() -> None:
    world = World()
    basic = base64.b64encode(f"shop:{KEY}".encode()).decode()
    response, session = answered(world, event("POST", "/sessions", {"authorization": f"basic {basic}"}))
    assert response.status == 201
    response, payment = answered(
        world,
        post(AUTHORIZATION=f"Bearer {session['session_token']}", Authorization="")
        | {
            "multiValueHeaders": {
                "AUTHORIZATION": [f"bearer  {session['session_token']}"],
                "idempotency-key": ["order-1"],
                "content-type": ["application/json; charset=utf-8"],
            }
        },
    )
    assert (response.status, payment["status"], payment["amount"]) == (201, "posted", 1250)
    assert response.headers["Location"] == f"/payments/{payment['payment_id']}"
    reading = event(
        "GET",
        "/payments/{payment_id}",
        {"Authorization": f"Bearer {session['session_token']}"},
        pathParameters={"payment_id": payment["payment_id"]},
    )
    assert answered(world, reading)[1] == payment


def test_a_payment_that_cannot_be_posted_is_accepted() -> None:
    world = World()
    world.ledger.down = "unreachable"
    response, payment = answered(world, post())
    assert (response.status, payment["status"]) == (202, "accepted")
    assert response.facts["not_posted"] == "unreachable"


def test_a_body_may_arrive_in_base64() -> None:
    world = World()
    encoded = post() | {"body": base64.b64encode(BODY).decode(), "isBase64Encoded": True}
    assert answered(world, encoded)[0].status == 201
    broken = post() | {"body": "no base64!", "isBase64Encoded": True}
    assert answered(world, broken)[0].status == 400


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        (post(b"{}"), 400, "malformed-request"),
        (post(b'{"amount": 1.5}'), 400, "malformed-request"),
        (post(b""), 400, "malformed-request"),
        (post() | {"body": None}, 400, "malformed-request"),
        (post() | {"body": '"\ud800"'}, 400, "malformed-request"),
        (post(Idempotency_Key=""), 400, "idempotency-key-missing"),
        (post(Idempotency_Key="two words"), 400, "malformed-request"),
        (post(Authorization="Bearer wrong"), 401, "unauthenticated"),
        (post(Authorization="Basic eDp5"), 401, "unauthenticated"),
        (post(Authorization=""), 401, "unauthenticated"),
        (post(BODY.ljust(MAX_BODY_BYTES + 1)), 413, "body-too-large"),
        (post(Content_Type="text/plain"), 415, "unsupported-media-type"),
        (post(Content_Type=""), 415, "unsupported-media-type"),
        (post(BODY.replace(b"USD", b"XTS")), 422, "unknown-currency"),
        (post(BODY.replace(b"bob", b"nobody")), 422, "unknown-account"),
        (post(BODY.replace(b"bob", b"dave")), 422, "account-closed"),
        (post(BODY.replace(b"bob", b"carol")), 422, "currency-mismatch"),
        (post(BODY.replace(b"bob", b"alice")), 422, "same-account"),
    ],
)
def test_what_is_refused_says_why_and_is_not_stored(change: dict[str, Any], status: int, kind: str) -> None:
    world = World()
    response, problem = answered(world, change)
    assert (response.status, problem["type"]) == (status, f"urn:payments:problem:{kind}")
    assert (problem["status"], response.media_type) == (status, "application/problem+json")
    assert not world.journal.entries


def test_a_key_reused_for_another_payment_is_refused() -> None:
    world = World()
    answered(world, post())
    response, problem = answered(world, post(BODY.replace(b"1250", b"1251")))
    assert (response.status, problem["type"]) == (422, "urn:payments:problem:idempotency-key-reused")


def test_a_header_given_twice_is_malformed() -> None:
    twice = post() | {
        "multiValueHeaders": {
            "Authorization": [f"Bearer {TOKEN}"],
            "Content-Type": ["application/json"],
            "Idempotency-Key": ["a", "b"],
        }
    }
    assert answered(World(), twice)[0].status == 400


@pytest.mark.parametrize(
    "credentials",
    ["", "Basic", "Basic !!", "Basic c2hvcA==", "Bearer x", "Basic /////w==", "Basic c2hvcDp3cm9uZw=="],
)
def test_a_session_needs_the_right_key(credentials: str) -> None:
    response, problem = answered(World(), event("POST", "/sessions", {"Authorization": credentials}))
    assert response.status == 401
    assert "HTTP Basic" in problem["detail"]


def test_whoever_has_no_session_is_told_what_is_needed_in_the_body() -> None:
    """API Gateway renames the header that would say it: x-amzn-Remapped-WWW-Authenticate."""
    response, problem = answered(World(), post(Authorization="Bearer x"))
    assert response.status == 401
    assert (
        problem["detail"]
        == "Send `Authorization: Bearer` with the token of an open session (POST /sessions)."
    )
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("payment_id", ["pay_" + "a" * 32, "x", ""])
def test_what_is_not_there_is_not_found(payment_id: str) -> None:
    reading = event(
        "GET",
        "/payments/{payment_id}",
        {"Authorization": f"Bearer {OTHER_TOKEN}"},
        pathParameters={"payment_id": payment_id},
    )
    assert answered(World(), reading)[0].status == 404


@pytest.mark.parametrize(("fault", "kind"), [("standby", "not-active"), ("journal", "unavailable")])
def test_what_may_pass_says_when_to_come_back(fault: str, kind: str) -> None:
    world = World()
    world.control.record = record(THERE if fault == "standby" else HERE)
    world.journal.down = fault == "journal"
    forwarded = {"forwarded_by": THERE} if fault == "standby" else {}
    response, problem = answered(world, post() | forwarded)
    assert (response.status, problem["type"]) == (503, f"urn:payments:problem:{kind}")
    assert int(response.headers["Retry-After"]) > 0


def test_health_says_no_more_than_that() -> None:
    world = World()
    response, document = answered(world, event("GET", "/health"))
    assert (response.status, document) == (200, {"status": "ok"})
    world = World()
    world.control.record = record(HERE, Phase.FENCING)
    response, document = answered(world, event("GET", "/health"))
    assert (response.status, document) == (503, {"status": "unavailable"})


def test_an_unknown_route_is_not_found() -> None:
    assert respond(event("DELETE", "/payments"), service(World())).status == 404
    assert respond({}, service(World())).status == 404


def test_every_answer_is_guarded_and_never_cached() -> None:
    headers = respond(event("GET", "/health"), service(World())).proxied()["headers"]
    assert isinstance(headers, dict)
    assert {
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "Content-Security-Policy",
    } <= headers.keys()
    assert headers["Cache-Control"] == "no-store"


def test_every_error_has_its_place_in_the_table_and_the_document() -> None:
    leaves = {error for error in _subclasses(PaymentsError) if not error.__subclasses__()} | {Unavailable}
    ours = {error for error in leaves if error.__module__ == PaymentsError.__module__}
    # The first becomes 202; the others end the runs of what works behind the API.
    internal = {"LedgerUnavailable", "LogDiverged", "NotStandby", "NotSteady"}
    assert {error.__name__ for error in ours - PROBLEMS.keys()} == internal
    documented = set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"])
    gateway = {"urn:payments:problem:too-many-requests", "urn:payments:problem:timeout"}
    answered = {str(problem.document()["type"]) for problem in (*PROBLEMS.values(), INTERNAL)}
    assert answered | gateway == documented


def _subclasses(error: type[Exception]) -> set[type[Exception]]:
    direct = set(error.__subclasses__())
    return direct.union(*(_subclasses(each) for each in direct))


def test_the_document_and_the_parser_allow_the_same() -> None:
    body_schema = DOCUMENT["components"]["schemas"]["PaymentRequest"]
    assert body_schema["additionalProperties"] is False
    assert re.search(r"\b4096 bytes\b", json.dumps(DOCUMENT))
    assert MAX_BODY_BYTES == 4096
    documented = validator(body_schema)
    assert documented.is_valid(json.loads(BODY))
    for field, value in (
        ("amount", 0),
        ("amount", 10**12),
        ("debtor", "4111"),
        ("reference", "a\nb"),
        ("currency", "usd"),
    ):
        changed = json.loads(BODY) | {field: value}
        assert not documented.is_valid(changed)
        assert respond(post(json.dumps(changed).encode()), service(World())).status == 400
