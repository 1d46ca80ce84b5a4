"""Errors that somebody has to repair, met while working on many payments: one of them holds up no other."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from payments.errors import Unavailable

_MOST_KEPT: Final = 20
MOST_UNKNOWN: Final = 8  # of single entries; what answers none of them is not asked for hundreds more

Each = Callable[[Callable[[str], Exception | None], Iterable[str]], Iterable[Exception | None]]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`payment_id` is empty where the error is about no payment in particular."""

    error: Exception
    payment_id: str = ""


@dataclass(slots=True)
class Mistakes:
    """All are counted, the first of them kept: what breaks everything would otherwise fill the log.

    `general` ones are about no payment in particular: something could not be done for any of several.
    """

    count: int = 0
    general: int = 0
    first: list[Mistake] = field(default_factory=list)

    def add(self, error: Exception, payment_id: str = "") -> None:
        self.count += 1
        self.general += not payment_id
        if len(self.first) < _MOST_KEPT:
            self.first.append(Mistake(error, payment_id))

    def include(self, others: "Mistakes") -> None:
        self.count += others.count
        self.general += others.general
        self.first += others.first[: _MOST_KEPT - len(self.first)]


@dataclass(frozen=True, slots=True)
class Attempts:
    """For how many it was done, and what was missing where an answer was."""

    done: int
    unknown: Unavailable | None

    def raise_unknown(self) -> None:
        if self.unknown is not None:
            raise self.unknown


def attempt(act: Callable[[str], None], ids: Collection[str], each: Each, mistakes: Mistakes) -> Attempts:
    """Does it for all, by `each`: `map`, or one that does several at a time. For those that are left once so
    many answers were missing, it is not tried, and unknown.
    """
    missing: list[Unavailable] = []

    def tried(payment_id: str) -> Exception | None:
        if len(missing) >= MOST_UNKNOWN:
            return missing[0]
        try:
            act(payment_id)
        except Unavailable as unknown:
            missing.append(unknown)
            return unknown
        except Exception as error:  # noqa: BLE001 - sorted out below
            return error
        return None

    done = 0
    unknown: Unavailable | None = None
    for payment_id, error in zip(ids, each(tried, ids), strict=True):
        if error is None:
            done += 1
        elif isinstance(error, Unavailable):
            unknown = error
        else:
            mistakes.add(error, payment_id)
    return Attempts(done, unknown)
