from datetime import UTC, datetime

import pytest

from failover.control import ControlRecord, Phase, first_record

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_new_system_starts_steady_under_the_first_epoch() -> None:
    record = first_record("us-east-1", NOW)
    assert (record.epoch, record.active, record.phase) == (1, "us-east-1", Phase.STEADY)


@pytest.mark.parametrize(
    ("epoch", "active", "changed_at"),
    [(0, "us-east-1", NOW), (1, "", NOW), (1, "us-east-1", NOW.replace(tzinfo=None))],
)
def test_a_record_that_means_nothing_cannot_be_made(epoch: int, active: str, changed_at: datetime) -> None:
    with pytest.raises(ValueError, match=r"epoch|active|time zone"):
        ControlRecord(epoch, active, Phase.STEADY, changed_at, "test")
