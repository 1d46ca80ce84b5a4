"""What one region created is not in the others at once: how the lab's eventual tables are made to lag."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 60.0  # seconds; a rule that lags longer than this lags this long


@dataclass(frozen=True, slots=True)
class _Created:
    at: float
    region: str
    table: str
    item: Mapping[str, Any]


class Creations:
    """Items that were put lately, by region. What overwrites an item counts as creating it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lately: deque[_Created] = deque()
        self._watching: set[str] = set()

    @property
    def wanted(self) -> bool:
        """Whether any region lags: until then nobody has to look into what is put."""
        return bool(self._watching)

    def watch(self, region: str, lags: bool) -> None:
        self._watching = self._watching | {region} if lags else self._watching - {region}

    def note(self, region: str, request: Mapping[str, Any]) -> None:
        """A PutItem that was applied in a region."""
        now = self._clock()
        while self._lately and now - self._lately[0].at > _LONGEST:
            self._lately.popleft()
        self._lately.append(_Created(now, region, request["TableName"], request["Item"]))

    def hides(self, region: str, request: Mapping[str, Any], seconds: float) -> bool:
        """Whether what a GetItem asks for in a region was created in another one less than so long ago."""
        since = self._clock() - seconds
        return any(
            one.at > since
            and one.region != region
            and one.table == request.get("TableName")
            and request.get("Key", {}).items() <= one.item.items()
            for one in self._lately
        )
