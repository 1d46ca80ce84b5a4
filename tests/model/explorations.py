"""All explorations, and what they met together."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from tests.model.explore import Explorer, Report
from tests.model.scenarios import ALL
from tests.model.services import Services

_MEETS_EVERYTHING: Final = 3_000
# What an exploration has to have met, or it shows nothing.
INTERESTING: Final = (
    "calls delayed",
    "calls lost",
    "calls unanswered",
    "answers late",
    "crashes",
    "regions cut off",
    "fences",
    "forwards",
    "journal asked although closed",
    "keys reused",
    "late deliveries",
    "lists that lag",
    "posted to the old writer",
    "posts behind the fence",
    "promotions that lose commits",
    "put under an old epoch",
    "re-postings",
    "requests stripped",
    "retries",
    "segments shipped",
    "settlements",
    "switchovers",
)


class Bounds(NamedTuple):
    """Of each exploration; whichever is met first. `short`: with too few states to meet all there is."""

    depth: int = 14
    states: int = 1_000
    faults: int = 1

    @property
    def short(self) -> bool:
        return self.states < _MEETS_EVERYTHING


class Explored(NamedTuple):
    report: Report
    faults: int
    seconds: float

    def __str__(self) -> str:
        report = self.report
        how = "all of them" if report.complete else "bounded"
        return (
            f"{report.scenario}, {self.faults} faults: {report.states} states to depth {report.depth} "
            f"({how}), {report.finished} worlds run to their end, {self.seconds:.1f} s"
        )


def explorations(bounds: Bounds) -> Iterator[Explored]:
    """Every scenario without a fault, with one, and so on. Raises Counterexample."""
    for scenario in ALL:
        for faults in range(bounds.faults + 1):
            began = time.monotonic()
            explorer = Explorer(scenario(faults), Services())
            report = explorer.explore(depth=bounds.depth, states=bounds.states)
            yield Explored(report, faults, time.monotonic() - began)


def events(explored: Iterable[Explored]) -> Counter[str]:
    return sum((one.report.events for one in explored), Counter())
