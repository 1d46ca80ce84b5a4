"""The API function: answers API Gateway's events, and says in logs and metrics what it did."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from failover.control import Phase
from handlers.forwarding import MARK
from handlers.http import Response, problem_response
from handlers.mistakes import tell_mistake
from handlers.problems import INTERNAL
from handlers.routes import respond
from handlers.wiring import Service, wired

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()
_PHASES: Final = frozenset(Phase)


@cache
def _service() -> Service:
    return wired(os.environ)


def handle(event: Mapping[str, Any], _context: object) -> dict[str, object]:
    """Lambda's entry point. A failure to build the service is loud: Lambda starts a new environment."""
    return answer(event, _service())


def answer(event: Mapping[str, Any], service: Service) -> dict[str, object]:
    """Always answers: the unexpected becomes a 500 that calls the outcome unknown.

    It never gets here once the journal holds a payment: see `payments.outcome`.
    """
    try:
        response = respond(event, service)
    except Exception as error:  # noqa: BLE001 - the client has to be told that the outcome is unknown
        response = replace(problem_response(INTERNAL), mistake=error)
    try:
        if response.mistake is not None:
            tell_mistake(_LOGGER, _METRICS, response.mistake, request_id=_request_id(event))
        if event.get("resource") != "/health":
            _tell(event, response)
    except Exception as error:  # noqa: BLE001 - the answer counts, not what is said about it
        sys.stderr.write(f"the answer could not be told about: {type(error).__name__}\n")
    return response.proxied()


def _tell(event: Mapping[str, Any], response: Response) -> None:
    facts = {"resource": event.get("resource"), "method": event.get("httpMethod"), "status": response.status}
    if MARK in event:
        facts[MARK] = event[MARK]
    _LOGGER.info("answered", extra={**facts, **response.facts, "request_id": _request_id(event)})
    for name in (counted := _counted(response)):
        _METRICS.add_metric(name=name, unit=MetricUnit.Count, value=1)
    if response.lease_age is not None:
        _METRICS.add_metric(name="LeaseAge", unit=MetricUnit.Seconds, value=response.lease_age)
    if counted or response.lease_age is not None:
        _METRICS.flush_metrics()


def _counted(response: Response) -> tuple[str, ...]:
    """Payments accepted or posted, requests refused, answers that leave things unknown. And payments that
    wait in the journal because the ledger does not take them; not those that wait for a takeover to end.
    What the other region answered is counted there; here, that it was asked.
    """
    if "forwarded_to" in response.facts:
        return ("Forwarded",)
    match response.status:
        case 201 | 202 if "payment_status" in response.facts:
            counted = response.facts["payment_status"].capitalize()
            waits_for_ledger = response.facts.get("not_posted", Phase.RECOVERING) not in _PHASES
            return (counted, "LedgerUnreachable") if waits_for_ledger else (counted,)
        case status if 400 <= status < 500:
            return ("Refused",)
        case status if status >= 500:
            return ("Unavailable",)
        case _:
            return ()


def _request_id(event: Mapping[str, Any]) -> str:
    return str((event.get("requestContext") or {}).get("requestId", ""))
