"""The API's routes: each parses, calls one use case and maps the result."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from handlers.http import Request, Response, problem_response, request_from
from handlers.problems import PROBLEMS, NoSuchRoute
from handlers.wiring import Service
from payments.accept import accept_payment
from payments.errors import Malformed, NotActive, PaymentsError, Unauthenticated
from payments.find import find_payment
from payments.health import healthy
from payments.model import Status
from payments.outcome import Outcome
from payments.sessions import open_session

# In the problem, not in a WWW-Authenticate header: API Gateway would rename that one on its way out.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_BASIC: Final = "Send HTTP Basic with the merchant's id and key."
_BEARER: Final = "Send `Authorization: Bearer` with the token of an open session (POST /sessions)."

Route = Callable[[Request, Service], Response]


def respond(event: Mapping[str, Any], service: Service) -> Response:
    """Raises only what is a mistake of ours."""
    began = service.clock.now()
    request = request_from(event)
    try:
        route = _ROUTES.get((request.resource, request.method))
        if route is None:
            raise NoSuchRoute
        if route is _read_health:
            return route(request, service)
        try:
            return _under_a_lease(route, request, service)
        except NotActive as standby:
            # Nothing was stored here. Whatever there is to say about the request, the active region says.
            return service.forwarding.answer(event, standby, began)
    except tuple(PROBLEMS) as error:
        return _problem(error, request)


def _under_a_lease(route: Route, request: Request, service: Service) -> Response:
    """Sessions too are answered by the active region: they are wanted where the payments go."""
    lease = service.leases.hold()
    age = lease.age(service.clock.now())
    try:
        response = route(request, service)
    except NotActive:
        raise
    except tuple(PROBLEMS) as error:
        response = _problem(error, request)
    return replace(response, lease_age=age)


def _problem(error: Exception, request: Request) -> Response:
    return problem_response(
        PROBLEMS[type(error)],
        _detail(error, request),
        error.faults if isinstance(error, Malformed) else (),
    )


def _detail(error: Exception, request: Request) -> str:
    if isinstance(error, Unauthenticated):
        return _BASIC if request.resource == "/sessions" else _BEARER
    return error.detail if isinstance(error, PaymentsError) else ""


def _open_session(request: Request, service: Service) -> Response:
    merchant_id, key = request.basic()
    opened = open_session(
        merchant_id,
        key,
        directory=service.directory,
        sessions=service.sessions,
        clock=service.clock,
        new_token=lambda: "ses_" + secrets.token_urlsafe(32),
    )
    return Response(
        201, {"session_token": opened.token, "expires_at": _rfc3339(opened.expires_at, "seconds")}
    )


def _create_payment(request: Request, service: Service) -> Response:
    outcome = accept_payment(
        request.bearer(),
        request.header("Idempotency-Key"),
        request.json_body(),
        sessions=service.sessions,
        directory=service.directory,
        leases=service.leases,
        journal=service.journal,
        ledger=service.ledger,
        clock=service.clock,
    )
    created = 201 if outcome.status is Status.POSTED else 202
    return _payment(created, outcome, {"Location": f"/payments/{outcome.payment.payment_id}"})


def _read_payment(request: Request, service: Service) -> Response:
    outcome = find_payment(
        request.bearer(),
        request.path.get("payment_id", ""),
        sessions=service.sessions,
        directory=service.directory,
        leases=service.leases,
        journal=service.journal,
        ledger=service.ledger,
        clock=service.clock,
    )
    return _payment(200, outcome, {})


def _read_health(_request: Request, service: Service) -> Response:
    if healthy(leases=service.leases, journal=service.journal):
        return Response(200, {"status": "ok"})
    return Response(503, {"status": "unavailable"})


def _payment(status: int, outcome: Outcome, headers: Mapping[str, str]) -> Response:
    payment = outcome.payment
    facts = {"payment_id": payment.payment_id, "payment_status": outcome.status.value}
    if outcome.not_posted:
        facts["not_posted"] = outcome.not_posted
    return Response(
        status,
        {
            "payment_id": payment.payment_id,
            "status": outcome.status.value,
            "amount": payment.request.money.amount,
            "currency": payment.request.money.currency,
            "debtor": payment.request.debtor,
            "creditor": payment.request.creditor,
            "reference": payment.request.reference,
            "accepted_at": _rfc3339(payment.accepted_at, "milliseconds"),
        },
        headers,
        facts=facts,
        mistake=outcome.mistake,
    )


def _rfc3339(moment: datetime, precision: str) -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


_ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("/sessions", "POST"): _open_session,
    ("/payments", "POST"): _create_payment,
    ("/payments/{payment_id}", "GET"): _read_payment,
    ("/health", "GET"): _read_health,
}
