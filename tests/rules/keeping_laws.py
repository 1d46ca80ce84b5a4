"""Laws about what is kept: records nobody can change, copies that arrive, services that act for us only."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.rules.reading import in_region, listed, of_type, statements, strings
from tests.rules.variants import Template, Variant

_RECORDS = {"data": ["TransactionsBucket"], "foundation": ["ReceivedBucket"], "root": ["AuditBucket"]}
_TWELVE_MONTHS = 365  # PCI DSS 4.0.1, 10.5.1
# Lambda and API Gateway do not say for which function or API they act.
_ANONYMOUS = {"apigateway.amazonaws.com", "lambda.amazonaws.com"}


def access_is_logged(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """Of every bucket but those that receive the logs: their own would never end."""
    receiving = {
        policy["Bucket"]["Ref"]
        for _, policy in of_type(template, "AWS::S3::BucketPolicy")
        for _, statement in statements(policy)
        if statement["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    }
    names = variant.settings.names
    for title, bucket in of_type(template, "AWS::S3::Bucket"):
        logged_to = bucket.get("LoggingConfiguration", {}).get("DestinationBucketName")
        awaited = [
            *({"Ref": other} for other in receiving),
            {"Fn::ImportValue": names.export("AccessLogs", "AccessLogBucketName")},
            names.bucket("access-logs", "primary") if name == "root" else None,
        ]
        if (logged_to is None) != (title in receiving) or (logged_to and logged_to not in awaited):
            yield f"{title} logs to {logged_to}"
    for title, vpc in of_type(template, "AWS::EC2::VPC"):
        flows = [flow for _, flow in of_type(template, "AWS::EC2::FlowLog")]
        if not any(flow["ResourceId"] == {"Ref": title} and flow["TrafficType"] == "ALL" for flow in flows):
            yield f"{title} at {vpc['CidrBlock']} has no flow logs"


def records_are_locked(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """For twelve months, and not where everything is to be thrown away; they expire when they can."""
    disposable = variant.settings.test_environment
    for title, bucket in of_type(template, "AWS::S3::Bucket"):
        lock = bucket.get("ObjectLockConfiguration", {})
        if (title in _RECORDS.get(name, ())) != (bucket.get("ObjectLockEnabled") is True and bool(lock)):
            yield f"{title} has the lock {lock}"
        retention = lock.get("Rule", {}).get("DefaultRetention", {})
        if not lock:
            continue
        if disposable and retention:
            yield f"{title} could not be deleted in a test environment"
        expires = [rule.get("ExpirationInDays", 0) for rule in bucket["LifecycleConfiguration"]["Rules"]]
        if max(expires) < max(_TWELVE_MONTHS, retention.get("Days", 0)):
            yield f"{title} forgets after {max(expires)} days"
        if not disposable and (
            retention.get("Mode") != "COMPLIANCE" or retention.get("Days", 0) < _TWELVE_MONTHS
        ):
            yield f"{title} is locked by {retention}"
    for title, vault in of_type(template, "AWS::Backup::BackupVault"):
        if disposable is ("LockConfiguration" in vault) or not vault.get("EncryptionKeyArn"):
            yield f"{title} is locked in a test environment, or not locked in another, or has no key"


def what_is_sent_is_awaited(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """Nothing but names ties the two regions: each must be what the other region makes."""
    if name != "data":
        return
    for region, other in (variant.regions(name), variant.regions(name)[::-1]):
        here, there = in_region(template, region), in_region(template, other)
        foundation = in_region(variant.templates["foundation"], other)
        received = foundation["Resources"]["ReceivedBucket"]["Properties"]["BucketName"]
        alias = foundation["Resources"]["DataKeyAlias"]["Properties"]["AliasName"]
        for title, bucket in of_type(here, "AWS::S3::Bucket"):
            yield from (
                f"{title} sends to {found} in {region}"
                for found in _destinations(bucket)
                if found != (received, f"kms:{other}", alias, 15)
            )
            if not bucket.get("ReplicationConfiguration"):
                yield f"{title} stays in {region}"
        role = here["Resources"].get("ReplicationRole", {}).get("Properties", {}).get("RoleName")
        if role not in str(foundation["Resources"]["ReceivedBucketPolicy"]):
            yield f"{role} may not write to {received}"
        vault = there["Resources"].get("BackupVault", {}).get("Properties", {}).get("BackupVaultName")
        plans = [plan["BackupPlan"]["BackupPlanRule"] for _, plan in of_type(here, "AWS::Backup::BackupPlan")]
        copies = [copy for rules in plans for rule in rules for copy in rule.get("CopyActions", [])]
        awaited = f":backup:{other}:${{AWS::AccountId}}:backup-vault:{vault}"
        if not copies or not all(_text(c["DestinationBackupVaultArn"]).endswith(awaited) for c in copies):
            yield f"backups are not copied from {region} to {other}"


def _destinations(bucket: Mapping[str, Any]) -> Iterator[tuple[str, str, str, int]]:
    for rule in bucket.get("ReplicationConfiguration", {}).get("Rules", []):
        to = rule["Destination"]
        key = _text(to["EncryptionConfiguration"]["ReplicaKmsKeyID"]).replace("AWS::", "").split(":")
        minutes = to.get("ReplicationTime", {}).get("Time", {}).get("Minutes", 0)
        yield _text(to["Bucket"]).rsplit(":", 1)[1], ":".join(key[2:4]), key[-1], minutes


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value["Fn::Sub"])


def services_act_for_us_only(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """Or anybody could have a service write into our buckets, or use a role of ours, by naming them."""
    kinds = ("AWS::IAM::Role", "AWS::S3::BucketPolicy")
    for title, resource in of_type(template, *kinds):
        for _, statement in statements(resource):
            principal = statement.get("Principal")
            service = principal.get("Service") if isinstance(principal, Mapping) else None
            tested = {key for test in statement.get("Condition", {}).values() for key in test}
            if service and service not in _ANONYMOUS and not tested & {"aws:SourceAccount", "aws:SourceArn"}:
                yield f"{title} serves {service}, whoever asks it to"


def trails_are_complete_and_cannot_be_forged(
    name: str, template: Template, variant: Variant
) -> Iterator[str]:
    trails = dict(of_type(template, "AWS::CloudTrail::Trail"))
    if name == "root" and bool(trails) is not variant.settings.audit.trail:
        yield f"there are {len(trails)} trails"
    for title, trail in trails.items():
        for wanted in (
            *("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents", "EnableLogFileValidation"),
            *("KMSKeyId", "CloudWatchLogsLogGroupArn"),
        ):
            if not trail.get(wanted):
                yield f"{title} lacks {wanted}"
        if "AuditBucketPolicy" not in template["Resources"][title].get("DependsOn", []):
            yield f"{title} may be made before it may write"


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
_OF_THE_GROUP_ALONE = {"logs:TagResource", "logs:UntagResource", "logs:ListTagsForResource"}


def log_groups_are_named_with_their_streams(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """CloudWatch Logs compares the ARN that ends in ``:*``, even to make the group; only tags have none."""
    for path, statement in statements(template):
        actions = {action for action in listed(statement["Action"]) if action.startswith("logs:")}
        for _, text in strings(statement.get("Resource", [])):
            if actions - _OF_THE_GROUP_ALONE and ":log-group:" in text and not text.endswith("*"):
                yield f"{'.'.join(path)} grants nothing: {text} does not end in :*"


LAWS = (
    access_is_logged,
    records_are_locked,
    what_is_sent_is_awaited,
    services_act_for_us_only,
    trails_are_complete_and_cannot_be_forged,
    log_groups_are_named_with_their_streams,
)
