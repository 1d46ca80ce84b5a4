"""What a drill does to the world, as data: steps, and who they are about."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from failover.control import Phase
from failover.planner import Mode


class Who(StrEnum):
    """A region by its part in the drill, whichever it is today."""

    TARGET = "target"  # what is broken, or given up
    PEER = "peer"  # the other data region
    WITNESS = "witness"


@dataclass(frozen=True, slots=True)
class Kill:
    """The whole region: its functions, its database, and every way to it."""

    who: Who

    def __str__(self) -> str:
        return f"kill {self.who}"


@dataclass(frozen=True, slots=True)
class KillLedger:
    who: Who

    def __str__(self) -> str:
        return f"kill the ledger of {self.who}"


@dataclass(frozen=True, slots=True)
class KillFunction:
    """What runs of it just now; nothing keeps it from being started again."""

    who: Who
    component: str

    def __str__(self) -> str:
        return f"kill function {self.component} of {self.who}"


@dataclass(frozen=True, slots=True)
class Partition:
    """Cut off from the two other regions, and still reached by clients."""

    who: Who

    def __str__(self) -> str:
        return f"partition {self.who}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Functions and database stand still, and find their clocks moved on when they are let go."""

    who: Who

    def __str__(self) -> str:
        return f"freeze {self.who}"


@dataclass(frozen=True, slots=True)
class Delay:
    """Whatever is replicated to the region's database arrives so many seconds late."""

    who: Who
    seconds: float

    def __str__(self) -> str:
        return f"delay replication to {self.who} by {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Restore:
    who: Who

    def __str__(self) -> str:
        return f"restore {self.who}"


@dataclass(frozen=True, slots=True)
class Heal:
    """Ends every partition, freeze and delay."""

    def __str__(self) -> str:
        return "heal"


@dataclass(frozen=True, slots=True)
class Failover:
    """An operator's command, begun in a terminal of its own; nobody waits for it."""

    to: Who
    mode: Mode
    direct: bool = False

    def __str__(self) -> str:
        how = ", without Region switch" if self.direct else ""
        return f"operator: make {self.to} active, {self.mode}{how}"


@dataclass(frozen=True, slots=True)
class UntilPhase:
    """Until the control record has `who` active in one of the phases."""

    who: Who
    phases: tuple[Phase, ...]

    def __str__(self) -> str:
        return f"until {self.who} is {' or '.join(self.phases)}"


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds at real timers; the time scale shortens them."""

    seconds: float

    def __str__(self) -> str:
        return f"wait {self.seconds:g} s"


Change = Kill | KillLedger | KillFunction | Partition | Freeze | Delay | Restore | Heal
Step = Change | Failover | UntilPhase | Pause


class World(Protocol):
    """What can be done to the regions. Every method raises WorldError where it could not be done."""

    def kill(self, region: str) -> None: ...

    def kill_ledger(self, region: str) -> None: ...

    def kill_function(self, region: str, component: str) -> None: ...

    def partition(self, region: str) -> None: ...

    def freeze(self, region: str) -> None: ...

    def delay(self, region: str, seconds: float) -> None: ...

    def restore(self, region: str) -> None: ...

    def heal(self) -> None: ...


class WorldError(Exception):
    """Where, what, what to do next."""
