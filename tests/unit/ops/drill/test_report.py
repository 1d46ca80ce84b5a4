"""The page of a report as text; tests/integration/report looks at it in a browser."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ops.drill import plot, report
from ops.drill.result import judged
from ops.traffic import Attempt, Outcome
from tests.unit.ops.drill.recorded import asked
from tests.unit.ops.drill.test_result import BUILD, FAULT, recording
from tests.unit.ops.drill.test_story import EAST

DETAILS = {
    "service": "payments",
    "environment": "lab",
    "templates": {"root": {"bytes": 1, "resources": 42, "sha256": "ab" * 32}},
    "versions": {"engine": "14.6", "tools": {"troposphere": "4.11.1"}},
}


def test_everything_it_shows_comes_from_the_drill_and_the_build(tmp_path: Path) -> None:
    recorded = recording()
    document = judged(recorded, BUILD, EAST)
    page = report.page(document, BUILD | DETAILS, recorded.run.sent, FAULT)
    for said in (
        "Every objective was met",
        "ab" * 32,
        "engine 14.6, troposphere 4.11.1",
        "epoch 2 is steady",
        "161",
    ):
        assert said in page, said
    assert "<script" not in page
    beside = report.write(tmp_path / "new" / "report.html", page, document)
    assert beside.name == "report.json"


def test_attempts_are_counted_by_when_they_ended() -> None:
    attempts = (Attempt("/payments", 9.5, 1.0, None), Attempt("/payments", 10.7, 0.1, 202))
    session = Attempt("/sessions", 10.6, 0.1, 201)
    sent = [asked(1, attempts=(session, *attempts), outcome=Outcome.ACCEPTED).sent]
    assert plot.counted(sent, 10.0, 1.0) == {0: Counter(failed=1, accepted=1)}
    assert plot.counted(sent, 10.6, 1.0) == {-1: Counter(failed=1), 0: Counter(accepted=1)}


@pytest.mark.parametrize(("seconds", "expected"), [(5, 1.0), (300, 1.0), (301, 2.0), (1800, 6.0)])
def test_steps_can_be_told_apart(seconds: float, expected: float) -> None:
    assert plot.width(seconds) == expected


def test_the_plot_is_an_image_and_nothing_else() -> None:
    root = ElementTree.fromstring(plot.drawn([asked(1).sent], 0.0, [("<fault>", 0.5)]))  # noqa: S314 - ours
    assert {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "image", "a"} == set()
    assert "<fault>" in [element.text for element in root.iter() if element.text]


def test_nothing_sent_is_drawn_too() -> None:
    assert plot.drawn([], 0.0, []).startswith("<svg")
