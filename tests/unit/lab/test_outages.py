"""Who gets to whom while regions are dead or cut off."""

from pathlib import Path

import pytest

from lab.outages import Outages, State, read, write

EAST, OHIO, WEST = "us-east-1", "us-east-2", "us-west-2"


def test_all_is_well_where_nothing_was_written(tmp_path: Path) -> None:
    assert read(tmp_path / "outages.json") == Outages()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    outages = Outages(down=frozenset({EAST}), cut=frozenset({OHIO, WEST}), frozen=frozenset({WEST}))
    write(tmp_path / "outages.json", outages)
    assert read(tmp_path / "outages.json") == outages


def test_a_dead_region_reaches_nobody_and_nobody_reaches_it() -> None:
    outages = Outages(down=frozenset({EAST}))
    assert not outages.reaches(EAST, EAST)
    assert not outages.reaches(EAST, OHIO)
    assert not outages.reaches(OHIO, EAST)
    assert outages.reaches(OHIO, WEST)


def test_a_region_that_is_cut_off_reaches_itself_only() -> None:
    outages = Outages(cut=frozenset({EAST}))
    assert outages.reaches(EAST, EAST)
    assert not outages.reaches(EAST, WEST)
    assert not outages.reaches(OHIO, EAST)
    assert outages.reaches(OHIO, WEST)


@pytest.mark.parametrize(
    ("outages", "state"),
    [
        (Outages(), State.UP),
        (Outages(frozen=frozenset({EAST})), State.FROZEN),
        (Outages(cut=frozenset({EAST}), frozen=frozenset({EAST})), State.PARTITIONED),
        (Outages(down=frozenset({EAST}), cut=frozenset({EAST})), State.DOWN),
        (Outages(down=frozenset({OHIO})), State.UP),
    ],
)
def test_the_worst_is_said(outages: Outages, state: State) -> None:
    assert outages.state(EAST) == state
