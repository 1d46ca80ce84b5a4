"""The steps of a takeover, as Region switch and the clock start them."""

import json
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from failover.control import Phase
from failover.errors import Unavailable
from failover.planner import ACCEPTING, POSTING, Fence, Mode, Promote, Recover, Step, Unknown
from payments.errors import NotActive
from payments.recover import Recovery
from tests.unit.failover.test_takeover import FakeWorld
from tests.unit.handlers.test_api import CurrentOutput
from tests.unit.handlers.test_runs import ENVIRONMENT, Context
from tests.unit.payments.fakes import HERE, THERE, FakeClock, journalled, record
from tests.unit.payments.fakes import World as Payments


@pytest.fixture
def takeover(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "takeover")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import handlers.takeover

    for handler in handlers.takeover._LOGGER.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = CurrentOutput()
    return handlers.takeover


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(record(active=THERE), writing=THERE)


@pytest.fixture
def region(takeover: Any, world: FakeWorld) -> Any:
    return takeover.Region(
        name=HERE,
        world=lambda _reason, _until: world,
        rest=lambda epoch, _until: world.rested.append(epoch),
        clock=FakeClock(),
        without_loss_only=False,
    )


def abandoned(clock: FakeClock) -> datetime:
    return clock.now().time() - timedelta(hours=1)


def test_the_two_steps_with_a_promotion_in_between(takeover: Any, region: Any, world: FakeWorld) -> None:
    fenced = takeover.step(region, Context(), ACCEPTING, 30)
    assert fenced == {"outcome": "Admitted(epoch=2)", "epoch": 2}
    with pytest.raises(takeover.StepFailed, match="Promote"):
        takeover.step(region, Context(), POSTING, 30)
    world.writing = HERE
    assert takeover.step(region, Context(), POSTING, 30)["epoch"] == 2
    assert (world.record.active, world.record.phase) == (HERE, Phase.STEADY)
    assert world.rested == [2]
    assert takeover.step(region, Context(), POSTING, 30)["epoch"] == 2
    assert world.rested == [2]  # by whoever finished the takeover


def test_the_second_step_of_an_overtaken_plan_fails_and_fences_nothing(
    takeover: Any, region: Any, world: FakeWorld
) -> None:
    with pytest.raises(takeover.StepFailed, match="Fence"):
        takeover.step(region, Context(), POSTING, 30)
    assert world.record == record(active=THERE)


def test_a_step_without_an_answer_fails_and_says_what_is_missing(
    takeover: Any, region: Any, world: FakeWorld
) -> None:
    def silent(_: Step) -> bool:
        raise Unavailable("no quorum")

    world.before = silent
    with pytest.raises(takeover.StepFailed, match="no quorum"):
        takeover.step(region, Context(), ACCEPTING, 30)


def test_a_mistake_is_told_and_fails_the_step(
    takeover: Any, region: Any, world: FakeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(_: Step) -> bool:
        raise KeyError("secret text")

    world.before = mistaken
    with pytest.raises(KeyError):
        takeover.step(region, Context(), ACCEPTING, 30)
    told = capsys.readouterr().out
    assert "KeyError" in told
    assert "secret text" not in told


@pytest.mark.parametrize("phase", [Phase.FENCING, Phase.RECOVERING])
def test_what_was_broken_off_is_finished_by_the_active_region(
    takeover: Any, region: Any, world: FakeWorld, phase: Phase
) -> None:
    changed_at = abandoned(region.clock)
    world.record = replace(record(active=HERE, epoch=5, phase=phase), changed_at=changed_at)
    assert takeover.finished(region, Context()) == {"outcome": "Done(epoch=5)"}
    assert (world.record.phase, world.writing) == (Phase.STEADY, HERE)
    assert world.rested == [5]


def test_a_takeover_that_is_going_on_is_left_to_whoever_does_it(
    takeover: Any, region: Any, world: FakeWorld
) -> None:
    world.record = replace(
        record(active=HERE, epoch=5, phase=Phase.RECOVERING), changed_at=region.clock.now().time()
    )
    assert takeover.finished(region, Context()) == {"outcome": "changed a moment ago"}
    assert not world.steps


@pytest.mark.parametrize("control", [record(active=THERE), Unknown("no quorum")])
def test_who_is_not_active_finishes_nothing(
    takeover: Any, region: Any, world: FakeWorld, control: Any
) -> None:
    world.record = control
    assert takeover.finished(region, Context()) == {"outcome": "not active, or unknown"}
    assert not world.steps


@pytest.mark.parametrize("without_loss_only", [True, False])
def test_a_promotion_without_the_old_writer_comes_second_and_only_where_it_may(
    takeover: Any, region: Any, world: FakeWorld, without_loss_only: bool
) -> None:
    def refused(step: Step) -> bool:
        if isinstance(step, Promote) and step.mode is Mode.GRACEFUL:
            raise Unavailable("InvalidGlobalClusterStateFault")
        return True

    world.before = refused
    world.record = replace(record(active=HERE, phase=Phase.RECOVERING), changed_at=abandoned(region.clock))
    finished = takeover.finished(replace(region, without_loss_only=without_loss_only), Context(900))
    if without_loss_only:
        assert "InvalidGlobalClusterStateFault" in finished["outcome"]
        assert world.writing == THERE
    else:
        assert finished == {"outcome": "Done(epoch=1)"}
        assert Promote(1, Mode.UNGRACEFUL) in world.steps


def test_finishing_ends_before_its_function_does(takeover: Any, region: Any, world: FakeWorld) -> None:
    """A promotion that took long leaves less time for recovering, not the same again."""
    began = region.clock.monotonic

    def late(step: Step) -> bool:
        if isinstance(step, Promote):
            return step.mode is Mode.UNGRACEFUL and region.clock.monotonic >= began + 400
        return not isinstance(step, Recover)

    world.before = late
    world.record = replace(record(active=HERE, phase=Phase.RECOVERING), changed_at=abandoned(region.clock))
    finished = takeover.finished(replace(region, without_loss_only=False), Context(660))
    assert "Recover is not done yet" in finished["outcome"]
    assert region.clock.monotonic - began <= 650


def test_finishing_never_opens_an_epoch(takeover: Any) -> None:
    assert Fence not in takeover._FINISHING


def test_what_was_recovered_is_counted(takeover: Any, capsys: pytest.CaptureFixture[str]) -> None:
    payments = Payments()
    payments.control.record = record(phase=Phase.RECOVERING, epoch=2)
    payments.journal.put(journalled(payments.clock, "1"))
    recovery = Recovery(
        leases=payments.leases, work=payments.journal, ledger=lambda: payments.ledger, clock=payments.clock
    )
    until = payments.clock.now().later(60)
    assert takeover.recovered(recovery, 2, until)
    assert any(json.loads(line).get("Recovered") == [1.0] for line in capsys.readouterr().out.splitlines())
    payments.ledger.down = "unreachable"
    with pytest.raises(Unavailable, match="unreachable"):
        takeover.recovered(recovery, 2, until)
    payments.control.record = record(active=THERE, epoch=3)
    payments.ledger.down = ""
    payments.clock.pass_time(10)

    def overtaken(_call: str) -> None:
        raise NotActive

    payments.ledger.before = overtaken
    assert not takeover.recovered(recovery, 2, until)


def test_the_environment_is_all_that_the_functions_need(
    takeover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ENVIRONMENT.keys() & {
        "AWS_REGION",
        "JOURNAL_TABLE",
        "CONTROL_TABLE",
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_NAME",
        "DATABASE_SECRET",
        "GLOBAL_CLUSTER",
    }
    monkeypatch.setenv("AWS_DEFAULT_REGION", HERE)
    given = {name: ENVIRONMENT[name] for name in wanted} | {"WITHOUT_LOSS_ONLY": "true"}
    assert takeover.wired(given).without_loss_only
    assert not takeover.wired(given | {"WITHOUT_LOSS_ONLY": "false"}).without_loss_only
