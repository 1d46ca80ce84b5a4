"""Functions that nobody waits for: tried again as they are configured, and what failed for good is kept.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

Lambda waits a minute before the second attempt and two before the third; here they are seconds. The lab
turns no function away, so that no event gets too old in Lambda's own queue.
"""

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import error_response_json, new_uuid
from ministack.services import lambda_svc

from lab.embedded import outage, queues
from lab.embedded.handlers import Handlers, Properties, Response

_log = logging.getLogger(__name__)
_SERVICE = "lambda.amazonaws.com"
_RETRIES, _AGE = 2, 21_600
_PAUSES = (1.0, 2.0)  # seconds, for minutes


def register(_: Handlers) -> None:
    lambda_svc.invoke_async_with_retry = start
    lambda_svc._put_event_invoke_config = _deliverable(lambda_svc._put_event_invoke_config)


def start(record: Properties, event: Any) -> None:
    """Runs on a thread of its own. `record` is MiniStack's, of a function and its configuration."""

    def run() -> None:
        lambda_svc._run_with_function_config_scope(record, _run, record, event)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()


def _run(record: Properties, event: Any) -> None:
    settings = lambda_svc._event_invoke_config(record, "$LATEST") or {}
    retries = int(settings.get("MaximumRetryAttempts", _RETRIES))
    oldest = time.monotonic() + int(settings.get("MaximumEventAgeInSeconds", _AGE))
    region = str(record["config"]["FunctionArn"]).split(":")[3]
    condition, attempts = "RetriesExhausted", 0
    while True:
        outage.stand_still(region)  # what is queued is kept
        result = lambda_svc._execute_function(record, event)
        attempts += 1
        if not result.get("error"):
            return
        if attempts > retries:
            break
        pause = _PAUSES[attempts - 1]
        if time.monotonic() + pause > oldest:
            condition = "EventAgeExceeded"
            break
        time.sleep(pause)
    destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if destination:
        _keep(str(destination), record["config"], _told(record["config"], event, result, condition, attempts))


def _told(config: Properties, event: Any, result: Properties, condition: str, attempts: int) -> str:
    """The record that Lambda sends to a destination."""
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": new_uuid(),
                "functionArn": f"{config['FunctionArn']}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": event,
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": result.get("function_error") or "Unhandled",
            },
            "responsePayload": result.get("body"),
        }
    )


def _keep(destination: str, config: Properties, told: str) -> None:
    if ":sqs:" not in destination:
        _log.warning(
            "%s: this lab sends failed events to queues only, not to %s", config["FunctionName"], destination
        )
        return
    problem = queues.send(str(config["Role"]), _SERVICE, destination, told, {})
    if problem is not None:
        _log.warning("a failed event of %s is lost: %s", config["FunctionName"], problem)


def _deliverable(inherited: Callable[..., Response]) -> Callable[..., Response]:
    """Lambda asks first whether the function's role could send what failed."""

    def put(name: str, qualifier: str | None, data: Mapping[str, Any]) -> Response:
        destination = ((data.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        record = lambda_svc._functions.get(name)
        if record is not None and destination and ":sqs:" in destination:
            problem = queues.not_allowed(str(record["config"]["Role"]), _SERVICE, str(destination))
            if problem is not None:
                return _unsendable(str(destination), problem)
        return inherited(name, qualifier, data)

    return put


def _unsendable(destination: str, problem: str) -> Response:
    answer: Response = error_response_json(
        "InvalidParameterValueException",
        "The function's execution role does not have permissions to call SendMessage on"
        f" {destination} ({problem})",
        400,
    )
    return answer
