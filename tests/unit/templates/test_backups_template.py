"""Daily backups in both regions, each copied to the other's vault."""

from typing import Any

import pytest

from templates import data
from tests.unit.templates.rendering import properties, settings


@pytest.fixture
def rule() -> dict[str, Any]:
    plan = properties(data.render(settings()), "BackupPlan")["BackupPlan"]
    assert plan["BackupPlanName"]["Fn::If"][1:] == [
        "payments-ledger-primary-prod",
        "payments-ledger-secondary-prod",
    ]
    (found,) = plan["BackupPlanRule"]
    return dict(found)


def test_a_copy_goes_to_the_other_region_s_vault(rule: dict[str, Any]) -> None:
    (copy,) = rule["CopyActions"]
    text, given = copy["DestinationBackupVaultArn"]["Fn::Sub"]
    assert text == "arn:${AWS::Partition}:backup:${Region}:${AWS::AccountId}:backup-vault:${Vault}"
    assert given["Region"] == {"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "PeerRegion"]}
    assert given["Vault"]["Fn::If"] == [
        "IsPrimary",
        "payments-ledger-secondary-prod",
        "payments-ledger-primary-prod",
    ]
    assert copy["Lifecycle"] == rule["Lifecycle"] == {"DeleteAfterDays": 35}


def test_the_cluster_is_chosen_by_its_arn() -> None:
    selection = properties(data.render(settings()), "BackupSelection")["BackupSelection"]
    (arn,) = selection["Resources"]
    assert arn["Fn::Sub"][0].endswith(":cluster:${Cluster}")
    assert arn["Fn::Sub"][1] == {"Cluster": {"Ref": "Cluster"}}


def test_a_vault_is_locked_for_as_long_as_backups_are_kept() -> None:
    vault = properties(data.render(settings()), "BackupVault")
    assert vault["LockConfiguration"] == {
        "MinRetentionDays": 35,
        "MaxRetentionDays": 400,
        "ChangeableForDays": 3,
    }
    refused = {s["Sid"]: s for s in vault["AccessPolicy"]["Statement"]}
    assert all(statement["Effect"] == "Deny" for statement in refused.values())
    assert "backup:DeleteRecoveryPoint" in refused["RefuseDeletion"]["Action"]


def test_a_test_environment_s_vault_can_be_deleted() -> None:
    vault = properties(data.render(settings("lab")), "BackupVault")
    assert "LockConfiguration" not in vault
    assert [s["Sid"] for s in vault["AccessPolicy"]["Statement"]] == ["RefuseOtherAccounts"]


def test_the_role_takes_snapshots_of_our_cluster_only() -> None:
    (policy,) = properties(data.render(settings()), "BackupRole")["Policies"]
    by_sid = {s["Sid"]: s for s in policy["PolicyDocument"]["Statement"]}
    cluster, snapshots = by_sid["TakeSnapshots"]["Resource"]
    assert cluster["Fn::Sub"][1]["Cluster"]["Fn::If"][1] == "payments-ledger-primary-prod"
    assert "cluster-snapshot:awsbackup:*" in str(snapshots)
