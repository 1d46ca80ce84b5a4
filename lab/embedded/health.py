"""What Route 53's health checkers found, and what records make of it."""

from concurrent.futures import Future
from dataclasses import dataclass

from ministack.services import route53

from lab.embedded.handlers import Properties


@dataclass
class Observed:
    """`healthy` changes after as many results in a row as the check's threshold says."""

    healthy: bool = True
    against: int = 0
    due: float = 0.0
    running: Future[bool] | None = None

    def take(self, success: bool, threshold: int) -> None:
        self.against = 0 if success == self.healthy else self.against + 1
        if self.against >= threshold:
            self.healthy, self.against = success, 0


observed: dict[str, Observed] = {}
"""By the check's id."""


def healthy(identifier: str) -> bool:
    """A check that was deleted counts as healthy, and so does one that nobody could look at yet."""
    for (_, known), check in list(route53._health_checks._data.items()):
        if known == identifier:
            return status(check["config"], observed.get(identifier))
    return True


def status(config: Properties, seen: Observed | None) -> bool:
    """https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html"""
    found = seen is None or is_true(config, "Disabled") or seen.healthy
    return found != is_true(config, "Inverted")


def is_true(config: Properties, name: str) -> bool:
    return str(config.get(name)).lower() == "true"
