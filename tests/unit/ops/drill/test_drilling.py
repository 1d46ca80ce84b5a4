"""A drill with made-up payments: which steps are taken, when it ends, and what it does not wait for."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from failover.control import ControlRecord, Phase
from failover.planner import Mode
from ops.drill.drilling import Drill, Live, Plan, since, told
from ops.drill.scenarios import Scenario
from ops.drill.steps import Failover, Kill, Pause, Step, UntilPhase, Who, WorldError
from ops.drill.story import CONTROL, NOTE, WRITER, Story
from ops.drill.watch import Sighting
from ops.traffic import Attempt, Run
from tests.unit.ops.drill.recorded import order
from tests.unit.ops.drill.test_story import EAST, OTHER, database
from tests.unit.ops.drill.test_worlds import REGIONS, Told

SCALE = 0.01  # a window of 0.6 s
OPERATOR = ("-c", "import sys; print(' '.join(sys.argv[1:])); sys.exit(3)")


def live(*steps: Step, deadline: float = 20.0) -> Live:
    began = datetime.now(UTC)
    plan = Plan(
        scenario=Scenario(name="made-up", about="", steps=steps),
        regions=REGIONS,
        clients=2,
        time_scale=SCALE,
        lead_in=0.1,
        deadline=deadline,
    )
    return Live(plan, Story(began), since(began))


def paying(
    seen: Live, fails: Callable[[float], bool] = lambda _: False
) -> Callable[[asyncio.Event], "asyncio.Task[Run]"]:
    """Two clients, twenty attempts a second."""

    async def pay(stop: asyncio.Event) -> Run:
        number = 0
        while not stop.is_set():
            number += 1
            now = seen.clock()
            status = 503 if fails(now) else 201
            seen.noticed(order(number, now, number % 2), Attempt("/payments", now, 0.01, status))
            await asyncio.sleep(0.05)
        return Run(seen.story.began, ())

    return lambda stop: asyncio.create_task(pay(stop))


def active(region: str, epoch: int, phase: Phase = Phase.STEADY) -> Sighting:
    return Sighting(CONTROL, region, ControlRecord(epoch, region, phase, datetime.now(UTC), "drill"))


def settled(seen: Live, region: str, epoch: int) -> None:
    seen.saw(active(region, epoch))
    seen.saw(Sighting(WRITER, region, database(region)))


def test_steps_are_taken_in_order_and_it_ends_when_all_is_as_before() -> None:
    seen, world = live(Kill(Who.TARGET), Pause(10), UntilPhase(Who.PEER, (Phase.STEADY,))), Told()
    settled(seen, EAST, 1)

    async def drill() -> None:
        asyncio.get_running_loop().call_later(1.0, settled, seen, OTHER, 2)
        await Drill(seen, world, OPERATOR).run(paying(seen, lambda now: 0.15 < now < 0.4))

    asyncio.run(drill())
    assert world.done == ["kill us-east-1"]
    assert seen.fault is not None
    assert seen.fault >= seen.plan.lead_in
    assert seen.recovered
    assert seen.settled
    assert [event.event for event in seen.story.events if event.kind in ("fault", "step-taken")] == [
        "kill us-east-1",
        "wait 10 s",
        "until us-east-2 is steady",
    ]


def test_what_never_comes_is_given_up_at_the_deadline_and_told() -> None:
    seen = live(Kill(Who.TARGET), UntilPhase(Who.PEER, (Phase.STEADY,)), deadline=0.5)
    settled(seen, EAST, 1)
    asyncio.run(Drill(seen, Told(), OPERATOR).run(paying(seen)))
    assert any(
        "given up waiting for: until us-east-2 is steady" in event.event for event in seen.story.events
    )


def test_what_cannot_be_done_ends_it() -> None:
    seen = live(Kill(Who.TARGET))
    with pytest.raises(WorldError):
        asyncio.run(Drill(seen, Told(refuses="kill us-east-1"), OPERATOR).run(paying(seen)))


def test_clients_that_fail_at_once_end_it_with_their_mistake() -> None:
    seen = live(Kill(Who.TARGET))

    async def broken() -> Run:
        raise ValueError("a mistake")

    began = time.monotonic()
    with pytest.raises(ValueError, match="a mistake"):
        asyncio.run(Drill(seen, Told(), OPERATOR).run(lambda _: asyncio.create_task(broken())))
    assert time.monotonic() - began < 10


def test_an_operator_s_command_is_run_and_told() -> None:
    seen = live(Failover(Who.PEER, Mode.UNGRACEFUL, direct=True))
    settled(seen, OTHER, 2)
    asyncio.run(Drill(seen, Told(), OPERATOR).run(paying(seen)))
    notes = [event.event for event in seen.story.events if event.kind == NOTE]
    asked = (
        "failover --to us-east-2 --mode ungraceful --yes --reason drill made-up --accept-data-loss --direct"
    )
    assert notes == [f"operator: {asked}", "operator: the command ended with 3"]


def test_a_payment_without_an_outcome_keeps_it_from_having_recovered() -> None:
    seen = live(Kill(Who.TARGET))
    seen.fault = 0.0
    for number in range(60):
        seen.noticed(order(number, client=number % 2), Attempt("/payments", number / 20, 0.01, 201))
    assert seen.recovered
    list(seen.coming([order(99, due=0.1)]))
    assert not seen.recovered


def test_steps_are_told_by_the_names_of_regions() -> None:
    assert told(Failover(Who.PEER, Mode.GRACEFUL), REGIONS) == "operator: make us-east-2 active, graceful"


def test_nothing_is_broken_before_every_client_has_paid() -> None:
    """What starts cold would be taken for the fault's doing, and nothing be known of the time before."""
    seen, world = live(Kill(Who.TARGET), deadline=1.0), Told()
    settled(seen, EAST, 1)
    asyncio.run(Drill(seen, world, OPERATOR).run(paying(seen, lambda now: now < 0.5)))
    assert seen.fault is not None
    assert seen.fault >= 0.5 + seen.plan.lead_in
