"""One check of readiness: its answer, the reason, what to do; and how answers of two regions become checks.

Three answers: *unknown is never taken for yes*.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from failover.planner import Unknown
from ops.readiness.facts import Facts, Seen

ASK_AGAIN: Final = "look at the region, the network, and what these credentials may do; ask again"
Known = TypeVar("Known")
Problems = Iterable[tuple[str, str]]
"""What is wrong, and what to do about it."""


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """`region` is None where it is about both; `todo` is what to do next, nothing where it is a yes."""

    name: str
    region: str | None
    answer: Answer
    why: str
    todo: str = ""

    @property
    def text(self) -> str:
        said = f"{self.region or 'both regions'}: {self.name}: {self.why}"
        return f"{said}; {self.todo}" if self.todo else said


def judged(name: str, region: str | None, problems: Problems, fine: str) -> Check:
    """No, with every problem and what to do about the first of them; yes without any."""
    found = list(problems)
    if not found:
        return Check(name, region, Answer.YES, fine)
    return Check(name, region, Answer.NO, "; ".join(dict.fromkeys(what for what, _ in found)), found[0][1])


def unknown(name: str, region: str | None, why: str, todo: str = ASK_AGAIN) -> Check:
    return Check(name, region, Answer.UNKNOWN, why, todo)


def each(
    seen: Seen,
    name: str,
    ask: Callable[[Facts], Known | Unknown],
    problems: Callable[[Facts, Known], Problems],
    fine: Callable[[Known], str],
) -> Iterator[Check]:
    """In each region for itself."""
    for one in seen.facts:
        answer = ask(one)
        if isinstance(answer, Unknown):
            yield unknown(name, one.region, answer.why)
        else:
            yield judged(name, one.region, problems(one, answer), fine(answer))


def both(
    seen: Seen,
    name: str,
    ask: Callable[[Facts], Known | Unknown],
    problems: Callable[[Known, Known], Problems],
    fine: Callable[[Known], str],
) -> Iterator[Check]:
    """One region compared with the other; the one that is to take over is the first argument."""
    here, there = ask(seen.here), ask(seen.there)
    silent = [
        f"{one.region}: {answer.why}"
        for one, answer in ((seen.here, here), (seen.there, there))
        if isinstance(answer, Unknown)
    ]
    if isinstance(here, Unknown) or isinstance(there, Unknown):
        yield unknown(name, None, "; ".join(silent))
    else:
        yield judged(name, None, problems(here, there), fine(here))
