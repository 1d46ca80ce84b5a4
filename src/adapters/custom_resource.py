"""CloudFormation's custom resource protocol: whatever happens, one answer is sent.

A function that ends without an answer leaves CloudFormation waiting for an hour, so nothing is raised past
`answer`, and an answer is sent on behalf of work about to be killed. A reason repeats an exception's text
only when the text is ours (`Failed`): any other could hold a secret.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

_LOG = logging.getLogger(__name__)
_LAST_WORD_SECONDS: Final = 15.0  # kept back of Lambda's time for sending the answer
_NEVER_CREATED: Final = "never-created"
_SEND_ATTEMPTS: Final = 3
_MOST_REASON: Final = 400


class Failed(Exception):  # noqa: N818 - the outcome CloudFormation is told, in its own word
    """A failure whose text an operator may read: where, what, what to do next; no secret."""


class LambdaContext(Protocol):
    @property
    def log_stream_name(self) -> str: ...

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What CloudFormation asks for. `deadline` is a time.monotonic() after which waiting is pointless."""

    action: str  # Create, Update or Delete
    resource_type: str
    properties: Mapping[str, Any]
    deadline: float


Act = Callable[[Request], Mapping[str, str]]
Send = Callable[[str, bytes], None]


def put(url: str, body: bytes) -> None:
    """To a presigned URL, which signs an empty content type."""
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310 - checked by `answer`
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - as above
        response.read()


def answer(event: Mapping[str, Any], context: LambdaContext, act: Act, *, send: Send = put) -> None:
    """Does what `event` asks for by calling `act` and answers it: with `act`'s Data, or with FAILED and why.

    Deleting what was never created succeeds without `act`.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _LAST_WORD_SECONDS
    reply = _Reply(event, context, send)
    watchdog = threading.Timer(max(seconds, 0.1), reply.failed, ["no result before Lambda's time was up"])
    watchdog.daemon = True
    watchdog.start()
    try:
        if event.get("RequestType") == "Delete" and event.get("PhysicalResourceId") == _NEVER_CREATED:
            reply.succeeded({})
            return
        reply.succeeded(act(_request(event, time.monotonic() + seconds - 5)))
    except Failed as failure:
        reply.failed(str(failure))
    except ClientError as error:
        details = error.response.get("Error", {})
        reply.failed(f"{error.operation_name} answered {details.get('Code', 'an error')}")
    except Exception as error:  # noqa: BLE001 - CloudFormation has to be answered whatever went wrong
        reply.failed(f"unexpected {type(error).__name__}")
    finally:
        watchdog.cancel()


def _request(event: Mapping[str, Any], deadline: float) -> Request:
    properties = {k: v for k, v in event.get("ResourceProperties", {}).items() if k != "ServiceToken"}
    return Request(event["RequestType"], event["ResourceType"], properties, deadline)


class _Reply:
    """The one answer to one event; whoever comes second is silent."""

    def __init__(self, event: Mapping[str, Any], context: LambdaContext, send: Send) -> None:
        self._event = event
        self._context = context
        self._send = send
        self._once = threading.Lock()

    def succeeded(self, data: Mapping[str, str]) -> None:
        created = self._event.get("PhysicalResourceId") or self._event.get("LogicalResourceId", "resource")
        self._reply({"Status": "SUCCESS", "PhysicalResourceId": created, "Data": dict(data)})

    def failed(self, reason: str) -> None:
        where = f"{self._event.get('LogicalResourceId', 'resource')}: {reason[:_MOST_REASON]}"
        stream = self._context.log_stream_name
        _LOG.error("custom resource failed: %s", where)
        self._reply(
            {
                "Status": "FAILED",
                "Reason": f"{where}. See log stream {stream}.",
                "PhysicalResourceId": self._event.get("PhysicalResourceId") or _NEVER_CREATED,
            }
        )

    def _reply(self, outcome: dict[str, Any]) -> None:
        if not self._once.acquire(blocking=False):
            return
        same = ("StackId", "RequestId", "LogicalResourceId")
        body = json.dumps(outcome | {name: self._event.get(name, "") for name in same}).encode()
        url = str(self._event.get("ResponseURL", ""))
        if not url.startswith(("https://", "http://")):  # http: the embedded AWS of the lab
            _LOG.error("custom resource: the event has no response URL to answer")
            return
        for attempt in range(1, _SEND_ATTEMPTS + 1):
            try:
                self._send(url, body)
            except Exception as error:  # noqa: BLE001 - nothing is left but to try again, then to say so
                _LOG.error("custom resource: answer %s not delivered: %s", attempt, type(error).__name__)
                time.sleep(0.2 * attempt)
            else:
                return
