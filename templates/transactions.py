"""The transaction log: each region writes its own and sends it to a bucket that only the other one fills."""

from functools import partial

from awacs import kms
from awacs.aws import ArnLike, Statement, StringEquals
from msgspec import Struct
from troposphere import AWSHelperFn, Sub, Template, iam, s3

from templates import deliveries, policies
from templates.config import Settings
from templates.links import Link
from templates.names import Names
from templates.places import here, lookup, peer
from templates.policies import Value
from templates.storage import KEEP_EXPIRED_DAYS, BucketPlan, add_bucket

RECEIVED_BUCKET_NAME = Link(
    "Transactions", "ReceivedBucketName", "Bucket that the other region's transaction log arrives in."
)
TRANSACTIONS_BUCKET_NAME = Link(
    "Transactions", "TransactionsBucketName", "Bucket that this region's transaction log is written to."
)
REPLICATION_RULE = "to-peer"  # S3's metrics name it
# What Replication Time Control promises for 99.99 % of objects; S3 knows no other value.
_REPLICATION_MINUTES = 15


class LogPlan(Struct, frozen=True):
    """What both buckets need of their region."""

    key_arn: AWSHelperFn
    access_logs: AWSHelperFn


def add_received_bucket(template: Template, settings: Settings, plan: LogPlan) -> s3.Bucket:
    """Made with the foundation of each region, so that it exists before the other one sends anything. Two
    buckets that replicated into each other would each have to exist before the other.
    """
    names = settings.names
    name = here(partial(names.bucket, "received"))
    sender = policies.arn("iam", "role/${Role}", region="", Role=peer(partial(names.regional, "replication")))
    bucket = add_bucket(
        template, _bucket_plan("Received", name, settings, plan, deliveries.only_replicas(name, sender))
    )
    template.add_output(RECEIVED_BUCKET_NAME.publish(names, bucket.ref()))
    return bucket


def add_transactions_bucket(template: Template, settings: Settings, plan: LogPlan) -> s3.Bucket:
    names = settings.names
    name = here(partial(names.bucket, "transactions"))
    role = template.add_resource(_replication_role(settings, name, plan.key_arn))
    bucket = add_bucket(
        template, _bucket_plan("Transactions", name, settings, plan), _replication(names, role)
    )
    template.add_output(TRANSACTIONS_BUCKET_NAME.publish(names, bucket.ref()))
    return bucket


def _bucket_plan(
    title: str, name: Value, settings: Settings, plan: LogPlan, *statements: Statement
) -> BucketPlan:
    return BucketPlan(
        title=title,
        name=name,
        key_arn=plan.key_arn,
        disposable=settings.test_environment,
        access_logs=plan.access_logs,
        keep_old_versions_days=KEEP_EXPIRED_DAYS,
        records=True,
        locked=True,
        statements=statements,
    )


def _replication(names: Names, role: iam.Role) -> s3.ReplicationConfiguration:
    """Everything, within 15 minutes, encrypted with the other region's key. Nothing is ever deleted from a
    log, so a delete marker is a mistake or an attack: it stays where it was made.
    """
    minutes = s3.ReplicationTimeValue(Minutes=_REPLICATION_MINUTES)
    return s3.ReplicationConfiguration(
        Role=role.get_att("Arn"),
        Rules=[
            s3.ReplicationConfigurationRules(
                Id=REPLICATION_RULE,
                Status="Enabled",
                Priority=1,
                Filter=s3.ReplicationRuleFilter(Prefix=""),
                DeleteMarkerReplication=s3.DeleteMarkerReplication(Status="Disabled"),
                SourceSelectionCriteria=s3.SourceSelectionCriteria(
                    SseKmsEncryptedObjects=s3.SseKmsEncryptedObjects(Status="Enabled")
                ),
                Destination=s3.ReplicationConfigurationRulesDestination(
                    Bucket=policies.bucket_arn(peer(partial(names.bucket, "received"))),
                    EncryptionConfiguration=s3.EncryptionConfiguration(ReplicaKmsKeyID=_peer_key(names)),
                    ReplicationTime=s3.ReplicationTime(Status="Enabled", Time=minutes),
                    Metrics=s3.Metrics(Status="Enabled", EventThreshold=minutes),
                ),
            )
        ],
    )


def _peer_key(names: Names) -> Sub:
    """By its alias: the key's own id is known to its region only."""
    alias = peer(partial(names.alias, "data"))
    return policies.arn("kms", "${Alias}", region=lookup("PeerRegion"), Alias=alias)


def _replication_role(settings: Settings, bucket: Value, key_arn: AWSHelperFn) -> iam.Role:
    names = settings.names
    return iam.Role(
        "ReplicationRole",
        RoleName=here(partial(names.regional, "replication")),
        PermissionsBoundary=policies.boundary_arn(names),
        Description="Lets S3 send the transaction log to the other region",
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service(
                "s3.amazonaws.com",
                StringEquals({"aws:SourceAccount": policies.ACCOUNT}),
                ArnLike({"aws:SourceArn": policies.bucket_arn(bucket)}),
            )
        ),
        Policies=[
            iam.Policy(
                PolicyName="replication",
                PolicyDocument=policies.document(
                    *deliveries.read_for_replication(bucket),
                    deliveries.write_replicas(peer(partial(names.bucket, "received"))),
                    deliveries.decrypt_source(key_arn),
                    policies.use_aliased_key(
                        "EncryptReplicas",
                        lookup("PeerRegion"),
                        peer(partial(names.alias, "data")),
                        "s3",
                        kms.Encrypt,
                        kms.GenerateDataKey,
                    ),
                ),
            )
        ],
    )
