"""What the embedded AWS does not do in, to and from a region that is dead or cut off."""

import os
import time
from functools import cache
from pathlib import Path

from lab import outages
from lab.outages import Outages
from lab.plan import PLAN_VARIABLE, read_plan

_LOOK_EVERY = 0.2  # seconds


def now() -> Outages:
    """All is well where there is no lab around."""
    plan = os.environ.get(PLAN_VARIABLE)
    return outages.read(_file(plan)) if plan else Outages()


def is_down(region: str) -> bool:
    return region in now().down


def stand_still(region: str) -> None:
    """Returns once the region is not dead; on a thread of its own."""
    while is_down(region):
        time.sleep(_LOOK_EVERY)


@cache
def _file(plan: str) -> Path:
    return read_plan(Path(plan)).outages_file
