"""AWS Backup: what a template says is described, a job makes a recovery point, a lock keeps it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    outputs,
    reasons,
    unique,
)

MANAGED = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"


def role(trusted: str = "backup.amazonaws.com", *managed: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": document, "ManagedPolicyArns": list(managed)},
    }


def plan(name: str, account: str, **lock: Any) -> dict[str, Any]:
    """A table, the vault it is backed up to, and a plan with a copy into the other region's."""
    keep = {"DeleteAfterDays": 35}
    copy = {
        "DestinationBackupVaultArn": f"arn:aws:backup:{PEER}:{account}:backup-vault:{name}",
        "Lifecycle": keep,
    }
    rule = {
        "RuleName": "daily",
        "TargetBackupVault": {"Ref": "Vault"},
        "ScheduleExpression": "cron(0 5 * * ? *)",
        "Lifecycle": keep,
        "CopyActions": [copy],
    }
    denied = {"Effect": "Deny", "Principal": "*", "Action": "backup:StartRestoreJob", "Resource": "*"}
    vault = {
        "BackupVaultName": name,
        "AccessPolicy": {"Version": "2012-10-17", "Statement": [denied]},
        **({"LockConfiguration": lock} if lock else {}),
    }
    key = {"AttributeName": "id", "AttributeType": "S"}
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [key],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    arn = {"Fn::GetAtt": ["Table", "Arn"]}
    selection = {
        "SelectionName": "everything",
        "IamRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        "Resources": [arn],
    }
    backed_up = {"BackupPlanId": {"Ref": "Plan"}, "BackupSelection": selection}
    return {
        "Resources": {
            "Vault": {"Type": "AWS::Backup::BackupVault", "Properties": vault},
            "Plan": {
                "Type": "AWS::Backup::BackupPlan",
                "Properties": {"BackupPlan": {"BackupPlanName": name, "BackupPlanRule": [rule]}},
            },
            "Selection": {"Type": "AWS::Backup::BackupSelection", "Properties": backed_up},
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table},
            "Role": role("backup.amazonaws.com", MANAGED),
        },
        "Outputs": {
            "Role": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
            "Table": {"Value": arn},
            "Plan": {"Value": {"Ref": "Plan"}},
        },
    }


def peer_vault(name: str) -> dict[str, Any]:
    vault = {"Type": "AWS::Backup::BackupVault", "Properties": {"BackupVaultName": name}}
    return {"Resources": {"Vault": vault}}


def finished(aws: EmbeddedAws, name: str, made: dict[str, str], **lifecycle: int) -> dict[str, Any]:
    client = aws.client("backup")
    started = client.start_backup_job(
        BackupVaultName=name, ResourceArn=made["Table"], IamRoleArn=made["Role"], Lifecycle=lifecycle
    )

    def job() -> Any:
        found = client.describe_backup_job(BackupJobId=started["BackupJobId"])
        return found if found["State"] in ("COMPLETED", "FAILED") else None

    found: dict[str, Any] = eventually(job, "the backup ends")
    return found


def test_a_job_makes_a_recovery_point_that_is_copied_to_the_other_region(aws: EmbeddedAws) -> None:
    name, account = unique("vault"), aws.plan.account_id
    assert deploy(aws, name, peer_vault(name), PEER) == "CREATE_COMPLETE", reasons(aws, name, PEER)
    assert deploy(aws, name, plan(name, account)) == "CREATE_COMPLETE", reasons(aws, name)
    made, client, peer = outputs(aws, name), aws.client("backup"), aws.client("backup", PEER)
    (rule,) = client.get_backup_plan(BackupPlanId=made["Plan"])["BackupPlan"]["Rules"]
    target = f"arn:aws:backup:{PEER}:{account}:backup-vault:{name}"
    assert rule["CopyActions"][0]["DestinationBackupVaultArn"] == target
    (selection,) = client.list_backup_selections(BackupPlanId=made["Plan"])["BackupSelectionsList"]
    assert selection["IamRoleArn"] == made["Role"]
    assert "StartRestoreJob" in client.get_backup_vault_access_policy(BackupVaultName=name)["Policy"]
    job = finished(aws, name, made, DeleteAfterDays=35)
    assert job["State"] == "COMPLETED"
    (point,) = client.list_recovery_points_by_backup_vault(BackupVaultName=name)["RecoveryPoints"]
    assert (point["ResourceArn"], point["Status"]) == (made["Table"], "COMPLETED")
    copying = client.start_copy_job(
        RecoveryPointArn=point["RecoveryPointArn"],
        SourceBackupVaultName=name,
        DestinationBackupVaultArn=target,
        IamRoleArn=made["Role"],
    )

    def copied() -> Any:
        found = client.describe_copy_job(CopyJobId=copying["CopyJobId"])["CopyJob"]
        return found["State"] == "COMPLETED" and found

    arn = eventually(copied, "the copy is made")["DestinationRecoveryPointArn"]
    copy = peer.describe_recovery_point(BackupVaultName=name, RecoveryPointArn=arn)
    assert (copy["ResourceArn"], arn.split(":")[3]) == (made["Table"], PEER)
    assert delete(aws, name, PEER) == "DELETE_FAILED"
    assert "contains recovery points" in reasons(aws, name, PEER)
    peer.delete_recovery_point(BackupVaultName=name, RecoveryPointArn=arn)
    client.delete_recovery_point(BackupVaultName=name, RecoveryPointArn=point["RecoveryPointArn"])
    assert delete(aws, name) == "DELETE_COMPLETE", reasons(aws, name)
    assert delete(aws, name, PEER) == "DELETE_COMPLETE", reasons(aws, name, PEER)


def test_a_locked_vault_keeps_what_it_holds(aws: EmbeddedAws) -> None:
    name = unique("locked")
    template = plan(name, aws.plan.account_id, MinRetentionDays=30, ChangeableForDays=3)
    assert deploy(aws, name, template) == "CREATE_COMPLETE", reasons(aws, name)
    made, client = outputs(aws, name), aws.client("backup")
    described = client.describe_backup_vault(BackupVaultName=name)
    assert (described["Locked"], described["MinRetentionDays"]) == (True, 30)
    assert "LockDate" in described
    too_short = finished(aws, name, made, DeleteAfterDays=7)
    assert too_short["State"] == "FAILED"
    assert "Retention period" in too_short["StatusMessage"]
    point = finished(aws, name, made, DeleteAfterDays=35)["RecoveryPointArn"]
    with pytest.raises(ClientError, match="configured with Lock"):
        client.delete_recovery_point(BackupVaultName=name, RecoveryPointArn=point)
    client.delete_backup_vault_lock_configuration(BackupVaultName=name)  # three days are left to do so
    client.delete_recovery_point(BackupVaultName=name, RecoveryPointArn=point)
    assert delete(aws, name) == "DELETE_COMPLETE", reasons(aws, name)


def test_a_vault_s_policy_keeps_its_recovery_points(aws: EmbeddedAws) -> None:
    name = unique("kept")
    template = plan(name, aws.plan.account_id)
    policy = template["Resources"]["Vault"]["Properties"]["AccessPolicy"]
    policy["Statement"][0]["Action"] = "backup:DeleteRecoveryPoint"
    assert deploy(aws, name, template) == "CREATE_COMPLETE", reasons(aws, name)
    point = finished(aws, name, outputs(aws, name))["RecoveryPointArn"]
    with pytest.raises(ClientError, match="explicit deny"):
        aws.client("backup").delete_recovery_point(BackupVaultName=name, RecoveryPointArn=point)


def test_backups_that_aws_refuses(aws: EmbeddedAws) -> None:
    name = unique("refused")
    template = plan(name, aws.plan.account_id, MinRetentionDays=30, ChangeableForDays=1)
    assert deploy(aws, name, template) == "ROLLBACK_COMPLETE"
    assert "ChangeableForDays" in reasons(aws, name)
    template = plan(name, aws.plan.account_id)
    template["Resources"]["Role"] = role("ec2.amazonaws.com")
    assert deploy(aws, f"{name}-role", template) == "ROLLBACK_COMPLETE"
    assert "cannot be assumed by AWS Backup" in reasons(aws, f"{name}-role")
    template["Resources"]["Role"] = role("backup.amazonaws.com")
    assert deploy(aws, f"{name}-grant", template) == "CREATE_COMPLETE", reasons(aws, f"{name}-grant")
    job = finished(aws, name, outputs(aws, f"{name}-grant"))
    assert (job["State"], "not authorized" in job["StatusMessage"]) == ("FAILED", True)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        finished(aws, name, {**outputs(aws, f"{name}-grant"), "Table": f"arn:aws:dynamodb:{HOME}:1:table/x"})
