"""The settle function: in the standby, each minute, ends the work on what its copy of the ledger has."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from failover.clock import SystemClock
from handlers.region import Tables, ledger, several, standby
from handlers.runs import WORKS_SECONDS, Context, end, run_until
from payments.settle import Settler
from payments.stopping import NOT_STANDBY

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()


@cache
def _settler() -> Settler:
    return wired(os.environ)


def wired(environment: Mapping[str, str]) -> Settler:
    """The copy is read at the readers' endpoint: the writer's is not in use in a secondary cluster."""
    tables = Tables(environment)
    return Settler(
        standby=standby(environment, tables),
        work=tables.journal(),
        replica=ledger(environment, host="DATABASE_READER_HOST"),
        clock=SystemClock(),
        each=several(),
    )


def handle(_event: Any, context: Context) -> dict[str, object]:
    return run(_settler(), context)


def run(settler: Settler, context: Context) -> dict[str, object]:
    """Ends well whenever the next run may do better."""
    done = settler.run(run_until(settler.clock, context, WORKS_SECONDS["settle"]))
    result: dict[str, object] = {"settled": done.settled, "stopped": done.stopped}
    if done.settled or done.stopped != NOT_STANDBY:
        _METRICS.add_metric(name="Settled", unit=MetricUnit.Count, value=done.settled)
    _LOGGER.info("settled", extra=result)
    end(_LOGGER, _METRICS, done.mistakes, something_done=bool(done.settled))
    return result
