"""Errors that somebody has to repair, met while working on many payments: one of them holds up no other."""

from dataclasses import dataclass, field
from typing import Final

_MOST_KEPT: Final = 20


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
