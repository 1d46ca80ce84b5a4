"""The audit function: often enough to get through once a day, in the active region.

Metrics: `Compared`, entries of the journal; `Differences`, each of them in the log by payment and kind;
`Stripped`, requests removed after the retention time; `AuditAge`, hours since an audit last got through.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from failover.clock import SystemClock
from handlers.region import Tables, own_ledgers, several
from handlers.runs import WORKS_SECONDS, Context, end, run_until
from payments.audit import SEGMENTS, Auditor
from payments.comparison import Difference
from payments.lease import Leases

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()
_IN_ONE_RECORD: Final = 500  # about 60 kB; CloudWatch Logs takes 1 MB


@cache
def _auditor() -> Auditor:
    return wired(os.environ)


def wired(environment: Mapping[str, str]) -> Auditor:
    tables, clock = Tables(environment), SystemClock()
    return Auditor(
        leases=Leases(tables.control(), environment["AWS_REGION"], clock),
        journal=tables.journal(),
        books=own_ledgers(environment),
        progress=tables.progress(),
        clock=clock,
        retention_days=int(environment["RETENTION_DAYS"]),
        tell=tell,
        each=several(SEGMENTS),
    )


def tell(differences: Sequence[Difference]) -> None:
    """At once: what is told after the bookmark moved on might never be."""
    for start in range(0, len(differences), _IN_ONE_RECORD):
        some = differences[start : start + _IN_ONE_RECORD]
        told = [{"payment_id": each.payment_id, "kind": each.kind} for each in some]
        _LOGGER.error("journal and ledger differ", extra={"payments": told})
    _METRICS.add_metric(name="Differences", unit=MetricUnit.Count, value=len(differences))
    _METRICS.flush_metrics()


def handle(_event: Any, context: Context) -> dict[str, object]:
    return run(_auditor(), context)


def run(auditor: Auditor, context: Context) -> dict[str, object]:
    """Ends well whenever the next run may do better."""
    done = auditor.run(run_until(auditor.clock, context, WORKS_SECONDS["audit"]))
    result: dict[str, object] = {
        "compared": done.compared,
        "differences": done.differences,
        "stripped": done.stripped,
        "finished": done.finished,
        "stopped": done.stopped,
    }
    if done.age_hours is not None:
        result["age_hours"] = round(done.age_hours, 3)
        _METRICS.add_metric(name="AuditAge", unit=MetricUnit.Count, value=done.age_hours)
        _METRICS.add_metric(name="Compared", unit=MetricUnit.Count, value=done.compared)
        _METRICS.add_metric(name="Stripped", unit=MetricUnit.Count, value=done.stripped)
        if not done.differences:
            _METRICS.add_metric(name="Differences", unit=MetricUnit.Count, value=0)
    _LOGGER.info("audited", extra=result)
    end(_LOGGER, _METRICS, done.mistakes, something_done=bool(done.compared or done.finished))
    return result
