"""docs/what-is-kept.md says what the templates do."""

from pathlib import Path

from templates.backups import KEEP_BACKUPS_DAYS
from templates.database import INSTANCES
from templates.functions import LOG_RETENTION_DAYS
from templates.storage import KEEP_CODE_DAYS, KEEP_RECORDS_DAYS
from tests.unit.templates.rendering import settings

_TEXT = (Path(__file__).parents[3] / "docs" / "what-is-kept.md").read_text("utf-8")


def test_times_are_the_ones_configured() -> None:
    assert f"| {KEEP_RECORDS_DAYS} days |" in _TEXT
    assert LOG_RETENTION_DAYS == KEEP_RECORDS_DAYS
    assert f"| {KEEP_BACKUPS_DAYS} days |" in _TEXT
    assert f"{KEEP_CODE_DAYS} days after it was overwritten" in _TEXT


def test_the_estimate_is_for_what_is_delivered() -> None:
    count, capacity = {4: "four"}[2 * INSTANCES], settings().database.min_capacity
    assert (
        f"{count} instances at {capacity:g} units | {2 * INSTANCES * capacity * 730 * 0.12:.0f} USD" in _TEXT
    )
