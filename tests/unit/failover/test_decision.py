"""What the control record has to say to two votes."""

from datetime import UTC, datetime, timedelta

import pytest

from failover.control import ControlRecord, Phase
from failover.decision import ABANDONED, REASON, Decision, Later, Leave, TakeOver, decide

HERE, THERE = "us-east-2", "us-east-1"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_MOMENT = timedelta(seconds=1)
VOTED = timedelta(seconds=20)


def decision(active: str, phase: Phase, age: timedelta, reason: str = "test") -> Decision:
    return decide(ControlRecord(3, active, phase, NOW - age, reason), HERE, NOW, VOTED)


@pytest.mark.parametrize("phase", [Phase.STEADY, Phase.RECOVERING])
def test_a_region_that_was_active_all_the_while_is_taken_over_from(phase: Phase) -> None:
    assert decision(THERE, phase, VOTED) == TakeOver()
    assert decision(THERE, phase, timedelta(days=300)) == TakeOver()


@pytest.mark.parametrize("phase", [Phase.STEADY, Phase.RECOVERING])
def test_votes_about_what_was_before_count_for_nothing_yet(phase: Phase) -> None:
    """Left for good, a region that is gone would stay the active one: an alarm that rings on says no more."""
    assert isinstance(decision(THERE, phase, VOTED - _MOMENT), Later)


def test_a_region_that_fences_is_given_the_time_it_needs() -> None:
    """It answers nobody meanwhile, so votes do not tell whether it lives."""
    assert isinstance(decision(THERE, Phase.FENCING, ABANDONED - _MOMENT), Later)
    assert decision(THERE, Phase.FENCING, ABANDONED) == TakeOver()


@pytest.mark.parametrize("phase", list(Phase))
def test_the_active_region_has_nothing_to_take_over(phase: Phase) -> None:
    assert isinstance(decision(HERE, phase, timedelta(hours=1)), Leave)


@pytest.mark.parametrize("phase", [Phase.FENCING, Phase.RECOVERING])
def test_what_this_decision_began_is_gone_on_with_until_it_is_steady(phase: Phase) -> None:
    assert decision(HERE, phase, _MOMENT, REASON) == TakeOver()
    assert isinstance(decision(HERE, Phase.STEADY, _MOMENT, REASON), Leave)


def test_what_the_other_region_decided_is_not_ours() -> None:
    assert isinstance(decision(THERE, Phase.FENCING, _MOMENT, REASON), Later)
    assert isinstance(decision(THERE, Phase.RECOVERING, _MOMENT, REASON), Later)
