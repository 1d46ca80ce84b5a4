"""What AWS delivers by itself, a moment after it happened: logs into buckets and log groups."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch_logs

from lab.embedded.handlers import checked

Delivery = Callable[[], None]
_INTERVAL = 0.5  # seconds; on AWS it takes minutes to hours
_deliveries: list[Delivery] = []


def add(delivery: Delivery) -> None:
    """`delivery` runs twice a second on the event loop: it must be quick, and mostly find nothing."""
    _deliveries.append(delivery)


async def run() -> None:
    while True:
        for delivery in _deliveries:
            try:
                delivery()
            except Exception:  # one that is broken must not end the others
                logging.getLogger(__name__).exception("not delivered: %s", delivery)
        await asyncio.sleep(_INTERVAL)


def put_log_events(region: str, group: str, stream: str, messages: Iterable[str]) -> None:
    """Into a log group that exists; the stream is made when it does not. Raises ResourceError."""
    now = int(time.time() * 1000)
    with request_scope(get_account_id(), region):
        streams = (cloudwatch_logs._log_groups.get(group) or {}).get("streams", {})
        where = {"logGroupName": group, "logStreamName": stream}
        if stream not in streams:
            checked(cloudwatch_logs._create_log_stream(where))
        events = [{"timestamp": now, "message": message} for message in messages]
        checked(cloudwatch_logs._put_log_events({**where, "logEvents": events}))
