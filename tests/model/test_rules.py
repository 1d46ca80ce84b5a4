"""Each starred rule of the payment path is needed: without it, the exploration finds a broken invariant."""

from collections.abc import Callable

import pytest

from tests.model import mutants
from tests.model.explore import Counterexample, Explorer, Scenario
from tests.model.processes import finisher, plan
from tests.model.scenarios import (
    EAST,
    WEST,
    broken_off,
    closing,
    late_promotion,
    late_writers,
    racing_plans,
    reading,
    settling,
    shipping,
    takeover,
    two_bodies,
)
from tests.model.services import Services

_DEPTH = 14
_STATES = 400_000


def broken(scenario: Scenario, services: Services) -> Counterexample:
    with pytest.raises(Counterexample) as found:
        Explorer(scenario, services).explore(depth=_DEPTH, states=_STATES)
    print(found.value)  # noqa: T201 - the trace, for `pytest -s`
    return found.value


Make = Callable[[int], Scenario]


def read_from_ledger_only(faults: int) -> Scenario:
    return reading(faults, find=mutants.found_in_ledger_only)


def read_without_lease(faults: int) -> Scenario:
    return reading(faults, leases=mutants.EverlastingLeases)


def read_while_nobody_waits(faults: int) -> Scenario:
    return reading(faults, takes_over=plan(WEST, lossy=True, clock=mutants.HastyClock))


def left_half_done(faults: int) -> Scenario:
    return broken_off(faults, finishers=())


def asking_the_database(faults: int) -> Scenario:
    both = (finisher(region, world=mutants.DatabaseIsBelieved) for region in (EAST, WEST))
    return broken_off(faults, finishers=tuple(both))


@pytest.mark.parametrize(
    ("services", "scenario", "faults", "why"),
    [
        pytest.param(mutants.EntriesAreReplaced, two_bodies, 0, "two outcomes", id="2 entries are replaced"),
        pytest.param(
            mutants.SettledEntriesAreDeleted, settling, 0, "two outcomes", id="2 entries are deleted"
        ),
        pytest.param(mutants.SettledWhenPosted, settling, 0, "is lost", id="3 settled when posted"),
        pytest.param(
            mutants.OldWriterIsBelieved, late_writers, 0, "not posted", id="3 the old writer is believed"
        ),
        pytest.param(mutants.EpochOfTheEntry, takeover, 1, "phase recovering", id="4 the entry's epoch"),
        pytest.param(mutants.NoFence, racing_plans, 0, "older than its fence", id="4 no fence"),
        pytest.param(
            Services, read_while_nobody_waits, 0, "starts under epoch 1", id="6 no lease is waited for"
        ),
        pytest.param(Services, left_half_done, 0, "stays in phase", id="7 nobody finishes"),
        pytest.param(Services, asking_the_database, 0, "stays in phase", id="7 the database is believed"),
        pytest.param(mutants.RefusedWithoutAsking, closing, 0, "was refused", id="8 refused without asking"),
        pytest.param(
            mutants.SweptWithoutFence, late_promotion, 0, "is not settled", id="4 the fence is lost"
        ),
        pytest.param(mutants.RetriesAreRefused, takeover, 1, "was refused", id="8 retries are refused"),
        pytest.param(mutants.ShippedWhenPosted, shipping, 0, "holds other rows", id="10 shipped when posted"),
        pytest.param(Services, read_from_ledger_only, 1, "is not found", id="9 read from the ledger only"),
        pytest.param(Services, read_without_lease, 0, "starts under epoch 1", id="9 read without a lease"),
    ],
)
def test_without_the_rule_an_invariant_breaks(
    services: type[Services], scenario: Make, faults: int, why: str
) -> None:
    counterexample = broken(scenario(faults), services())
    assert why in counterexample.why
    assert len(counterexample.steps) <= _DEPTH
