"""Changes are told once, however often and by whomever they are seen."""

from datetime import timedelta

from failover.control import ControlRecord, Phase
from failover.writer import GlobalDatabase, Member
from ops.drill.story import Execution, Story
from tests.unit.ops.drill.recorded import BEGAN

EAST, OTHER = "us-east-1", "us-east-2"


def record(epoch: int, active: str, phase: Phase, seconds: float = 0.0) -> ControlRecord:
    return ControlRecord(epoch, active, phase, BEGAN + timedelta(seconds=seconds), "drill")


def database(writer: str) -> GlobalDatabase:
    members = tuple(Member(region, f"ledger-{region}", writer=region == writer) for region in (EAST, OTHER))
    return GlobalDatabase("available", members, None)


def test_what_is_seen_first_is_no_event() -> None:
    story = Story(BEGAN)
    assert not [*story.control(1.0, record(1, EAST, Phase.STEADY)), *story.ledger(1.0, EAST, database(EAST))]
    assert not [*story.answer(1.0, EAST), *story.alarms(1.0, EAST, ["old"])]


def test_a_takeover_is_told_by_the_time_it_was_written_and_nobody_leads_back() -> None:
    story = Story(BEGAN)
    list(story.control(1.0, record(1, EAST, Phase.STEADY)))
    (fencing,) = story.control(12.4, record(2, OTHER, Phase.FENCING, 12.0))
    assert (fencing.at, fencing.kind, fencing.region) == (12.0, Phase.FENCING, OTHER)
    assert not list(story.control(12.6, record(1, EAST, Phase.STEADY))), "a region that was cut off"
    assert not list(story.control(12.6, record(2, OTHER, Phase.FENCING, 12.0)))
    (recovering,) = story.control(16.0, record(2, OTHER, Phase.RECOVERING, 15.5))
    assert recovering.kind == Phase.RECOVERING
    assert story.events == [fencing, recovering]


def test_a_region_is_the_writer_when_its_own_rds_says_so() -> None:
    story = Story(BEGAN)
    for region in (EAST, OTHER):
        list(story.ledger(1.0, region, database(EAST)))
    (told,) = story.ledger(20.0, OTHER, database(OTHER))
    assert (told.kind, told.region) == ("writer", OTHER)
    assert not list(story.ledger(21.0, EAST, database(EAST))), "the old one still thinks so"


def test_dns_is_told_when_it_answers_with_another_region() -> None:
    story = Story(BEGAN)
    list(story.answer(1.0, EAST))
    assert [event.region for event in story.answer(30.0, OTHER)] == [OTHER]
    assert not list(story.answer(31.0, OTHER))


def test_an_execution_is_told_step_by_step_unless_it_was_there_before() -> None:
    story = Story(BEGAN)
    old = Execution("e0", BEGAN - timedelta(hours=1), "graceful", "completed", {"fence": "completed"})
    assert not list(story.execution(1.0, OTHER, old))
    began = BEGAN + timedelta(seconds=10)
    begun = Execution("e1", began, "ungraceful", "inProgress", {"fence": "running", "promote": "notStarted"})
    told = [event.event for event in story.execution(10.5, OTHER, begun)]
    assert told == ["Region switch begins, ungraceful", "fence: running"]
    done = Execution("e1", began, "ungraceful", "completed", {"fence": "completed", "promote": "completed"})
    told = [event.event for event in story.execution(20.0, OTHER, done)]
    assert told == ["fence: completed", "promote: completed", "Region switch: completed"]


def test_an_alarm_is_told_when_it_begins_to_ring() -> None:
    story = Story(BEGAN)
    list(story.alarms(1.0, OTHER, ["lag"]))
    assert [event.event for event in story.alarms(30.0, OTHER, ["lag", "peer"])] == ["alarm peer"]
    assert not list(story.alarms(31.0, OTHER, ["lag"]))
