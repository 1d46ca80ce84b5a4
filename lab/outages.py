"""Which regions are dead, cut off or standing still, and who gets to whom meanwhile: all parts go by it."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """What `lab status` says of a region."""

    UP = "up"
    DOWN = "down"
    PARTITIONED = "partitioned"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Outages:
    """`down`: nothing of these runs or answers. `cut`: no other region gets to these, nor they to any; the
    internet does. `frozen`: functions and databases of these stand still, and AWS does not.
    """

    down: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()

    def state(self, region: str) -> State:
        """The worst of what is wrong with it."""
        for regions, state in (
            (self.down, State.DOWN),
            (self.cut, State.PARTITIONED),
            (self.frozen, State.FROZEN),
        ):
            if region in regions:
                return state
        return State.UP

    def reaches(self, here: str, there: str) -> bool:
        """Whether what runs in one region gets to another, or to its own."""
        between = {here, there}
        return not between & self.down and (here == there or not between & self.cut)


def write(file: Path, outages: Outages) -> None:
    described = {"down": outages.down, "cut": outages.cut, "frozen": outages.frozen}
    scratch = file.with_suffix(".tmp")
    scratch.write_text(json.dumps({name: sorted(regions) for name, regions in described.items()}))
    scratch.replace(file)


def read(file: Path) -> Outages:
    """All is well where nobody wrote anything."""
    try:
        described = json.loads(file.read_text())
    except FileNotFoundError:
        return Outages()
    return Outages(**{name: frozenset(regions) for name, regions in described.items()})
