"""Backups of the ledger that outlive its cluster and its region: a vault each, and a copy in the other's."""

from functools import partial

from awacs import backup as actions
from awacs import kms, rds, tag
from awacs.aws import (
    Action,
    ArnNotEquals,
    Bool,
    Condition,
    Deny,
    Principal,
    Statement,
    StringEquals,
    StringNotEquals,
)
from troposphere import AWSHelperFn, Output, Template, backup, iam

from templates import policies
from templates.config import Settings
from templates.lifetime import keep
from templates.names import Names
from templates.places import here, lookup, peer
from templates.policies import ACCOUNT, Value, allow, arn
from templates.stacksets import execution_role_arn

# As far back as the cluster itself can be restored to any second, which its deletion would end.
KEEP_BACKUPS_DAYS = 35
# AWS asks for at least three days in which a lock can still be taken back.
_LOCK_AFTER_DAYS = 3
_LONGEST_DAYS = 400


def add_backups(template: Template, settings: Settings, cluster: Value, key_arn: AWSHelperFn) -> None:
    """Every day, in both regions. While one region is gone the copies towards it fail; the backups do not."""
    names = settings.names
    vault = template.add_resource(_vault(settings, key_arn))
    role = template.add_resource(_role(names, key_arn))
    lifecycle = backup.LifecycleResourceType(DeleteAfterDays=KEEP_BACKUPS_DAYS)
    plan = template.add_resource(
        backup.BackupPlan(
            "BackupPlan",
            BackupPlan=backup.BackupPlanResourceType(
                BackupPlanName=here(partial(names.regional, "ledger")),
                BackupPlanRule=[
                    backup.BackupRuleResourceType(
                        RuleName="daily",
                        TargetBackupVault=vault.ref(),
                        ScheduleExpression="cron(0 5 * * ? *)",
                        StartWindowMinutes=60,
                        CompletionWindowMinutes=600,
                        Lifecycle=lifecycle,
                        CopyActions=[
                            backup.CopyActionResourceType(
                                DestinationBackupVaultArn=_peer_vault(names), Lifecycle=lifecycle
                            )
                        ],
                    )
                ],
            ),
        )
    )
    template.add_resource(
        backup.BackupSelection(
            "BackupSelection",
            BackupPlanId=plan.ref(),
            BackupSelection=backup.BackupSelectionResourceType(
                SelectionName="ledger",
                IamRoleArn=role.get_att("Arn"),
                Resources=[arn("rds", "cluster:${Cluster}", Cluster=cluster)],
            ),
        )
    )
    template.add_output(
        Output("BackupVaultName", Description="Vault of the ledger's daily backups.", Value=vault.ref())
    )


def _vault(settings: Settings, key_arn: AWSHelperFn) -> backup.BackupVault:
    """Locked for good three days after it was made, where anything is to be kept at all: then nobody, the
    account's root included, deletes a backup before its time or takes the lock away.
    """
    disposable = settings.test_environment
    vault = backup.BackupVault(
        "BackupVault",
        BackupVaultName=here(partial(settings.names.regional, "ledger")),
        EncryptionKeyArn=key_arn,
    )
    statements = [_refuse_other_accounts()]
    if not disposable:
        statements += _refuse_deletion(settings.names)
        vault.LockConfiguration = backup.LockConfigurationType(
            MinRetentionDays=KEEP_BACKUPS_DAYS,
            MaxRetentionDays=_LONGEST_DAYS,
            ChangeableForDays=_LOCK_AFTER_DAYS,
        )
    # Past troposphere's own check, which wants to make text of it and cannot.
    vault.properties["AccessPolicy"] = policies.document(*statements)
    return keep(vault, disposable=disposable)


def _peer_vault(names: Names) -> Value:
    """Computed: it need not exist before the first backup is copied, long after both stacks are made."""
    vault = peer(partial(names.regional, "ledger"))
    return arn("backup", "backup-vault:${Vault}", region=lookup("PeerRegion"), Vault=vault)


def _refuse_other_accounts() -> Statement:
    return _refuse(
        "RefuseOtherAccounts",
        [actions.CopyIntoBackupVault],
        StringNotEquals({"aws:PrincipalAccount": ACCOUNT}),
    )


def _refuse_deletion(names: Names) -> list[Statement]:
    """Backups end by their lifecycle. What the lock alone would allow, because they are older than it asks
    for, is refused too; only a deployment changes this policy.
    """
    deployment = ArnNotEquals({"aws:PrincipalArn": execution_role_arn(names)})
    return [
        _refuse(
            "RefuseDeletion",
            [
                actions.DeleteRecoveryPoint,
                actions.DisassociateRecoveryPoint,
                actions.UpdateRecoveryPointLifecycle,
            ],
        ),
        _refuse("RefuseOtherPolicies", [actions.PutBackupVaultAccessPolicy], deployment),
    ]


def _refuse(sid: str, refused: list[Action], *conditions: StringNotEquals | ArnNotEquals) -> Statement:
    statement = Statement(Sid=sid, Effect=Deny, Principal=Principal("*"), Action=refused, Resource=["*"])
    if conditions:
        statement.Condition = Condition(list(conditions))
    return statement


def _role(names: Names, key_arn: AWSHelperFn) -> iam.Role:
    """The part of ``AWSBackupServiceRolePolicyForBackup`` that an Aurora cluster needs, on ours only."""
    cluster = arn("rds", "cluster:${Cluster}", Cluster=here(partial(names.regional, "ledger")))
    # AWS Backup begins the names of its snapshots like this, here and where it copies them to.
    snapshots = arn("rds", "cluster-snapshot:awsbackup:*", region="*")
    vaults = [
        arn("backup", "backup-vault:${Vault}", Vault=here(partial(names.regional, "ledger"))),
        _peer_vault(names),
    ]
    to_aws = Bool({"kms:GrantIsForAWSResource": "true"})
    return iam.Role(
        "BackupRole",
        RoleName=here(partial(names.regional, "backups")),
        PermissionsBoundary=policies.boundary_arn(names),
        Description="Lets AWS Backup take and copy snapshots of the ledger",
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service("backup.amazonaws.com", StringEquals({"aws:SourceAccount": ACCOUNT}))
        ),
        Policies=[
            iam.Policy(
                PolicyName="backups",
                PolicyDocument=policies.document(
                    allow("FindResources", [tag.GetResources], "*"),
                    allow(
                        "TakeSnapshots",
                        [
                            rds.AddTagsToResource,
                            rds.CopyDBClusterSnapshot,
                            rds.CreateDBClusterSnapshot,
                            rds.DeleteDBClusterSnapshot,
                            rds.DescribeDBClusterSnapshots,
                            rds.DescribeDBClusters,
                            rds.ListTagsForResource,
                            rds.ModifyDBClusterSnapshotAttribute,
                        ],
                        cluster,
                        snapshots,
                    ),
                    allow(
                        "FillVaults",
                        [
                            actions.CopyFromBackupVault,
                            actions.CopyIntoBackupVault,
                            actions.DescribeBackupVault,
                        ],
                        *vaults,
                        snapshots,
                    ),
                    allow("DescribeKey", [kms.DescribeKey], key_arn),
                    allow("KeepKey", [kms.CreateGrant], key_arn, condition=Condition(to_aws)),
                    policies.use_aliased_key(
                        "KeepPeerKey",
                        lookup("PeerRegion"),
                        peer(partial(names.alias, "data")),
                        "rds",
                        kms.CreateGrant,
                        kms.DescribeKey,
                    ),
                ),
            )
        ],
    )
