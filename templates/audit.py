"""The audit trail: who did what in this account, in every region, so that nobody can change it afterwards.

No recovery waits for it. While its home region is gone, CloudTrail goes on recording in the others, tries for
30 days to deliver what it could not, and each region's own event history has the last 90 days all the time.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
"""

from collections.abc import Mapping, Sequence

from awacs import kms, logs, s3
from awacs.aws import Action, Allow, Condition, Principal, Statement, StringEquals, StringLike
from msgspec import Struct
from troposphere import AWSObject, Sub, Template, cloudtrail, iam
from troposphere import logs as log_resources

from templates import policies
from templates.config import Settings
from templates.encryption import KeyPlan, add_key
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.names import Names
from templates.policies import ACCOUNT, allow, arn, bucket_arn
from templates.storage import KEEP_EXPIRED_DAYS, BucketPlan, add_bucket

# What the service does with its tables all day. Anything else is done by hand, or should never happen.
_DAILY = ("BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem")


class Selector(Struct, frozen=True):
    """Events that are recorded: by field, one of the values; with ``!`` none of them, ``^`` their start."""

    name: str
    fields: Mapping[str, Sequence[str | Sub]]


def add_trail(template: Template, settings: Settings, after: Sequence[AWSObject]) -> cloudtrail.Trail:
    """`after`: the bucket's access logs go to a bucket that another stack makes."""
    names, disposable = settings.names, settings.test_environment
    name = names.shared("audit")
    key = add_key(template, _key_plan(settings))
    bucket = add_bucket(
        template,
        BucketPlan(
            title="Audit",
            name=names.bucket("audit", "primary"),
            key_arn=key.get_att("Arn"),
            disposable=disposable,
            access_logs=names.bucket("access-logs", "primary"),
            keep_old_versions_days=KEEP_EXPIRED_DAYS,
            records=True,
            locked=True,
            statements=_deliver_trail(names),
        ),
    )
    bucket.DependsOn = list(after)
    group = log_resources.LogGroup(
        "AuditLogs",
        LogGroupName=f"/aws/cloudtrail/{name}",
        KmsKeyId=key.get_att("Arn"),
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    template.add_resource(keep(group, disposable=disposable))
    role = template.add_resource(_role(names, group))
    return template.add_resource(
        cloudtrail.Trail(
            "AuditTrail",
            TrailName=name,
            IsLogging=True,
            IsMultiRegionTrail=True,
            IncludeGlobalServiceEvents=True,
            EnableLogFileValidation=True,
            KMSKeyId=key.get_att("Arn"),
            S3BucketName=bucket.ref(),
            CloudWatchLogsLogGroupArn=group.get_att("Arn"),
            CloudWatchLogsRoleArn=role.get_att("Arn"),
            AdvancedEventSelectors=[_advanced(selector) for selector in selectors(settings)],
            DependsOn=["AuditBucketPolicy"],
        )
    )


def selectors(settings: Settings) -> tuple[Selector, ...]:
    """Every management event; of the data, what would change who may pay, who is active, records or code. Not
    each payment: the journal is the record of those, and its events would cost as much as it does.
    """
    names, regions = settings.names, settings.regions
    both = (regions.primary, regions.secondary)

    def tables(*components: str) -> list[Sub]:
        return [arn("dynamodb", f"table/{names.shared(c)}", region=r) for c in components for r in both]

    def buckets(component: str) -> list[Sub]:
        return [
            bucket_arn(names.bucket(component, "primary"), "/"),
            bucket_arn(names.bucket(component, "secondary"), "/"),
        ]

    table = {"eventCategory": ["Data"], "resources.type": ["AWS::DynamoDB::Table"]}
    item = {"eventCategory": ["Data"], "resources.type": ["AWS::S3::Object"]}
    return (
        Selector("management", {"eventCategory": ["Management"]}),
        Selector(
            "who-may-pay-and-who-is-active",
            {**table, "readOnly": ["false"], "resources.ARN": tables("control", "directory")},
        ),
        Selector(
            "what-the-service-never-does",
            {**table, "!eventName": _DAILY, "resources.ARN": tables("journal", "sessions")},
        ),
        Selector(
            "transaction-logs",
            {**item, "^resources.ARN": [*buckets("transactions"), *buckets("received")]},
        ),
        Selector("code", {**item, "readOnly": ["false"], "^resources.ARN": buckets("code")}),
    )


def _advanced(selector: Selector) -> cloudtrail.AdvancedEventSelector:
    chosen = []
    for field, values in selector.fields.items():
        operator = {"!": "NotEquals", "^": "StartsWith"}.get(field[0], "Equals")
        chosen.append(cloudtrail.AdvancedFieldSelector(Field=field.lstrip("!^")))
        setattr(chosen[-1], operator, list(values))
    return cloudtrail.AdvancedEventSelector(Name=selector.name, FieldSelectors=chosen)


def _trail_arn(names: Names) -> Sub:
    return arn("cloudtrail", f"trail/{names.shared('audit')}")


def _key_plan(settings: Settings) -> KeyPlan:
    """Its own: whoever reads the audit trail need not be able to read payments, nor the other way round."""
    names = settings.names
    by_trail = StringEquals({"aws:SourceArn": _trail_arn(names)})
    context = StringLike(
        {"kms:EncryptionContext:aws:cloudtrail:arn": arn("cloudtrail", "trail/*", region="*")}
    )
    return KeyPlan(
        title="AuditKey",
        description="Encrypts the audit trail",
        alias=names.alias("audit", "primary"),
        services=("s3",),
        regions=(settings.regions.primary,),
        log_groups=(f"/aws/cloudtrail/{names.shared('audit')}",),
        disposable=settings.test_environment,
        statements=(
            _to_cloudtrail("EncryptTrail", [Action("kms", "GenerateDataKey*")], "*", by_trail, context),
            _to_cloudtrail("DescribeToTrail", [kms.DescribeKey], "*", by_trail),
        ),
    )


def _deliver_trail(names: Names) -> tuple[Statement, ...]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html"""
    bucket = names.bucket("audit", "primary")
    by_trail = StringEquals({"aws:SourceArn": _trail_arn(names)})
    owned = StringEquals({"s3:x-amz-acl": "bucket-owner-full-control", "aws:SourceArn": _trail_arn(names)})
    objects = Sub(f"arn:${{AWS::Partition}}:s3:::{bucket}/AWSLogs/${{AWS::AccountId}}/*")
    return (
        _to_cloudtrail("FindAuditBucket", [s3.GetBucketAcl], bucket_arn(bucket), by_trail),
        _to_cloudtrail("DeliverTrail", [s3.PutObject], objects, owned),
    )


def _to_cloudtrail(
    sid: str, granted: list[Action], resource: str | Sub, *conditions: StringEquals | StringLike
) -> Statement:
    return Statement(
        Sid=sid,
        Effect=Allow,
        Principal=Principal("Service", "cloudtrail.amazonaws.com"),
        Action=granted,
        Resource=[resource],
        Condition=Condition(list(conditions)),
    )


def _role(names: Names, group: log_resources.LogGroup) -> iam.Role:
    return iam.Role(
        "AuditRole",
        RoleName=names.shared("audit"),
        Description="Lets CloudTrail write to its log group",
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service(
                "cloudtrail.amazonaws.com",
                StringEquals({"aws:SourceAccount": ACCOUNT, "aws:SourceArn": _trail_arn(names)}),
            )
        ),
        Policies=[
            iam.Policy(
                PolicyName="delivery",
                PolicyDocument=policies.document(
                    allow("WriteTrail", [logs.CreateLogStream, logs.PutLogEvents], group.get_att("Arn"))
                ),
            )
        ],
    )
