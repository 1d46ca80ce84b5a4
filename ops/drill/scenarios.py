"""Every drill there is: what is done to the world, in which order, and what has to come of it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from failover.control import Phase
from failover.planner import Mode
from ops.drill.steps import (
    Delay,
    Failover,
    Freeze,
    Heal,
    Kill,
    KillFunction,
    KillLedger,
    Partition,
    Pause,
    Restore,
    Step,
    UntilPhase,
    Who,
)

_BEGUN: Final = tuple(Phase)
_UNDER_WAY: Final = (Phase.RECOVERING, Phase.STEADY)
_STEADY: Final = (Phase.STEADY,)
_FEWEST, _MOST = 2, 4  # disturbances of a random drill
_LONGEST = 45.0  # seconds that one of them lasts, at real timers


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What has to hold besides: nothing lost, nothing doubled, never two active, and well in the end."""

    within_worst_case: bool = False  # of the build, for the direction it went
    no_failed_request: bool = False
    slowest_seconds: float | None = None
    takeovers: int | None = None  # exactly so many; None: whatever it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`steps` are taken one after the other; the first of them is the fault from which time is counted.

    `begins_in`: where the region given up has to be the primary's peer or any. `from_secondary` says that the
    secondary region has to be active before it begins.
    """

    name: str
    about: str
    steps: tuple[Step, ...]
    goals: Goals = field(default_factory=Goals)
    from_secondary: bool = False
    takes_over: bool = True  # the other region is active in the end
    seed: int | None = None


_PLANNED: Final = Goals(no_failed_request=True, slowest_seconds=10.0, takeovers=1)

_FIXED: Final = (
    Scenario(
        name="region-loss",
        about="the active region is gone, and nobody does anything",
        steps=(Kill(Who.TARGET), UntilPhase(Who.PEER, _STEADY)),
        goals=Goals(within_worst_case=True, takeovers=1),
    ),
    Scenario(
        name="partition",
        about="the active region is cut off from the other two, and clients still reach it",
        steps=(Partition(Who.TARGET), UntilPhase(Who.PEER, _STEADY)),
        goals=Goals(within_worst_case=True, takeovers=1),
    ),
    Scenario(
        name="ledger-loss",
        about="the writer's database is gone; a person gives it up after a minute",
        steps=(
            KillLedger(Who.TARGET),
            Pause(60),
            Failover(Who.PEER, Mode.UNGRACEFUL),
            UntilPhase(Who.PEER, _STEADY),
        ),
        goals=Goals(no_failed_request=True, takeovers=1),
    ),
    Scenario(
        name="planned-switchover",
        about="a person makes the other region the active one",
        steps=(Failover(Who.PEER, Mode.GRACEFUL), UntilPhase(Who.PEER, _STEADY)),
        goals=_PLANNED,
    ),
    Scenario(
        name="failback",
        about="a person makes the primary region the active one again",
        steps=(Failover(Who.PEER, Mode.GRACEFUL), UntilPhase(Who.PEER, _STEADY)),
        goals=_PLANNED,
        from_secondary=True,
    ),
    Scenario(
        name="flapping-health",
        about="the active region stands still three times, each time for less than it takes to give it up",
        steps=(
            *(Freeze(Who.TARGET), Pause(8), Heal(), Pause(20)),
            *(Freeze(Who.TARGET), Pause(8), Heal(), Pause(20)),
            *(Freeze(Who.TARGET), Pause(8), Heal()),
        ),
        goals=Goals(takeovers=0),
        takes_over=False,
    ),
    Scenario(
        name="witness-loss",
        about="the witness region is gone: payments go on, and a person can still move them",
        steps=(
            Kill(Who.WITNESS),
            Pause(60),
            Failover(Who.PEER, Mode.GRACEFUL),
            UntilPhase(Who.PEER, _STEADY),
        ),
        goals=_PLANNED,
    ),
    Scenario(
        name="step-killed-halfway",
        about="the active region is gone, and each function of the takeover is killed at its work",
        steps=(
            Kill(Who.TARGET),
            UntilPhase(Who.PEER, _BEGUN),
            KillFunction(Who.PEER, "fence"),
            UntilPhase(Who.PEER, _UNDER_WAY),
            KillFunction(Who.PEER, "recover"),
            UntilPhase(Who.PEER, _STEADY),
        ),
        goals=Goals(takeovers=1),
    ),
    Scenario(
        name="two-executions-race",
        about="the active region is gone, and two people fail over at once, each in their own way",
        steps=(
            Kill(Who.TARGET),
            Failover(Who.PEER, Mode.UNGRACEFUL),
            Failover(Who.PEER, Mode.UNGRACEFUL, direct=True),
            UntilPhase(Who.PEER, _STEADY),
        ),
        goals=Goals(within_worst_case=True, takeovers=1),
    ),
)
RANDOM: Final = "random"
SCENARIOS: Final[Mapping[str, Scenario]] = {each.name: each for each in _FIXED}
NAMES: Final = (*SCENARIOS, RANDOM)


def scenario(name: str, seed: int = 0) -> Scenario:
    return drawn(seed) if name == RANDOM else SCENARIOS[name]


def drawn(seed: int) -> Scenario:
    """The same seed, the same schedule. One region at a time is out of order: no more is promised.

    Where the active region was out of order for long, the other one takes over, and may be the next to go.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    steps: list[Step] = []
    for _ in range(chance.randint(_FEWEST, _MOST)):
        kind = chance.choice(tuple(_DISTURBANCES))
        who = chance.choice((Who.TARGET, Who.TARGET, Who.PEER, Who.WITNESS))
        steps += _DISTURBANCES[kind](chance, who)
        steps.append(Pause(round(chance.uniform(5, 30), 1)))
    return Scenario(
        name=RANDOM, about=f"drawn with seed {seed}", steps=tuple(steps), seed=seed, takes_over=False
    )


def _lasting(chance: random.Random) -> Pause:
    return Pause(round(chance.uniform(1, _LONGEST), 1))


def _data_region(who: Who) -> Who:
    return Who.PEER if who is Who.WITNESS else who


def _killed(chance: random.Random, who: Who) -> list[Step]:
    return [Kill(who), _lasting(chance), Restore(who)]


def _cut_off(chance: random.Random, who: Who) -> list[Step]:
    return [Partition(_data_region(who)), _lasting(chance), Heal()]


def _frozen(chance: random.Random, who: Who) -> list[Step]:
    return [Freeze(_data_region(who)), _lasting(chance), Heal()]


def _late(chance: random.Random, _: Who) -> list[Step]:
    seconds = round(chance.uniform(0.5, 5), 1)
    return [
        Delay(Who.PEER, seconds),
        Delay(Who.TARGET, seconds),
        _lasting(chance),
        *_killed(chance, Who.TARGET),
        Heal(),
    ]


def _without_ledger(chance: random.Random, who: Who) -> list[Step]:
    region = _data_region(who)
    return [KillLedger(region), _lasting(chance), Restore(region)]


def _moved(chance: random.Random, who: Who) -> list[Step]:
    direct = chance.random() < 0.5
    return [Failover(_data_region(who), Mode.GRACEFUL, direct), _lasting(chance)]


def _functions_killed(chance: random.Random, who: Who) -> list[Step]:
    components = [chance.choice(("api", "sweep", "fence", "recover", "finish", "probe")) for _ in range(4)]
    return [KillFunction(_data_region(who), component) for component in components]


_DISTURBANCES: Final[Mapping[str, Callable[[random.Random, Who], list[Step]]]] = {
    "region": _killed,
    "network": _cut_off,
    "standstill": _frozen,
    "replication": _late,
    "ledger": _without_ledger,
    "operator": _moved,
    "functions": _functions_killed,
}
