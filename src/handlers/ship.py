"""The ship function: every five minutes, in the standby, writes what its copy of the ledger has into the log.

Metrics: `Shipped`, payments written; `LogAge`, seconds since the oldest that the copy has and the log lacks.
"""

import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from adapters.aws import client
from adapters.log_rows import PostgresLogRows
from adapters.log_segments import S3Segments
from adapters.secrets import Secrets
from failover.clock import SystemClock
from handlers.region import Tables, database, standby
from handlers.runs import WORKS_SECONDS, Context, end, run_until
from payments.ship import Shipper

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()


@cache
def _shipper() -> Shipper:
    return wired(os.environ)


def wired(environment: Mapping[str, str]) -> Shipper:
    """The copy is read at the readers' endpoint: the writer's is not in use in a secondary cluster."""
    tables = Tables(environment)
    readers = database(environment, host="DATABASE_READER_HOST")
    secrets, secret = Secrets(client("secretsmanager")), environment["DATABASE_SECRET"]
    return Shipper(
        standby=standby(environment, tables),
        progress=tables.progress(),
        rows=PostgresLogRows(readers, secrets, secret, time.monotonic),
        segments=S3Segments(client("s3"), environment["TRANSACTIONS_BUCKET"]),
        clock=SystemClock(),
    )


def handle(_event: Any, context: Context) -> dict[str, object]:
    return run(_shipper(), context)


def run(shipper: Shipper, context: Context) -> dict[str, object]:
    """Ends well whenever the next run may do better."""
    done = shipper.run(run_until(shipper.clock, context, WORKS_SECONDS["ship"]))
    result: dict[str, object] = {"segments": done.segments, "shipped": done.rows, "stopped": done.stopped}
    if done.rows or done.age is not None:
        _METRICS.add_metric(name="Shipped", unit=MetricUnit.Count, value=done.rows)
    if done.age is not None:
        result["age"] = round(done.age, 3)
        _METRICS.add_metric(name="LogAge", unit=MetricUnit.Seconds, value=done.age)
    _LOGGER.info("shipped", extra=result)
    end(_LOGGER, _METRICS, done.mistakes, something_done=bool(done.segments))
    return result
