"""What the function itself answers to requests nobody should send, should they get that far."""

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from handlers.routes import respond
from tests.hostile import GOOD, HOSTILE, Hostile
from tests.unit.handlers.document import DOCUMENT, validator
from tests.unit.handlers.services import FakePeer, service
from tests.unit.payments.fakes import KEY, THERE, TOKEN, World, record

REAL = {
    "token": TOKEN,
    "basic": base64.b64encode(f"shop:{KEY}".encode()).decode(),
    "debtor": "alice",
    "creditor": "bob",
}
ASKED = [one for one in HOSTILE if one.status is not None]
every_request = pytest.mark.parametrize("sent", ASKED, ids=[one.name for one in ASKED])


def event(sent: Hostile) -> dict[str, Any]:
    """As API Gateway makes one: the body as text, and one segment of the path as the payment's id."""
    path = sent.path.partition("?")[0]
    collection, _, last = path.rpartition("/")
    by_id = collection == "/payments" and last != ""
    headers: dict[str, list[str]] = {}
    for name, value in sent.headers:
        headers.setdefault(name, []).append(value.strip(" \t"))
    return {
        "httpMethod": sent.method,
        "resource": "/payments/{payment_id}" if by_id else path,
        "pathParameters": {"payment_id": unquote(last)} if by_id else None,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "body": sent.body.decode("utf-8", "replace") or None,
        "isBase64Encoded": False,
    }


def stored(world: World) -> tuple[Any, ...]:
    return dict(world.journal.entries), dict(world.ledger.payments), dict(world.sessions.sessions)


def test_names_are_unique_and_what_is_sent_is_otherwise_fine() -> None:
    assert len({one.name for one in HOSTILE}) == len(HOSTILE)
    fine = replace(HOSTILE[0], body=GOOD).filled(**REAL)
    assert respond(event(fine), service(World())).status == 201


@every_request
def test_it_is_refused_as_documented_and_nothing_is_stored(sent: Hostile) -> None:
    asked = event(sent.filled(**REAL))
    world = World()
    before = stored(world)
    response = respond(asked, service(world))
    assert response.status == sent.status
    assert response.media_type == "application/problem+json"
    assert stored(world) == before
    problem = json.loads(str(response.proxied()["body"]))
    validator({"$ref": "#/components/schemas/Problem"}).validate(problem)
    operation = DOCUMENT["paths"].get(asked["resource"], {}).get(sent.method.lower())
    if operation is not None:
        assert str(sent.status) in operation["responses"]


@every_request
def test_the_region_that_hands_it_on_answers_the_same(sent: Hostile) -> None:
    here, there = World(), World(THERE)
    here.control.record = there.control.record = record(THERE)
    before = stored(here), stored(there)
    asked = event(sent.filled(**REAL))
    response = respond(asked, service(here, FakePeer(world=there)))
    assert response.proxied()["body"] == respond(asked, service(World())).proxied()["body"]
    assert (stored(here), stored(there)) == before
