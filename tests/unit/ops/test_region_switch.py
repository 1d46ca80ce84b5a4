"""Failing over by the Region switch plan: found by name, started once, followed to its end."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from failover.control import ControlRecord, Phase
from failover.planner import Mode
from ops.directory import Rejected
from ops.failover import Wanted
from ops.region_switch import RegionSwitch, switched
from tests.unit.ops.test_failover import Clock

THERE = "us-east-2"
ARN = "arn:aws:arc-region-switch::123456789012:plan/payments-failover-prod:a1b2c3"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
WANTED = Wanted(target=THERE, mode=Mode.GRACEFUL, reason="drill", accept_data_loss=False)
LOSSY = replace(WANTED, mode=Mode.UNGRACEFUL, accept_data_loss=True)
RECORD = ControlRecord(4, THERE, Phase.STEADY, NOW, "Region switch")


@pytest.fixture
def answers() -> Iterator[Stubber]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("arc-region-switch", region_name=THERE, **keys)  # type: ignore[call-overload]
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def plans(answers: Stubber, active: str | None = None, name: str = "payments-failover-prod") -> None:
    plan = {
        "arn": ARN,
        "name": name,
        "owner": "123456789012",
        "regions": ["us-east-1", THERE],
        "recoveryApproach": "activePassive",
    }
    answers.add_response(
        "list_plans_in_region", {"plans": [plan | ({"activePlanExecution": active} if active else {})]}, {}
    )


def started(answers: Stubber) -> None:
    asked = {
        "planArn": ARN,
        "targetRegion": THERE,
        "action": "activate",
        "mode": "graceful",
        "comment": "drill (by an operator, graceful)",
    }
    answers.add_response("start_plan_execution", {"executionId": "one"}, asked)


def execution(
    answers: Stubber, state: str, mode: str = "graceful", step_mode: str | None = None, **steps: str
) -> None:
    document = {
        "planArn": ARN,
        "executionId": "one",
        "startTime": NOW,
        "mode": mode,
        "executionState": state,
        "executionAction": "activate",
        "executionRegion": THERE,
        "stepStates": [
            {"name": name, "status": status, "stepMode": step_mode or mode} for name, status in steps.items()
        ],
    }
    answers.add_response("get_plan_execution", document, {"planArn": ARN, "executionId": "one"})


def run(
    answers: Stubber, record: ControlRecord = RECORD, patience: float = 60, wanted: Wanted = WANTED
) -> tuple[int, list[str]]:
    said: list[str] = []
    switch = RegionSwitch(answers.client, "payments-failover-prod")
    return switched(wanted, switch, lambda: record, Clock(), said.append, patience), said


def test_an_execution_is_started_and_each_step_is_said_once(answers: Stubber) -> None:
    plans(answers)
    started(answers)
    execution(answers, "inProgress", fence="running", promote="notStarted")
    execution(answers, "inProgress", fence="running", promote="notStarted")
    answers.add_client_error("get_plan_execution", "ThrottlingException", http_status_code=429)
    execution(answers, "completed", fence="completed", promote="completed")
    epoch, said = run(answers)
    assert epoch == 4
    assert said[1:] == ["fence: running", "fence: completed", "promote: completed"]


def test_an_execution_under_way_is_followed(answers: Stubber) -> None:
    plans(answers, active="one")
    execution(answers, "completed")
    assert run(answers)[0] == 4


def test_whoever_was_slower_follows_the_other_s(answers: Stubber) -> None:
    plans(answers)
    answers.add_client_error("start_plan_execution", "IllegalStateException", http_status_code=409)
    plans(answers, active="one")
    execution(answers, "completed")
    assert run(answers)[0] == 4


def test_without_the_plan_the_direct_way_is_named(answers: Stubber) -> None:
    plans(answers, name="another")
    with pytest.raises(Rejected, match=r"there is no plan payments-failover-prod; .*--direct"):
        run(answers)


def test_a_step_that_failed_is_named(answers: Stubber) -> None:
    plans(answers, active="one")
    execution(answers, "pausedByFailedStep", fence="completed", promote="failed")
    with pytest.raises(Rejected, match=r"is pausedByFailedStep \(promote\); .*--direct"):
        run(answers)


def test_an_execution_of_the_other_mode_is_not_taken_for_the_one_asked_for(answers: Stubber) -> None:
    plans(answers, active="one")
    execution(answers, "inProgress", mode="ungraceful")
    with pytest.raises(Rejected, match="is under way, ungraceful"):
        run(answers)


def switches(answers: Stubber, step: str | None = None, error: str | None = None) -> None:
    named = {"planArn": ARN, "executionId": "one", "comment": LOSSY.recorded}
    method, asked = "update_plan_execution", {**named, "action": "switchToUngraceful"}
    if step is not None:
        method, asked = f"{method}_step", {**named, "stepName": step, "actionToTake": "switchToUngraceful"}
    if error is None:
        answers.add_response(method, {}, asked)
    else:
        answers.add_client_error(method, error, http_status_code=400, expected_params=asked)


def test_what_waits_for_the_old_writer_is_switched_where_loss_was_accepted(answers: Stubber) -> None:
    """Its step may have failed by now, and the execution is paused until that step is tried again."""
    plans(answers, active="one")
    execution(answers, "pausedByFailedStep", fence="completed", promote="failed")
    switches(answers)
    switches(answers, "promote")
    execution(answers, "pausedByFailedStep", "ungraceful", fence="completed", promote="failed")
    execution(answers, "inProgress", "ungraceful", fence="completed", promote="running")
    execution(answers, "completed", "ungraceful", fence="completed", promote="completed")
    epoch, said = run(answers, wanted=LOSSY)
    assert epoch == 4
    assert "switched to ungraceful: it goes on without the old writer" in said


def test_what_another_terminal_switched_half_is_switched_whole(answers: Stubber) -> None:
    plans(answers, active="one")
    for error in ("ResourceNotFoundException", None):  # it failed a moment ago, and is paused only now
        execution(answers, "inProgress", "ungraceful", step_mode="graceful", promote="failed")
        switches(answers, "promote", error=error)
    execution(answers, "inProgress", "ungraceful", promote="running")
    execution(answers, "completed", "ungraceful", promote="completed")
    assert run(answers, wanted=LOSSY)[0] == 4


@pytest.mark.parametrize("step", ["fence", "recover"])
def test_no_function_s_step_is_switched(answers: Stubber, step: str) -> None:
    """Switched, AWS may skip it. It is tried again by Region switch, and means the same in both modes."""
    plans(answers, active="one")
    execution(answers, "inProgress", step_mode="graceful", **{step: "running"})
    switches(answers)
    execution(answers, "completed", "ungraceful", **{step: "completed"})
    assert run(answers, wanted=LOSSY)[0] == 4


def test_what_cannot_be_switched_is_not_followed_for_ever(answers: Stubber) -> None:
    plans(answers, active="one")
    for _ in range(30):
        execution(answers, "pausedByOperator", promote="running")
        switches(answers, error="IllegalStateException")
        switches(answers, "promote", error="ResourceNotFoundException")
    execution(answers, "pausedByOperator", promote="running")
    with pytest.raises(Rejected, match="is under way, graceful"):
        run(answers, wanted=LOSSY)


def test_without_accepting_loss_nothing_is_switched(answers: Stubber) -> None:
    plans(answers, active="one")
    execution(answers, "inProgress", promote="running")
    with pytest.raises(Rejected, match="say --accept-data-loss to switch it"):
        run(answers, wanted=replace(LOSSY, accept_data_loss=False))


def test_following_ends_and_can_be_gone_on_with(answers: Stubber) -> None:
    plans(answers, active="one")
    for _ in range(3):
        execution(answers, "inProgress")
    with pytest.raises(Rejected, match="is inProgress; run the same command again"):
        run(answers, patience=2)


def test_what_an_execution_says_is_compared_with_the_record(answers: Stubber) -> None:
    plans(answers, active="one")
    execution(answers, "completed")
    with pytest.raises(Rejected, match="us-east-2 is recovering after the execution"):
        run(answers, ControlRecord(4, THERE, Phase.RECOVERING, NOW, "x"))
