"""The global tables."""

from typing import Any

import pytest
from troposphere import Template

from templates.tables import add_tables
from tests.unit.templates.rendering import settings


@pytest.fixture
def tables() -> dict[str, Any]:
    template = Template()
    add_tables(template, settings())
    return {r["Properties"]["TableName"]: r["Properties"] for r in template.to_dict()["Resources"].values()}


@pytest.mark.parametrize("name", ["journal", "control", "directory"])
def test_what_decides_is_strongly_consistent_with_a_witness(tables: dict[str, Any], name: str) -> None:
    table = tables[f"payments-{name}-prod"]
    assert table["MultiRegionConsistency"] == "STRONG"
    assert table["GlobalTableWitnesses"] == [{"Region": "us-west-2"}]
    assert [replica["Region"] for replica in table["Replicas"]] == ["us-east-1", "us-east-2"]
    assert "TimeToLiveSpecification" not in table


def test_sessions_expire_and_replicate_eventually(tables: dict[str, Any]) -> None:
    table = tables["payments-sessions-prod"]
    assert table["MultiRegionConsistency"] == "EVENTUAL"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert "GlobalTableWitnesses" not in table


def test_the_journal_has_a_work_list(tables: dict[str, Any]) -> None:
    (index,) = tables["payments-journal-prod"]["GlobalSecondaryIndexes"]
    assert [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]] == [
        ("open", "HASH"),
        ("accepted_at", "RANGE"),
    ]


def test_every_replica_can_be_restored_and_not_deleted(tables: dict[str, Any]) -> None:
    for table in tables.values():
        for replica in table["Replicas"]:
            assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
            assert replica["DeletionProtectionEnabled"] is True
