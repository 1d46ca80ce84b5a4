"""The most that any role of a regional stack may ever do, whatever its own policies come to say.

The role that makes those stacks may make roles; this keeps what it makes as weak as functions, backups,
replication and log delivery need to be: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from awacs import (
    arc_region_switch,
    awslambda,
    backup,
    cloudwatch,
    dynamodb,
    ec2,
    kms,
    logs,
    rds,
    s3,
    secretsmanager,
    sqs,
    tag,
    xray,
)
from awacs.aws import Condition, Statement, StringEquals
from troposphere import Template, iam

from templates import policies
from templates.config import Settings
from templates.lifetime import keep
from templates.names import Place
from templates.policies import allow, arn, bucket_arn


def add_boundary(template: Template, settings: Settings) -> iam.ManagedPolicy:
    """Kept like the role that API Gateway logs by: what binds a role cannot be deleted before it."""
    boundary = iam.ManagedPolicy(
        "Boundary",
        ManagedPolicyName=settings.names.shared(policies.BOUNDARY),
        Description="The most that any role of a regional stack may ever do",
        PolicyDocument=policies.document(*_statements(settings)),
    )
    return template.add_resource(keep(boundary, disposable=settings.test_environment))


def add_drill_boundary(template: Template, settings: Settings) -> iam.ManagedPolicy:
    """Of the roles that faults are made by, which may do what no other role may, and nothing else."""
    return template.add_resource(
        iam.ManagedPolicy(
            "DrillBoundary",
            ManagedPolicyName=settings.names.shared(policies.DRILL_BOUNDARY),
            Description="The most that a role of a drill may ever do",
            PolicyDocument=policies.document(*_drill_statements(settings)),
        )
    )


def _statements(settings: Settings) -> list[Statement]:
    names = settings.names
    places: tuple[Place, ...] = ("primary", "secondary")
    ours = [names.regional("*", place) for place in places]
    buckets = [bucket_arn(f"{name}-????????", suffix) for name in ours for suffix in ("", "/*")]
    data_regions = [settings.regions.primary, settings.regions.secondary]
    in_regions = StringEquals({"aws:RequestedRegion": data_regions})
    witness = names.regional("*", "witness")
    in_all_regions = StringEquals({"aws:RequestedRegion": [*data_regions, settings.regions.witness]})
    # By way of these services or, for the names that X-Ray, EC2 and RDS give, of any resource: no narrower
    # than the policies, which are what decides; a boundary only says where they end.
    return [
        allow(
            "WriteLogs",
            [
                logs.CreateLogGroup,
                logs.CreateLogStream,
                logs.DescribeLogGroups,
                logs.DescribeLogStreams,
                logs.FilterLogEvents,
                logs.GetLogEvents,
                logs.PutLogEvents,
                logs.PutRetentionPolicy,
            ],
            "*",
            condition=Condition(in_all_regions),
        ),
        allow(
            "Observe",
            [xray.PutTelemetryRecords, xray.PutTraceSegments, tag.GetResources],
            "*",
            condition=Condition(in_all_regions),
        ),
        allow(
            "AttachToNetwork",
            [
                ec2.AssignPrivateIpAddresses,
                ec2.CreateNetworkInterface,
                ec2.DeleteNetworkInterface,
                ec2.DescribeNetworkInterfaces,
                ec2.DescribeSubnets,
                ec2.UnassignPrivateIpAddresses,
            ],
            "*",
            condition=Condition(in_regions),
        ),
        allow(
            "UseTables",
            [
                dynamodb.BatchGetItem,
                dynamodb.BatchWriteItem,
                dynamodb.ConditionCheckItem,
                dynamodb.DeleteItem,
                dynamodb.DescribeTable,
                dynamodb.GetItem,
                dynamodb.PutItem,
                dynamodb.Query,
                dynamodb.Scan,
                dynamodb.UpdateItem,
            ],
            arn("dynamodb", f"table/{names.shared('*')}", region="*"),
            arn("dynamodb", f"table/{names.shared('*')}/index/*", region="*"),
        ),
        allow(
            "UseOwnSecrets",
            [
                secretsmanager.DescribeSecret,
                secretsmanager.GetSecretValue,
                secretsmanager.PutSecretValue,
                secretsmanager.UpdateSecretVersionStage,
            ],
            arn("secretsmanager", f"secret:{names.secret('*')}", region="*"),
        ),
        allow(
            "CallFunctions",
            [awslambda.InvokeFunction],
            *(arn("lambda", f"function:{name}", region="*") for name in (*ours, witness)),
        ),
        allow(
            "SendDeadLetters",
            [sqs.SendMessage],
            *(arn("sqs", name, region="*") for name in (*ours, witness)),
        ),
        allow("FindVotes", [cloudwatch.DescribeAlarms], "*"),
        allow("FindPlan", [arc_region_switch.ListPlansInRegion], "*"),
        allow(
            "StartPlan",
            [arc_region_switch.StartPlanExecution],
            arn("arc-region-switch", f"plan/{names.plan}:*", region=""),
        ),
        allow(
            "Vote",
            [cloudwatch.PutMetricData],
            "*",
            condition=Condition(StringEquals({"cloudwatch:namespace": names.metrics})),
        ),
        allow(
            "UseKeys",
            [kms.CreateGrant, kms.Decrypt, kms.DescribeKey, kms.Encrypt, kms.GenerateDataKey],
            arn("kms", "key/*", region="*"),
        ),
        allow(
            "UseDatabases",
            [
                rds.AddTagsToResource,
                rds.CopyDBClusterSnapshot,
                rds.CreateDBClusterSnapshot,
                rds.DeleteDBClusterSnapshot,
                rds.DescribeDBClusterSnapshots,
                rds.DescribeDBClusters,
                rds.DescribeGlobalClusters,
                rds.FailoverGlobalCluster,
                rds.ListTagsForResource,
                rds.ModifyDBClusterSnapshotAttribute,
                rds.SwitchoverGlobalCluster,
            ],
            *(arn("rds", f"cluster:{name}", region="*") for name in ours),
            arn("rds", "cluster-snapshot:awsbackup:*", region="*"),
            arn("rds", f"global-cluster:{names.shared('ledger')}", region=""),
        ),
        allow(
            "FillVaults",
            [backup.CopyFromBackupVault, backup.CopyIntoBackupVault, backup.DescribeBackupVault],
            *(arn("backup", f"backup-vault:{name}", region="*") for name in ours),
            arn("rds", "cluster-snapshot:awsbackup:*", region="*"),
        ),
        allow(
            "UseBuckets",
            [
                s3.GetObject,
                s3.GetObjectLegalHold,
                s3.GetObjectRetention,
                s3.GetObjectVersionAcl,
                s3.GetObjectVersionForReplication,
                s3.GetObjectVersionTagging,
                s3.GetReplicationConfiguration,
                s3.ListBucket,
                s3.PutObject,
                s3.ReplicateObject,
                s3.ReplicateTags,
            ],
            *buckets,
        ),
    ]


def _drill_statements(settings: Settings) -> list[Statement]:
    data_regions = [settings.regions.primary, settings.regions.secondary]
    in_regions = Condition(StringEquals({"aws:RequestedRegion": data_regions}))
    places: tuple[Place, ...] = ("primary", "secondary")
    tables = f"table/{settings.names.shared('*')}"
    return [
        allow(
            "FindTargets",
            [
                dynamodb.DescribeTable,
                ec2.DescribeManagedPrefixLists,
                ec2.DescribeNetworkAcls,
                ec2.DescribeSubnets,
                ec2.DescribeVpcs,
                logs.CreateLogDelivery,
                logs.DescribeLogGroups,
                logs.DescribeResourcePolicies,
                logs.PutResourcePolicy,
                rds.DescribeDBInstances,
                tag.GetResources,
            ],
            "*",
            condition=in_regions,
        ),
        allow(
            "CutOff",
            [
                ec2.CreateNetworkAcl,
                ec2.CreateNetworkAclEntry,
                ec2.CreateTags,
                ec2.DeleteNetworkAcl,
                ec2.ReplaceNetworkAclAssociation,
            ],
            *(arn("ec2", f"{kind}/*", region="*") for kind in ("network-acl", "subnet", "vpc")),
            condition=in_regions,
        ),
        allow(
            "PauseReplication",
            [
                dynamodb.DeleteResourcePolicy,
                dynamodb.GetResourcePolicy,
                dynamodb.InjectError,
                dynamodb.PutResourcePolicy,
            ],
            arn("dynamodb", tables, region="*"),
            arn("dynamodb", f"{tables}/stream/*", region="*"),
        ),
        allow(
            "Restart",
            [rds.RebootDBInstance],
            *(arn("rds", f"db:{settings.names.regional('*', place)}", region="*") for place in places),
        ),
    ]
