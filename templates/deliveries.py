"""Statements that let AWS services write for us: logs of all kinds, and replicas of objects."""

from awacs import kms, logs, s3
from awacs.aws import (
    Allow,
    ArnLike,
    ArnNotEquals,
    Condition,
    Deny,
    Principal,
    Statement,
    StringEquals,
)
from troposphere import AWSHelperFn

from templates import policies
from templates.policies import ACCOUNT, Value, allow, arn, bucket_arn


def deliver_access_logs(bucket: Value, sources: Value) -> Statement:
    """Of the buckets whose names match `sources`, and of this account's only."""
    return Statement(
        Sid="DeliverAccessLogs",
        Effect=Allow,
        Principal=Principal("Service", "logging.s3.amazonaws.com"),
        Action=[s3.PutObject],
        Resource=[bucket_arn(bucket, "/*")],
        Condition=Condition(
            [StringEquals({"aws:SourceAccount": ACCOUNT}), ArnLike({"aws:SourceArn": bucket_arn(sources)})]
        ),
    )


def only_replicas(bucket: Value, role_arn: Value) -> Statement:
    """Whatever IAM lets others do, only that role's replication puts anything in.

    The role is in a condition because it is made later than the bucket, by the other region: a principal that
    does not exist yet makes the policy invalid.
    """
    return Statement(
        Sid="OnlyReplicas",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[s3.PutObject, s3.ReplicateDelete, s3.ReplicateObject, s3.ReplicateTags],
        Resource=[bucket_arn(bucket, "/*")],
        Condition=Condition(ArnNotEquals({"aws:PrincipalArn": role_arn})),
    )


def read_for_replication(bucket: Value) -> list[Statement]:
    """With Object Lock the lock travels too, so it must be readable.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    """
    return [
        allow("FindChanges", [s3.GetReplicationConfiguration, s3.ListBucket], bucket_arn(bucket)),
        allow(
            "ReadVersions",
            [
                s3.GetObjectLegalHold,
                s3.GetObjectRetention,
                s3.GetObjectVersionAcl,
                s3.GetObjectVersionForReplication,
                s3.GetObjectVersionTagging,
            ],
            bucket_arn(bucket, "/*"),
        ),
    ]


def write_replicas(bucket: Value) -> Statement:
    return allow("WriteReplicas", [s3.ReplicateObject, s3.ReplicateTags], bucket_arn(bucket, "/*"))


def decrypt_source(key_arn: Value) -> Statement:
    return policies.use_key_through("DecryptSource", key_arn, "s3", kms.Decrypt)


def write_flow_logs(log_group_arn: AWSHelperFn) -> Statement:
    """The ARN that a log group answers with ends in ``:*``: its streams, one for each network interface."""
    return allow(
        "WriteFlowLogs", [logs.CreateLogStream, logs.DescribeLogStreams, logs.PutLogEvents], log_group_arn
    )


def write_api_logs() -> Statement:
    """What ``AmazonAPIGatewayPushToCloudWatchLogs`` grants: API Gateway refuses a role that may do less, and
    the setting it belongs to serves every API of the account, also those that are not ours.
    """
    return allow(
        "WriteApiLogs",
        [
            logs.CreateLogGroup,
            logs.CreateLogStream,
            logs.DescribeLogGroups,
            logs.DescribeLogStreams,
            logs.FilterLogEvents,
            logs.GetLogEvents,
            logs.PutLogEvents,
        ],
        "*",
    )


def write_os_metrics() -> list[Statement]:
    """What ``AmazonRDSEnhancedMonitoringRole`` grants, in this account and region."""
    return [
        allow(
            "MakeMetricsGroup",
            [logs.CreateLogGroup, logs.PutRetentionPolicy],
            arn("logs", "log-group:RDSOSMetrics:*"),
        ),
        allow(
            "WriteMetrics",
            [logs.CreateLogStream, logs.DescribeLogStreams, logs.GetLogEvents, logs.PutLogEvents],
            arn("logs", "log-group:RDSOSMetrics:log-stream:*"),
        ),
    ]


def own_resources(service: str, resource: str) -> tuple[StringEquals, ArnLike]:
    """The service acts for this account's resources of this region, not for somebody else's."""
    return StringEquals({"aws:SourceAccount": ACCOUNT}), ArnLike({"aws:SourceArn": arn(service, resource)})
