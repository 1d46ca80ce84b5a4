"""Whether a drill met what it was to meet, and what it writes about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from failover.control import Phase
from ops.drill.books import Books
from ops.drill.measures import PAYMENTS, Acknowledgement
from ops.drill.result import Recording, judged, put_back, summary
from ops.drill.scenarios import scenario
from ops.drill.story import Story
from ops.traffic import Attempt, Outcome, Run
from tests.unit.ops.drill.recorded import BEGAN, MERCHANT, asked, booked
from tests.unit.ops.drill.test_story import EAST, OTHER, database, record

BUILD = {
    "objectives": {"rpo_minutes": 15, "rto_minutes": 30},
    "worst_case_rto_seconds": {"to_secondary": 96, "to_primary": 130},
}
CONTRACT = {
    "scenario", "target", "started_at", "objectives", "met", "rto_seconds", "detection_seconds",
    "dns_seconds", "promotion_seconds", "rpo_seconds", "acknowledged", "lost", "duplicated",
    "failed_requests", "two_active_seconds", "time_scale", "timeline",
}  # fmt: skip
FAULT = 10.0


def recording(name: str = "region-loss") -> Recording:
    """A region that died at 10 s; the other one was steady at 50 s, and DNS named it at 42 s."""
    story = Story(BEGAN)
    list(story.control(0.5, record(1, EAST, Phase.STEADY)))
    list(story.ledger(0.5, OTHER, database(EAST)))
    list(story.answer(0.5, EAST))
    story.tell(FAULT, "fault", "kill us-east-1", EAST)
    for phase, at in ((Phase.FENCING, 40.0), (Phase.RECOVERING, 43.5), (Phase.STEADY, 50.0)):
        list(story.control(at + 0.2, record(2, OTHER, phase, at)))
    list(story.answer(42.0, OTHER))
    list(story.ledger(46.0, OTHER, database(OTHER)))
    before = [asked(number, at=number / 2) for number in range(20)]
    failing = asked(
        20,
        attempts=(Attempt(PAYMENTS, 11.0, 2.0, None), Attempt(PAYMENTS, 45.0, 0.1, 202)),
        outcome=Outcome.ACCEPTED,
    )
    after = [asked(21 + number, at=50.0 + number / 2) for number in range(140)]
    everything = (*before, failing, *after)
    return Recording(
        scenario=scenario(name),
        target=EAST,
        run=Run(BEGAN, tuple(one.sent for one in everything)),
        fault=FAULT,
        story=story,
        asked=everything,
        books=booked(*everything, posted_at=BEGAN + timedelta(seconds=55)),
        acknowledgements=(Acknowledgement(1, 9.0, 9.1), Acknowledgement(2, 44.0, 44.1)),
        clients=1,
        time_scale=1.0,
        settled=True,
        first_epoch=1,
        schedule=("kill us-east-1", "until us-east-2 is steady"),
    )


def test_it_has_everything_others_rely_on() -> None:
    document = judged(recording(), BUILD, EAST)
    assert set(document) >= CONTRACT
    assert all(set(event) >= {"at", "event", "region"} for event in document["timeline"])


def test_times_count_from_the_fault() -> None:
    document = judged(recording(), BUILD, EAST)
    assert document["rto_seconds"] == pytest.approx(3.0), "the last failure ended at 13 s"
    assert document["detection_seconds"] == 30.0
    assert document["dns_seconds"] == 32.0
    assert document["promotion_seconds"] == 2.5
    assert document["posted_within_60_s_of_steady"] == 1.0
    assert (document["lost"], document["duplicated"], document["failed_requests"]) == (0, 0, 0)
    assert document["takeovers"] == 1
    assert document["met"]
    assert document["objectives"] == {"rto_seconds": 96, "rpo_minutes": 15, "towards": "to_secondary"}


def test_events_stand_in_the_order_in_which_they_happened() -> None:
    events = judged(recording(), BUILD, EAST)["timeline"]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert [event["seconds"] for event in events if event["kind"] == "fault"] == [0.0]
    assert "every client succeeds from here on" in [event["event"] for event in events]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"books": Books((), {})}, "acknowledged payments lost"),
        (
            {"acknowledgements": (Acknowledgement(2, 5.0, 5.1), Acknowledgement(1, 9.0, 9.1))},
            "two regions active",
        ),
        ({"acknowledgements": ()}, "epochs of acknowledgements known"),
        ({"acknowledgements": (Acknowledgement(1, 9.0, 9.1),)}, "epochs of acknowledgements known"),
        ({"settled": False}, "one region active, steady and the writer"),
        ({"fault": None}, "time to recover"),
        ({"clients": 2}, "time to recover"),
        ({"first_epoch": 0}, "takeovers"),
    ],
)
def test_what_misses_its_objective_is_named(changed: dict[str, Any], what: str) -> None:
    document = judged(replace(recording(), **changed), BUILD, EAST)
    assert not document["met"]
    assert what in [check["what"] for check in document["checks"] if not check["met"]]
    assert "MISSED" in summary(document)


def test_a_world_that_is_left_broken_is_no_drill_that_went_well() -> None:
    document = judged(recording(), BUILD, EAST)
    assert put_back(document, []) == document
    left = put_back(document, ["restore us-east-1 failed: lab: is it up?"])
    assert document["met"]
    assert not left["met"]
    assert "MISSED  the world put back: restore us-east-1 failed" in summary(left)


def test_recovery_later_than_the_templates_promise_is_missed() -> None:
    build = BUILD | {"worst_case_rto_seconds": {"to_secondary": 2}}
    document = judged(recording(), build, EAST)
    assert [check["what"] for check in document["checks"] if not check["met"]] == ["time to recover"]


def test_a_planned_move_may_fail_no_request_and_take_no_ten_seconds() -> None:
    planned = recording("planned-switchover")
    document = judged(planned, BUILD, EAST)
    assert [check["what"] for check in document["checks"] if not check["met"]] == ["slowest request"]
    given_up = asked(99, at=20.0, outcome=Outcome.UNKNOWN, attempts=(Attempt(PAYMENTS, 20.0, 0.1, 503),))
    everything = (*planned.asked, given_up)
    run = Run(BEGAN, tuple(one.sent for one in everything))
    document = judged(replace(planned, asked=everything, run=run), BUILD, EAST)
    assert document["failed_requests"] == 1
    assert "requests that failed for good" in [each["what"] for each in document["checks"] if not each["met"]]
    assert given_up.merchant == MERCHANT


def test_a_time_scale_is_told() -> None:
    assert "no measure of time" in summary(judged(replace(recording(), time_scale=0.1), BUILD, EAST))
    assert "no measure of time" not in summary(judged(recording(), BUILD, EAST))
