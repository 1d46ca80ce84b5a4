"""Queues with a key of ours: who may send and read, what services put into them, and how full they are.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

import contextvars
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_region, request_scope
from ministack.services import sqs

from lab.embedded import authorization, deliveries, key_use, metrics, service_roles
from lab.embedded.authorization import Call, Refusal
from lab.embedded.handlers import Handlers
from lab.embedded.key_use import DECRYPT, GENERATE

_NEEDED = {"sqs:SendMessage": [GENERATE, DECRYPT], "sqs:ReceiveMessage": [DECRYPT]}
_MEASURED_SECONDS = 5.0  # a minute on AWS


def register(_: Handlers) -> None:
    authorization.add(check)
    deliveries.add(Measuring())


def check(call: Call) -> Refusal | None:
    actions = _NEEDED.get(call.action)
    queue = sqs._queue_by_arn(call.resource) if actions else None
    if actions is None or queue is None:
        return None
    found = _obstacle(call.principal, queue, actions)
    if found is None:
        return None
    return Refusal(
        found.message, "KMS.DisabledException" if found.disabled else "KMS.AccessDeniedException", 400
    )


def send(role_arn: str, service: str, queue_arn: str, body: str, attributes: Mapping[str, str]) -> str | None:
    """Has `service` put a message into a queue of this region by a role; else what keeps it from that."""
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None or queue_arn.split(":")[3] != get_region():
        return f"{queue_arn} does not exist in {get_region()}"
    problem = not_allowed(role_arn, service, queue_arn)
    if problem is not None:
        return problem
    text = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    message = {"QueueUrl": queue["url"], "MessageBody": body, "MessageAttributes": text}
    contextvars.copy_context().run(_put, message)
    return None


def _put(message: Mapping[str, Any]) -> None:
    """As a service comes: over TLS, and not by way of a client's request."""
    iam_evaluator.pin_request_origin("", secure_transport=True)
    sqs._act_send_message(message, "")


def not_allowed(role_arn: str, service: str, queue_arn: str) -> str | None:
    """What keeps a role from sending to a queue that exists."""
    problem = service_roles.lacking(role_arn, service, [("sqs:SendMessage", queue_arn)])
    if problem is not None:
        return problem
    found = _obstacle(
        key_use.session(role_arn, "service"), sqs._queue_by_arn(queue_arn) or {}, [GENERATE, DECRYPT]
    )
    return found.message if found else None


def _obstacle(principal: Any, queue: Mapping[str, Any], actions: list[str]) -> key_use.Obstacle | None:
    attributes = queue.get("attributes") or {}
    key = key_use.ours(attributes.get("KmsMasterKeyId"))
    if key is None:
        return None
    return key_use.obstacle(principal, "sqs", key, actions, {"aws:sqs:arn": str(attributes["QueueArn"])})


@dataclass
class Measuring:
    """What waits in every queue to be read."""

    _last: float = 0.0

    def __call__(self) -> None:
        if time.monotonic() - self._last < _MEASURED_SECONDS:
            return
        self._last = time.monotonic()
        for (account, region, _), queue in list(sqs._queues._data.items()):
            with request_scope(account, region):
                sqs._refresh_counts(queue)
                waiting = float(queue["attributes"]["ApproximateNumberOfMessages"])
                dimensions = {"QueueName": str(queue["name"])}
                metrics.record("AWS/SQS", "ApproximateNumberOfMessagesVisible", waiting, "Count", dimensions)
