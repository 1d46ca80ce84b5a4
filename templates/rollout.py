"""The rollout function: publishes code into each region and reads what the regions' stacks answer."""

from awacs import cloudformation, dynamodb, kms, s3, sts
from awacs.aws import Statement
from troposphere import Template, awslambda

from templates import policies
from templates.config import Settings
from templates.encryption import KeyPlan, add_key
from templates.functions import ROLLOUT_PACKAGE, FunctionPlan, LocalPackage, add_function
from templates.policies import allow, arn
from templates.stacksets import administration_role_arn

TIMEOUT_SECONDS = 900  # the longest Lambda allows
# CloudFormation would wait an hour for a function that died.
SERVICE_TIMEOUT_SECONDS = TIMEOUT_SECONDS + 60


def add_rollout(template: Template, settings: Settings) -> awslambda.Function:
    names = settings.names
    name = names.shared("rollout")
    key = add_key(
        template,
        KeyPlan(
            title="RolloutKey",
            description="Encrypts the rollout function and its logs",
            alias=names.alias("rollout", "primary"),
            services=("lambda",),
            regions=(settings.regions.primary,),
            log_groups=(names.log_group(name),),
            disposable=settings.test_environment,
        ),
    )
    return add_function(
        template,
        settings,
        FunctionPlan(
            title="Rollout",
            name=name,
            role_name=name,
            description="Publishes code into each region and reads what the regions' stacks answer",
            handler="rollout.handler.handle",
            code=LocalPackage(ROLLOUT_PACKAGE),
            key_arn=key.get_att("Arn"),
            environment={"POWERTOOLS_SERVICE_NAME": "rollout", "POWERTOOLS_LOG_LEVEL": "INFO"},
            statements=tuple(_statements(settings)),
            timeout_seconds=TIMEOUT_SECONDS,
            memory_mb=512,
        ),
    )


def emptied_buckets(settings: Settings) -> dict[str, list[str]]:
    """By region. The ones that receive access logs come last: what happens to the others is written there."""
    names, regions = settings.names, settings.regions
    components = ("code", "received", "transactions", "access-logs")
    audit = [names.bucket("audit", "primary")] if settings.audit.trail else []
    return {
        regions.primary: audit + [names.bucket(component, "primary") for component in components],
        regions.secondary: [names.bucket(component, "secondary") for component in components],
    }


def _empty_buckets(settings: Settings) -> list[Statement]:
    """In test environments only; everywhere else the function can delete nothing."""
    if not settings.test_environment:
        return []
    buckets = [name for names in emptied_buckets(settings).values() for name in names]
    return [
        allow(
            "FindVersions",
            [s3.ListBucketVersions, s3.PutBucketLogging],
            *(policies.bucket_arn(bucket) for bucket in buckets),
        ),
        allow(
            "DeleteVersions",
            [s3.DeleteObject, s3.DeleteObjectVersion],
            *(policies.bucket_arn(bucket, "/*") for bucket in buckets),
        ),
    ]


def _statements(settings: Settings) -> list[Statement]:
    names, regions = settings.names, settings.regions
    buckets = [names.bucket("code", "primary"), names.bucket("code", "secondary")]
    return [
        allow("TryAdministrationRole", [sts.AssumeRole], administration_role_arn(names)),
        allow(
            "FindInstances",
            [cloudformation.ListStackInstances],
            arn("cloudformation", f"stackset/{names.shared('*')}:*"),
        ),
        # StackSets ends the stacks' names in an id of its own.
        allow(
            "ReadOutputs",
            [cloudformation.DescribeStacks],
            arn("cloudformation", f"stack/StackSet-{names.shared('*')}-*/*", region="*"),
        ),
        # Without leave to list, an absent object looks like a forbidden one.
        allow("FindCode", [s3.ListBucket], *(policies.bucket_arn(bucket) for bucket in buckets)),
        allow(
            "PublishCode",
            [s3.GetObject, s3.PutObject],
            *(policies.bucket_arn(bucket, "/functions/*") for bucket in buckets),
        ),
        # A zip is put in one piece and never read: only the parts of an upload would have to be decrypted.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        policies.use_aliased_key(
            "UsePrimaryKeyForCode",
            regions.primary,
            names.alias("data", "primary"),
            "s3",
            kms.GenerateDataKey,
        ),
        policies.use_aliased_key(
            "UseSecondaryKeyForCode",
            regions.secondary,
            names.alias("data", "secondary"),
            "s3",
            kms.GenerateDataKey,
        ),
        policies.use_table("WriteFirstControlRecord", names.shared("control"), dynamodb.PutItem),
        policies.use_aliased_key(
            "UseKeyForControlRecord",
            regions.primary,
            names.alias("data", "primary"),
            "dynamodb",
            kms.Decrypt,
        ),
        *_empty_buckets(settings),
    ]
