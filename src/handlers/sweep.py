"""The sweep function: every minute, in the active region, posts what the journal holds and the ledger lacks.

Metrics: `Swept`, payments posted by it; `OpenEntries`, what is on the work list, at least: no more than 1000
are counted of each shard (`payments.sweep.MOST_COUNTED`), which the log says by `more`; and
`OldestOpenEntryAge`, exact.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from failover.clock import SystemClock
from handlers.region import Tables, ledger
from handlers.runs import Context, end, run_until, sweeps_seconds
from payments.lease import Leases
from payments.sweep import Sweeper

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()


@cache
def _sweeper() -> Sweeper:
    return wired(os.environ)


def wired(environment: Mapping[str, str]) -> Sweeper:
    tables, clock, region = Tables(environment), SystemClock(), environment["AWS_REGION"]
    return Sweeper(
        region=region,
        leases=Leases(tables.control(), region, clock),
        work=tables.journal(),
        ledger=ledger(environment),
        progress=tables.progress(),
        clock=clock,
    )


def handle(_event: Any, context: Context) -> dict[str, object]:
    return run(_sweeper(), context, sweeps_seconds(os.environ))


def run(sweeper: Sweeper, context: Context, seconds: float) -> dict[str, object]:
    """Ends well whenever the next run may do better."""
    swept = sweeper.run(run_until(sweeper.clock, context, seconds))
    result: dict[str, object] = {"swept": swept.posted, "passes": swept.passes, "stopped": swept.stopped}
    if swept.backlog is not None:
        backlog = swept.backlog
        result |= {"open": backlog.count, "more": backlog.more, "oldest_age": round(backlog.oldest_age, 3)}
        _METRICS.add_metric(name="Swept", unit=MetricUnit.Count, value=swept.posted)
        _METRICS.add_metric(name="OpenEntries", unit=MetricUnit.Count, value=backlog.count)
        _METRICS.add_metric(name="OldestOpenEntryAge", unit=MetricUnit.Seconds, value=backlog.oldest_age)
    elif swept.posted:
        _METRICS.add_metric(name="Swept", unit=MetricUnit.Count, value=swept.posted)
    _LOGGER.info("swept", extra=result)
    end(_LOGGER, _METRICS, swept.mistakes, something_done=bool(swept.passes or swept.posted))
    return result
