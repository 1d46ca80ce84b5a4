"""Buckets: versioned, private, over TLS only, each with an end to what it keeps."""

from awacs.aws import Statement
from msgspec import Struct
from troposphere import AWSHelperFn, Tags, Template, s3

from templates import policies
from templates.deliveries import deliver_access_logs
from templates.lifetime import keep
from templates.links import Link
from templates.policies import Value

CODE_BUCKET_NAME = Link("Code", "CodeBucketName", "Bucket that Lambda loads this region's code from.")
ACCESS_LOG_BUCKET_NAME = Link(
    "AccessLogs", "AccessLogBucketName", "Bucket that tells who read and wrote this region's other buckets."
)
# PCI DSS 4.0.1, 10.5.1: twelve months, three of them at hand; as long as log groups keep theirs.
KEEP_RECORDS_DAYS = 400
_AT_HAND_DAYS = 90
# A rollback needs its code back: what was overwritten or deleted stays this long.
KEEP_CODE_DAYS = 90
# Of a record nothing is ever overwritten: an old version is one whose time is over.
KEEP_EXPIRED_DAYS = 7


class BucketPlan(Struct, frozen=True):
    """A bucket. Records are objects that nobody changes: with `locked` nobody can, until they expire."""

    title: str
    name: Value
    key_arn: Value | None  # None: a key of S3's own, for what our key cannot encrypt
    disposable: bool
    access_logs: Value | None  # the bucket that receives them; it has none itself, they would never end
    keep_old_versions_days: int
    records: bool = False
    locked: bool = False
    statements: tuple[Statement, ...] = ()  # besides those that refuse whoever comes without TLS


def add_bucket(
    template: Template, plan: BucketPlan, replication: s3.ReplicationConfiguration | None = None
) -> s3.Bucket:
    bucket = s3.Bucket(
        f"{plan.title}Bucket",
        BucketName=plan.name,
        BucketEncryption=_encryption(plan.key_arn),
        LifecycleConfiguration=s3.LifecycleConfiguration(Rules=_lifecycle(plan)),
        OwnershipControls=s3.OwnershipControls(
            Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
        ),
        PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        Tags=Tags(Name=plan.name),
    )
    if plan.access_logs is not None:
        bucket.LoggingConfiguration = s3.LoggingConfiguration(
            DestinationBucketName=plan.access_logs, LogFilePrefix=f"{plan.title.lower()}/"
        )
    if plan.locked:
        bucket.ObjectLockEnabled = True
        bucket.ObjectLockConfiguration = _lock(disposable=plan.disposable)
    if replication is not None:
        bucket.ReplicationConfiguration = replication
    template.add_resource(keep(bucket, disposable=plan.disposable))
    template.add_resource(
        s3.BucketPolicy(
            f"{plan.title}BucketPolicy",
            Bucket=bucket.ref(),
            PolicyDocument=policies.document(*policies.refuse_plain_http(bucket.ref()), *plan.statements),
        )
    )
    return bucket


def add_code_bucket(
    template: Template, name: Value, key_arn: Value, access_logs: AWSHelperFn, *, disposable: bool
) -> s3.Bucket:
    return add_bucket(
        template,
        BucketPlan(
            title="Code",
            name=name,
            key_arn=key_arn,
            disposable=disposable,
            access_logs=access_logs,
            keep_old_versions_days=KEEP_CODE_DAYS,
        ),
    )


def add_access_log_bucket(template: Template, name: Value, sources: Value, *, disposable: bool) -> s3.Bucket:
    """`sources` is the pattern of the buckets whose logs it takes.

    Not locked and with S3's own key, because log delivery takes nothing else:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    return add_bucket(
        template,
        BucketPlan(
            title="AccessLog",
            name=name,
            key_arn=None,
            disposable=disposable,
            access_logs=None,
            keep_old_versions_days=KEEP_EXPIRED_DAYS,
            records=True,
            statements=(deliver_access_logs(name, sources),),
        ),
    )


def _encryption(key_arn: Value | None) -> s3.BucketEncryption:
    chosen = s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
    if key_arn is not None:
        chosen = s3.ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms", KMSMasterKeyID=key_arn)
    return s3.BucketEncryption(
        ServerSideEncryptionConfiguration=[
            s3.ServerSideEncryptionRule(
                BucketKeyEnabled=key_arn is not None, ServerSideEncryptionByDefault=chosen
            )
        ]
    )


def _lifecycle(plan: BucketPlan) -> list[s3.LifecycleRule]:
    old = s3.LifecycleRule(
        Id="old-versions",
        Status="Enabled",
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(
            NoncurrentDays=plan.keep_old_versions_days
        ),
    )
    if not plan.records:
        return [old]
    records = s3.LifecycleRule(
        Id="records",
        Status="Enabled",
        ExpirationInDays=KEEP_RECORDS_DAYS,
        Transitions=[s3.LifecycleRuleTransition(StorageClass="GLACIER_IR", TransitionInDays=_AT_HAND_DAYS)],
    )
    # A version that expired leaves a marker behind; a rule with an age cannot remove it.
    markers = s3.LifecycleRule(Id="markers", Status="Enabled", ExpiredObjectDeleteMarker=True)
    return [old, records, markers]


def _lock(*, disposable: bool) -> s3.ObjectLockConfiguration:
    """Compliance: not even the account's root ends it early. Where everything is to be thrown away again,
    locks can be set but nothing sets them.
    """
    lock = s3.ObjectLockConfiguration(ObjectLockEnabled="Enabled")
    if not disposable:
        lock.Rule = s3.ObjectLockRule(
            DefaultRetention=s3.DefaultRetention(Mode="COMPLIANCE", Days=KEEP_RECORDS_DAYS)
        )
    return lock
