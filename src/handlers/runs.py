"""Runs that a clock starts: how long one may take, and how it ends."""

from collections.abc import Mapping
from typing import Final, Protocol

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from failover.clock import Clock, Instant
from handlers.mistakes import tell_mistakes
from payments.mistakes import Mistakes

# How long each works at most; then it finishes its batch, segment or page. The next is started a bit later.
WORKS_SECONDS: Final = {"settle": 50.0, "ship": 180.0, "audit": 800.0}
_LAST_WORD_SECONDS: Final = 10.0  # for the step under way, which no deadline interrupts, and to report


_SHARE: Final = 5 / 6  # of the time between two starts


class Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


class NothingDone(Exception):  # noqa: N818 - what is so
    """A run that could do nothing for mistakes alone: its invocation fails. Says no more: the log does."""


def sweeps_seconds(environment: Mapping[str, str]) -> float:
    """Almost until the next sweep is started: several at once would do no harm, and no good either."""
    return float(environment["SWEEP_INTERVAL_SECONDS"]) * _SHARE


def run_until(clock: Clock, context: Context, seconds: float) -> Instant:
    """So many seconds from now, or less where Lambda would end the run before it has reported."""
    left = context.get_remaining_time_in_millis() / 1000 - _LAST_WORD_SECONDS
    return clock.now().later(max(0.0, min(seconds, left)))


def end(logger: Logger, metrics: Metrics, mistakes: Mistakes, *, something_done: bool) -> None:
    """Sends the metrics. Fails where nothing could be done and waiting will not help."""
    if mistakes.count:
        tell_mistakes(logger, metrics, mistakes)
    if metrics.metric_set:
        metrics.flush_metrics()
    if mistakes.general and not something_done:
        raise NothingDone
