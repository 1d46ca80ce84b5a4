"""What the scenarios do to the world, before anybody does it."""

import pytest

from ops.drill.scenarios import NAMES, RANDOM, SCENARIOS, drawn, scenario
from ops.drill.steps import (
    Failover,
    Freeze,
    Heal,
    Kill,
    KillLedger,
    Partition,
    Pause,
    Restore,
    Step,
    UntilPhase,
)

CONTRACT = (
    "region-loss", "partition", "ledger-loss", "planned-switchover", "failback", "flapping-health",
    "witness-loss", "step-killed-halfway", "two-executions-race", "random",
)  # fmt: skip


def test_every_scenario_is_there() -> None:
    assert sorted(NAMES) == sorted(CONTRACT)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_first_step_is_the_fault_and_the_last_one_waits_for_its_end(name: str) -> None:
    steps = scenario(name).steps
    assert not isinstance(steps[0], Pause | UntilPhase | Heal | Restore)
    assert isinstance(steps[-1], UntilPhase | Heal)


def test_a_seed_draws_one_schedule() -> None:
    assert drawn(7) == drawn(7) == scenario(RANDOM, 7) != drawn(8)


def test_one_region_at_a_time_is_out_of_order_whatever_is_drawn() -> None:
    for seed in range(300):
        broken: set[object] = set()
        for step in drawn(seed).steps:
            broken = _after(broken, step)
            assert len(broken) <= 1, f"seed {seed}"
        assert not broken, f"seed {seed}: something is left broken"


def _after(broken: set[object], step: Step) -> set[object]:
    match step:
        case Kill(who) | KillLedger(who) | Partition(who) | Freeze(who):
            return broken | {who}
        case Restore(who):
            return broken - {who}
        case Heal():
            return set()
        case _:
            return broken


def test_every_kind_of_disturbance_is_drawn() -> None:
    kinds = {type(step) for seed in range(100) for step in drawn(seed).steps}
    assert {Kill, KillLedger, Partition, Freeze, Failover, Pause, Heal, Restore} <= kinds
