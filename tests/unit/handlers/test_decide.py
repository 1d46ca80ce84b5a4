"""The decision, whoever else decides at the same time, and however often it is made."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from adapters.region_switch import Found
from failover.control import ControlRecord, Phase
from failover.decision import REASON
from failover.errors import Unavailable
from failover.planner import Fence, Step, Unknown
from tests.unit.failover.test_takeover import FakeWorld
from tests.unit.handlers.test_api import CurrentOutput
from tests.unit.handlers.test_runs import Context
from tests.unit.payments.fakes import HERE, THERE, FakeClock, record

ARN = "arn:aws:arc-region-switch::123456789012:plan/payments-failover-prod:a1b2c3"
NEEDED = {
    "AWS_REGION": HERE,
    "CONTROL_TABLE": "control",
    "GLOBAL_CLUSTER": "ledger",
    "PLAN": "plan",
    "ALARM": "peer-unreachable",
    "VOTE_INTERVAL_SECONDS": "20",
}


@dataclass
class World(FakeWorld):
    """Writes down whose epoch it is; silent for so many questions."""

    clock: FakeClock = field(default_factory=FakeClock)
    silent: int = 0

    def control(self) -> Any:
        if self.silent:
            self.silent -= 1
            return Unknown("no quorum")
        return self.record

    def do(self, step: Step, target: str) -> bool:
        before = self.record.epoch
        done = super().do(step, target)
        if done and self.record.epoch > before:
            self.record = replace(self.record, reason=REASON)
        return done


@dataclass
class FakePlan:
    execution: str | None = None
    there: bool = True
    overtaken: bool = False  # by an execution that began after it was asked for
    started: int = 0
    before: Callable[[], None] = lambda: None

    def find(self) -> Found | None:
        self.before()
        return Found(ARN, self.execution) if self.there else None

    def start(self, arn: str) -> str | None:
        assert arn == ARN
        self.started += 1
        return None if self.overtaken else "execution-1"


@dataclass
class FakeAlarm:
    ringing: bool = True
    silent: bool = False
    asked: int = 0

    def rings(self) -> bool:
        self.asked += 1
        if self.silent:
            raise Unavailable("alarm: timeout")
        return self.ringing


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "decide")
    monkeypatch.setenv("AWS_DEFAULT_REGION", HERE)
    import handlers.decide

    for one in handlers.decide._LOGGER.handlers:
        assert isinstance(one, logging.StreamHandler)
        one.stream = CurrentOutput()
    return handlers.decide


@pytest.fixture
def world() -> World:
    world = World(record(active=THERE))
    world.record = replace(world.record, changed_at=world.clock.now().time() - timedelta(hours=1))
    return world


@pytest.fixture
def plan() -> FakePlan:
    return FakePlan()


@pytest.fixture
def alarm() -> FakeAlarm:
    return FakeAlarm()


@pytest.fixture
def decided(handler: Any, world: World, plan: FakePlan, alarm: FakeAlarm) -> Callable[[], Any]:
    """By the same event each time, as Lambda tries it again."""
    deciding = handler.Deciding(
        region=HERE, world=world, plan=plan, alarm=alarm, clock=world.clock, voted=timedelta(seconds=20)
    )
    event = rang(world.clock)
    return lambda: handler.decided(deciding, event, Context())


def rang(clock: FakeClock) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html"""
    timestamp = clock.now().time().strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return {"source": "aws.cloudwatch", "alarmData": {"state": {"value": "ALARM", "timestamp": timestamp}}}


def test_it_fences_waits_one_lease_admits_and_starts_the_plan(
    decided: Callable[[], Any], world: World, alarm: FakeAlarm
) -> None:
    assert decided() == {"outcome": "Admitted(epoch=2)", "execution": "execution-1"}
    assert world.steps[0] == Fence(1)
    assert world.clock.slept == 3
    assert alarm.asked == 0  # it rang just now
    assert (world.record.active, world.record.phase) == (HERE, Phase.RECOVERING)


def test_asked_again_it_fences_nothing_and_finds_the_plan_running(
    decided: Callable[[], Any], world: World, plan: FakePlan
) -> None:
    decided()
    plan.execution = "execution-1"
    again = decided()
    assert (world.record.epoch, plan.started) == (2, 1)
    assert again["execution"] == "execution-1, under way already"


def test_once_it_is_over_there_is_nothing_left(
    decided: Callable[[], Any], world: World, plan: FakePlan
) -> None:
    decided()
    world.record = replace(world.record, phase=Phase.STEADY)
    assert decided()["why"] == f"{HERE} is the active region, steady"
    assert plan.started == 1


def test_a_plan_that_could_not_be_started_is_tried_again_under_the_same_epoch(
    decided: Callable[[], Any], handler: Any, world: World, plan: FakePlan
) -> None:
    def gone() -> None:
        raise Unavailable("Region switch: ConnectTimeoutError")

    plan.before = gone
    with pytest.raises(Unavailable, match="Region switch"):
        decided()
    assert world.record.phase is Phase.RECOVERING  # payments are accepted, whatever becomes of the plan
    plan.before, plan.there = (lambda: None), False
    with pytest.raises(handler.Undecided, match="not there"):
        decided()
    plan.there = True
    assert decided()["execution"] == "execution-1"
    assert world.record.epoch == 2


@pytest.mark.parametrize("reason", ["Region switch", "drill (by an operator, graceful)"])
def test_whoever_was_faster_is_left_alone(
    decided: Callable[[], Any], world: World, plan: FakePlan, reason: str
) -> None:
    """A person who began a graceful takeover just now: no second one goes without the old writer."""

    def person(step: Step) -> bool:
        if isinstance(step, Fence):
            world.before = lambda _: True
            world.record = replace(world.record, epoch=2, active=HERE, phase=Phase.RECOVERING, reason=reason)
            return False
        return True

    world.before = person
    assert decided()["why"] == f"others were faster: {reason}"
    assert (world.record.epoch, plan.started) == (2, 0)
    assert decided()["outcome"] == "nothing to decide"


def test_whoever_takes_it_away_meanwhile_is_left_alone(
    decided: Callable[[], Any], world: World, plan: FakePlan
) -> None:
    def other(step: Step) -> bool:
        if not isinstance(step, Fence):
            world.record = replace(world.record, epoch=3, active=THERE, phase=Phase.RECOVERING)
            return False
        return True

    world.before = other
    assert decided()["outcome"] == "nothing to decide"
    assert plan.started == 0


def test_another_execution_that_is_in_the_way_is_as_good(decided: Callable[[], Any], plan: FakePlan) -> None:
    plan.overtaken = True
    assert decided()["execution"] == "another one, under way already"


def test_the_record_is_asked_for_a_while_and_without_it_nothing_is_done(
    decided: Callable[[], Any], handler: Any, world: World, plan: FakePlan
) -> None:
    world.silent = 3
    assert decided()["outcome"] == "Admitted(epoch=2)"
    world.silent = 10_000
    with pytest.raises(handler.Undecided, match="no quorum"):
        decided()
    assert plan.started == 1


def test_a_region_that_fences_is_decided_about_later(
    decided: Callable[[], Any], handler: Any, world: World, plan: FakePlan
) -> None:
    now = world.clock.now().time()
    world.record = ControlRecord(2, THERE, Phase.FENCING, now - timedelta(seconds=40), "Region switch")
    with pytest.raises(handler.Undecided, match="is taking over"):
        decided()
    assert (world.steps, plan.started) == ([], 0)


def test_a_region_that_is_well_again_when_it_is_tried_once_more_is_left_alone(
    decided: Callable[[], Any], handler: Any, world: World, plan: FakePlan, alarm: FakeAlarm
) -> None:
    """A person's switch stood still while it fenced, and came through before Lambda's next try."""
    now = world.clock.now().time()
    world.record = ControlRecord(2, THERE, Phase.FENCING, now - timedelta(seconds=40), "Region switch")
    with pytest.raises(handler.Undecided):
        decided()
    world.record = replace(world.record, phase=Phase.STEADY, changed_at=now + timedelta(seconds=10))
    world.clock.pass_time(60)
    alarm.ringing = False
    assert decided() == {"outcome": "nothing to decide", "why": "the votes have ended"}
    assert (world.record.active, world.steps, plan.started) == (THERE, [], 0)


def test_a_region_that_became_active_and_then_died_is_taken_over_from_at_the_next_try(
    decided: Callable[[], Any], handler: Any, world: World
) -> None:
    """The alarm rings once: whoever leaves it then leaves it for good."""
    world.record = replace(world.record, changed_at=world.clock.now().time() - timedelta(seconds=2))
    with pytest.raises(handler.Undecided, match="after the first of the votes"):
        decided()
    world.clock.pass_time(60)
    assert decided()["outcome"] == "Admitted(epoch=2)"


@pytest.mark.parametrize("event", [None, {}, {"alarmData": {"state": {"timestamp": "yesterday"}}}])
def test_what_does_not_say_when_it_rang_asks_the_alarm(
    handler: Any, world: World, plan: FakePlan, event: Any
) -> None:
    alarm = FakeAlarm(silent=True)
    deciding = handler.Deciding(
        region=HERE, world=world, plan=plan, alarm=alarm, clock=world.clock, voted=timedelta(seconds=20)
    )
    with pytest.raises(Unavailable, match="timeout"):
        handler.decided(deciding, event, Context())
    assert (world.steps, plan.started) == ([], 0)
    alarm.silent = False
    assert handler.decided(deciding, event, Context())["outcome"] == "Admitted(epoch=2)"


@pytest.mark.parametrize(("state", "rings"), [("ALARM", True), ("OK", False), ("INSUFFICIENT_DATA", False)])
def test_the_alarm_is_asked_by_its_name(handler: Any, state: str, rings: bool) -> None:
    client = boto3.client("cloudwatch", HERE)
    with Stubber(client) as stubber:
        asked = {"AlarmNames": ["peer-unreachable"], "AlarmTypes": ["CompositeAlarm"]}
        stubber.add_response("describe_alarms", {"CompositeAlarms": [{"StateValue": state}]}, asked)
        assert handler.VotesAlarm(client, "peer-unreachable").rings() is rings
        stubber.add_response("describe_alarms", {"CompositeAlarms": []}, asked)
        with pytest.raises(Unavailable, match="not there"):
            handler.VotesAlarm(client, "peer-unreachable").rings()


def test_what_cannot_be_fenced_is_left_to_the_plan_which_tries_for_longer(
    decided: Callable[[], Any], world: World, plan: FakePlan
) -> None:
    def silent(_: Step) -> bool:
        raise Unavailable("control record: timeout")

    world.before = silent
    assert decided() == {"outcome": "Blocked(why='control record: timeout')", "execution": "execution-1"}


def test_a_mistake_is_told(
    decided: Callable[[], Any], plan: FakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken() -> None:
        raise KeyError("plans")

    plan.before = mistaken
    with pytest.raises(KeyError):
        decided()
    assert '"Mistake":[1.0]' in capsys.readouterr().out.replace(" ", "")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_setting_is_loud(handler: Any, missing: str) -> None:
    handler.wired(NEEDED)
    with pytest.raises(KeyError, match=missing):
        handler.wired({name: value for name, value in NEEDED.items() if name != missing})
