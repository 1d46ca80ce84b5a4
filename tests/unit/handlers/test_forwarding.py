"""What a region that is not active does with a request: hand it on once, and never guess."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from failover.control import Phase
from handlers.forwarding import FUNCTION_SECONDS, MARK
from handlers.http import Response
from handlers.routes import respond
from payments.errors import Unavailable
from payments.parse import MAX_BODY_BYTES
from tests.unit.handlers.services import FakePeer, service
from tests.unit.handlers.test_routes import event, post
from tests.unit.payments.fakes import BODY, HERE, KEY, THERE, TOKEN, World, record

READING = event(
    "GET",
    "/payments/{payment_id}",
    {"Authorization": f"Bearer {TOKEN}"},
    pathParameters={"payment_id": "pay_" + "a" * 32},
)
SIGNING_IN = event(
    "POST", "/sessions", {"Authorization": "Basic " + base64.b64encode(f"shop:{KEY}".encode()).decode()}
)
ANSWER: dict[str, Any] = {
    "statusCode": 201,
    "headers": {"Content-Type": "application/json", "Location": "/payments/pay_x"},
    "body": '{"payment_id": "pay_x"}',
    "isBase64Encoded": False,
}


def regions(active: str = THERE) -> tuple[World, World]:
    """The standby, whose record names `active`, and the other region."""
    here, there = World(), World(THERE)
    here.control.record = record(active, epoch=2)
    there.control.record = record(THERE, epoch=2)
    return here, there


def kind(response: Response) -> str:
    return str(response.document["type"]).removeprefix("urn:payments:problem:")


def test_a_payment_is_journalled_and_posted_where_the_active_region_is_and_nowhere_else() -> None:
    here, there = regions()
    response = respond(post(), service(here, FakePeer(world=there)))
    assert (response.status, response.document["status"]) == (201, "posted")
    payment_id = response.document["payment_id"]
    assert response.headers["Location"] == f"/payments/{payment_id}"
    assert response.media_type == "application/json"
    assert list(there.ledger.payments) == list(there.journal.entries) == [payment_id]
    assert not here.ledger.payments
    assert not here.journal.entries


def test_a_session_is_opened_where_it_will_be_used() -> None:
    here, there = regions()
    sessions = len(here.sessions.sessions), len(there.sessions.sessions)
    response = respond(SIGNING_IN, service(here, FakePeer(world=there)))
    assert response.status == 201
    assert (len(here.sessions.sessions), len(there.sessions.sessions)) == (sessions[0], sessions[1] + 1)


def test_what_the_active_region_refuses_is_refused_in_its_words() -> None:
    here, there = regions()
    peer = FakePeer(world=there)
    for refused, status, problem in (
        (READING, 404, "not-found"),
        (post(b"{}"), 400, "malformed-request"),
        (post(Authorization="Bearer made-up"), 401, "unauthenticated"),
    ):
        response = respond(refused, service(here, peer))
        assert (response.status, kind(response)) == (status, problem)
        assert response.media_type == "application/problem+json"
    assert len(peer.asked) == 3


def test_health_is_never_forwarded() -> None:
    here, there = regions()
    peer = FakePeer(world=there)
    assert respond(event("GET", "/health"), service(here, peer)).status == 503
    assert not peer.asked


def test_the_active_region_answers_itself() -> None:
    peer = FakePeer()
    assert respond(post(), service(World(), peer)).status == 201
    assert not peer.asked


def test_a_forwarded_request_is_never_forwarded_again() -> None:
    """Even when each region takes the other for the active one."""
    here, there = regions()
    there.control.record = record(HERE, epoch=1)
    peer = FakePeer(world=there)
    response = respond(post(), service(here, peer))
    assert (response.status, kind(response)) == (503, "not-active")
    assert int(response.headers["Retry-After"]) > 0
    assert [asked[MARK] for asked, _ in peer.asked] == [HERE]
    assert not there.journal.entries


@pytest.mark.parametrize("active", [HERE, "eu-west-1"])
def test_who_has_nobody_to_ask_says_so(active: str) -> None:
    """This region itself, while nobody holds a lease, or one that is not the other."""
    here, there = regions(active)
    here.control.record = record(active, Phase.FENCING)
    peer = FakePeer(world=there)
    response = respond(post(), service(here, peer))
    assert (response.status, kind(response)) == (503, "not-active")
    assert not peer.asked


def test_a_takeover_by_the_other_region_is_waited_for_and_then_asked() -> None:
    here, there = regions()
    here.control.record = record(THERE, Phase.FENCING, epoch=2)

    def fenced_for_a_lease() -> None:
        if here.clock.slept >= 3.0:
            here.control.record = record(THERE, Phase.RECOVERING, epoch=2)

    here.control.during_read = fenced_for_a_lease
    there.control.record = record(THERE, Phase.RECOVERING, epoch=2)
    peer = FakePeer(world=there)
    response = respond(post(), service(here, peer))
    assert (response.status, response.document["status"]) == (202, "accepted")
    ((_, patience),) = peer.asked
    assert 20 < patience < FUNCTION_SECONDS - here.clock.slept


def test_a_lease_lost_on_the_way_is_no_reason_to_refuse() -> None:
    """It ends between the rim and the journal; nothing was stored, so the other region can have it."""
    here, there = regions(HERE)
    peer = FakePeer(world=there)
    find = here.sessions.find

    def slow(token_hash: str) -> Any:
        here.clock.pass_time(5)
        here.control.record = record(THERE, epoch=2)
        return find(token_hash)

    here.sessions.find = slow  # type: ignore[method-assign] # a fake made slow
    assert respond(post(), service(here, peer)).status == 201
    assert (len(peer.asked), len(there.journal.entries), len(here.journal.entries)) == (1, 1, 0)


def test_no_answer_leaves_the_outcome_unknown() -> None:
    here, _ = regions()
    response = respond(post(), service(here, FakePeer(error=Unavailable("peer"))))
    assert (response.status, kind(response)) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert response.mistake is None


def test_a_function_that_may_not_be_called_is_ours_to_repair_and_stored_nothing() -> None:
    here, _ = regions()
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "secret"}}, "Invoke")
    response = respond(post(), service(here, FakePeer(error=denied)))
    assert (response.status, kind(response)) == (503, "not-active")
    assert response.mistake is denied


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        [],
        {},
        {"message": "Internal Server Error"},
        {"errorType": "RuntimeError", "errorMessage": "x"},
        ANSWER | {"statusCode": "201"},
        ANSWER | {"statusCode": True},
        ANSWER | {"statusCode": 0},
        ANSWER | {"statusCode": 102},
        ANSWER | {"statusCode": 600},
        ANSWER | {"headers": None},
        ANSWER | {"headers": {}},
        ANSWER | {"headers": {"Content-Type": None}},
        ANSWER | {"headers": ANSWER["headers"] | {"Retry-After": 5}},
        ANSWER | {"body": None},
        ANSWER | {"body": ""},
        ANSWER | {"body": "<html>"},
        ANSWER | {"body": "[]"},
        ANSWER | {"body": "[" * 100_000},
        ANSWER | {"isBase64Encoded": True},
        {name: value for name, value in ANSWER.items() if name != "isBase64Encoded"},
    ],
)
def test_what_is_no_answer_of_this_api_leaves_the_outcome_unknown(answer: object) -> None:
    here, _ = regions()
    response = respond(post(), service(here, FakePeer(answer=answer)))
    assert (response.status, kind(response)) == (503, "unavailable")


def test_an_answer_is_passed_on_as_it_is_with_this_region_s_own_guards() -> None:
    here, _ = regions()
    response = respond(post(), service(here, FakePeer(answer=ANSWER)))
    proxied = response.proxied()
    assert (proxied["statusCode"], json.loads(str(proxied["body"]))) == (201, {"payment_id": "pay_x"})
    headers = proxied["headers"]
    assert isinstance(headers, dict)
    assert headers["Location"] == "/payments/pay_x"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "sent",
    [
        post(forwarded_by=HERE, X_Forwarded_By=HERE),
        post(json.dumps({**json.loads(BODY), MARK: HERE}).encode()),
        post() | {"queryStringParameters": {MARK: HERE}, "multiValueQueryStringParameters": {MARK: [HERE]}},
        READING | {"pathParameters": {"payment_id": MARK, MARK: HERE}},
        post() | {"requestContext": {"identity": {"userAgent": MARK}, "path": f"/{MARK}"}},
    ],
    ids=["headers", "body", "query", "path", "context"],
)
def test_no_client_can_mark_a_request_as_forwarded(sent: dict[str, Any]) -> None:
    """Whatever a client sends is inside one of the event's own keys."""
    here, there = regions()
    peer = FakePeer(world=there)
    respond(sent, service(here, peer))
    ((asked, _),) = peer.asked
    assert {name: asked[name] for name in sent} == sent
    assert asked.keys() - sent.keys() == {MARK}


def test_what_nobody_would_take_is_not_sent_around_the_world() -> None:
    here, there = regions()
    peer = FakePeer(world=there)
    large = post() | {"body": " " * (2 * MAX_BODY_BYTES + 1)}
    response = respond(large, service(here, peer))
    assert (response.status, kind(response)) == (413, "body-too-large")
    assert not peer.asked
    assert respond(post(BODY.ljust(MAX_BODY_BYTES)), service(here, peer)).status == 201


def test_the_longer_a_request_has_waited_the_less_time_the_other_region_has() -> None:
    here, there = regions()
    here.control.during_read = lambda: here.clock.pass_time(4.0)
    peer = FakePeer(world=there)
    respond(post(), service(here, peer))
    ((_, patience),) = peer.asked
    assert patience == FUNCTION_SECONDS - 2.0 - 4.0
