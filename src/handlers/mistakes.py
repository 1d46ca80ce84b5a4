"""What is told of an error of ours: in the log its kind and where it came from, in the metrics one more."""

import traceback
from typing import Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from botocore.exceptions import ClientError

from adapters.aws import code
from payments.mistakes import Mistakes

_MOST_FRAMES: Final = 20


def tell_mistake(logger: Logger, metrics: Metrics, error: Exception, **facts: str) -> None:
    """Not its text: a database quotes the row it refuses."""
    _log(logger, error, facts)
    metrics.add_metric(name="Mistake", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()


def tell_mistakes(logger: Logger, metrics: Metrics, mistakes: Mistakes, **facts: str) -> None:
    """Those that were kept, each with its payment; the metric counts all."""
    for mistake in mistakes.first:
        _log(logger, mistake.error, facts | {"payment_id": mistake.payment_id})
    metrics.add_metric(name="Mistake", unit=MetricUnit.Count, value=mistakes.count)


def _log(logger: Logger, error: Exception, facts: dict[str, str]) -> None:
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    logger.error(
        "mistake",
        extra={
            "kind": type(error).__name__,
            "code": code(error) if isinstance(error, ClientError) else getattr(error, "sqlstate", None),
            "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            **facts,
        },
    )
