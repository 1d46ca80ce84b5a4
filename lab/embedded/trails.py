"""A CloudTrail trail: the calls of every region in files in its bucket, with digests that chain them.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core.iam_evaluator import caller_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, kms, s3

from lab.embedded import deliveries, service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list
from lab.embedded.keys import require_key
from lab.embedded.trail_files import Digests, deliver
from lab.plan import PLAN_VARIABLE, read_plan

TYPE = "AWS::CloudTrail::Trail"
SERVICE = "cloudtrail.amazonaws.com"
# Data events, which a trail does not record unless it is told to, and which would be most of what happens:
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
_DATA_SERVICES = ("dynamodb.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com", "sqs.amazonaws.com")
_DATA_EVENTS = frozenset(
    {
        *(
            "GetItem",
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "BatchGetItem",
            "BatchWriteItem",
            "Query",
            "Scan",
        ),
        *("GetObject", "PutObject", "HeadObject", "DeleteObject", "DeleteObjects", "CopyObject"),
        *("ListObjects", "ListObjectsV2", "Publish", "PublishBatch"),
        *("SendMessage", "ReceiveMessage", "DeleteMessage"),
    }
)
_DATA_ANYWHERE = frozenset(
    {"Invoke", "PutMetricData", "GetMetricData", "PutLogEvents", "GetLogEvents", "FilterLogEvents"}
)

cloudtrail = app._get_module("cloudtrail")


def register(handlers: Handlers) -> None:
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    handlers[TYPE] = {"create": create, "update": update, "delete": delete}
    cloudtrail._recording_enabled = True
    cloudtrail.record_event = _as_caller(cloudtrail.record_event)
    cloudtrail._trail_view = lambda trail: {
        key: value
        for key, value in trail.items()
        if not key.startswith("_") and key != "IsLogging" and value != ""
    }
    cloudtrail._get_trail_status = _with_delivery(cloudtrail._get_trail_status)
    cloudtrail._DISPATCH["GetTrailStatus"] = cloudtrail._get_trail_status
    cloudtrail._DISPATCH["ListPublicKeys"] = list_public_keys
    deliveries.add(partial(deliver_all, plan.scaled(plan.trail_seconds)))


# --- the resource -----------------------------------------------------------------------------------------


def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = str(properties.get("TrailName") or f"{stack_name}-{logical_id}-{os.urandom(6).hex().upper()}")
    require_deliverable(name, properties)
    checked(cloudtrail._create_trail(_request(name, properties)))
    _apply(name, properties)
    return name, _attributes(name)


def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    require_deliverable(physical_id, new)
    checked(cloudtrail._update_trail(_request(physical_id, new)))
    _apply(physical_id, new)
    return physical_id, _attributes(physical_id)


def delete(physical_id: str, properties: Properties) -> None:
    if physical_id in cloudtrail._trails:
        checked(cloudtrail._delete_trail({"Name": physical_id}))


def _request(name: str, properties: Properties) -> Properties:
    request = {
        "Name": name,
        "S3BucketName": properties["S3BucketName"],
        "S3KeyPrefix": properties.get("S3KeyPrefix", ""),
        "IncludeGlobalServiceEvents": properties.get("IncludeGlobalServiceEvents", False),
        "IsMultiRegionTrail": properties.get("IsMultiRegionTrail", False),
        "EnableLogFileValidation": properties.get("EnableLogFileValidation", False),
        "IsOrganizationTrail": properties.get("IsOrganizationTrail", False),
    }
    if "KMSKeyId" in properties:
        request["KmsKeyId"] = require_key(properties["KMSKeyId"])
    return request


def _apply(name: str, properties: Properties) -> None:
    trail = cloudtrail._trails[name]
    for key in ("CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn"):
        if key in properties:
            trail[key] = properties[key]
        else:
            trail.pop(key, None)
    if "KMSKeyId" not in properties:
        trail.pop("KmsKeyId", None)
    cloudtrail._trail_tags[trail["TrailARN"]] = {
        tag["Key"]: tag["Value"] for tag in tag_list(properties.get("Tags"))
    }
    for kind in ("EventSelectors", "AdvancedEventSelectors"):
        if selectors := properties.get(kind):
            checked(cloudtrail._put_event_selectors({"TrailName": name, kind: selectors}))
    act = cloudtrail._start_logging if properties["IsLogging"] else cloudtrail._stop_logging
    checked(act({"Name": name}))


def _attributes(name: str) -> Properties:
    return {"Arn": cloudtrail._trails[name]["TrailARN"]}


def require_deliverable(name: str, properties: Properties) -> None:
    """What CreateTrail tries before it answers. Raises ResourceError, worded as CloudTrail does."""
    group = (
        str(properties.get("CloudWatchLogsLogGroupArn", "")).removesuffix(":*").partition(":log-group:")[2]
    )
    if group and group not in cloudwatch_logs._log_groups:
        raise ResourceError(
            "CloudTrail cannot validate the specified log group ARN. "
            "(InvalidCloudWatchLogsLogGroupArnException)"
        )
    bucket = str(properties["S3BucketName"])
    if properties.get("IsMultiRegionTrail") and not properties.get("IncludeGlobalServiceEvents"):
        raise ResourceError(
            "Multi-Region trail must include global service events. (InvalidParameterCombinationException)"
        )
    if s3._bucket_owner_account(bucket) is None:
        raise ResourceError(f"S3 bucket {bucket} does not exist! (S3BucketDoesNotExistException)")
    arn = f"arn:aws:cloudtrail:{get_region()}:{get_account_id()}:trail/{name}"
    if not may_deliver(bucket, f"{log_prefix(properties)}/CloudTrail/probe", arn):
        raise ResourceError(
            f"Incorrect S3 bucket policy is detected for bucket: {bucket} "
            "(InsufficientS3BucketPolicyException)"
        )
    if "KMSKeyId" in properties:
        key = kms._resolve_key(require_key(properties["KMSKeyId"]))
        context = {"aws:sourcearn": arn, "kms:encryptioncontext:aws:cloudtrail:arn": arn}
        if not service_roles.admits(key.get("Policy"), SERVICE, "kms:GenerateDataKey", key["Arn"], context):
            raise ResourceError(
                f"Insufficient permissions to access S3 bucket {bucket} or KMS key {key['Arn']}. "
                "(InsufficientEncryptionPolicyException)"
            )


def log_prefix(trail: Properties) -> str:
    prefix = f"{trail['S3KeyPrefix']}/" if trail.get("S3KeyPrefix") else ""
    return f"{prefix}AWSLogs/{get_account_id()}"


def may_deliver(bucket: str, key: str, trail_arn: str) -> bool:
    """The bucket's policy lets CloudTrail read its ACL and put the file."""
    policy = s3._bucket_policies.get(bucket)
    context = {
        "aws:sourcearn": trail_arn,
        "aws:sourceaccount": get_account_id(),
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    where = f"arn:aws:s3:::{bucket}"
    return service_roles.admits(policy, SERVICE, "s3:GetBucketAcl", where, context) and service_roles.admits(
        policy, SERVICE, "s3:PutObject", f"{where}/{key}", context
    )


# --- events and their delivery ----------------------------------------------------------------------------

_digests = Digests()


def deliver_all(seconds: float) -> None:
    now = time.time()
    for (account, region, _), trail in cloudtrail._trails.all_items():
        if (
            not trail.get("IsLogging")
            or now - trail.get("_delivered", trail.get("_StartedAt", now)) < seconds
        ):
            continue
        trail["_delivered"] = now
        refused = deliver(
            trail, account, region, _events_since(trail, account, region), _digests, may_deliver
        )
        trail["_refused"] = refused


def _events_since(trail: Properties, account: str, home: str) -> dict[str, list[Properties]]:
    """By region, what was not delivered yet; all regions for a multi-Region trail."""
    seen: dict[str, str] = trail.setdefault("_last", {})
    found = {}
    for (owner, region, _), events in cloudtrail._events.all_items():
        if owner != account or (region != home and not trail["IsMultiRegionTrail"]):
            continue
        fresh = []
        for event in reversed(events):
            if event["EventId"] == seen.get(region) or event["EventTime"] < trail["_StartedAt"]:
                break
            fresh.append(json.loads(event["CloudTrailEvent"]))
        if fresh:
            seen[region] = fresh[0]["eventID"]
            found[region] = fresh[::-1]
    return found


def _as_caller(inherited: Callable[..., None]) -> Callable[..., None]:
    """Management events only, and who really called: MiniStack calls everybody a user named by the key."""

    def record(*arguments: Any, **more: Any) -> None:
        name, service = str(more["event_name"]), f"{more['service']}.amazonaws.com"
        if name in _DATA_ANYWHERE or (name in _DATA_EVENTS and service in _DATA_SERVICES):
            return
        inherited(*arguments, **more)
        event = cloudtrail._get_event_queue()[-1]
        document = json.loads(event["CloudTrailEvent"])
        document["userIdentity"] = identity(caller_arn(), str(more.get("access_key_id") or ""))
        event["CloudTrailEvent"] = json.dumps(document)
        event["Username"] = document["userIdentity"]["arn"].rpartition("/")[2]

    return record


def identity(arn: str, access_key: str) -> Properties:
    """As `userIdentity` of a record says who it was."""
    kind = {"assumed-role": "AssumedRole", "user": "IAMUser"}.get(
        arn.rpartition(":")[2].split("/")[0], "Root"
    )
    return {"type": kind, "arn": arn, "accountId": get_account_id(), "accessKeyId": access_key}


def _with_delivery(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def status(request: Properties) -> Any:
        code, headers, body = inherited(request)
        _, _, trail = (
            cloudtrail._find_visible_trail(str(request.get("Name", ""))) if code < 400 else ("", "", None)
        )
        if not trail:
            return code, headers, body
        answer = json.loads(body)
        for name in ("LatestDeliveryTime", "LatestDigestDeliveryTime", "LatestCloudWatchLogsDeliveryTime"):
            if f"_{name}" in trail:
                answer[name] = trail[f"_{name}"]
        if trail.get("_refused"):
            answer["LatestDeliveryError"] = trail["_refused"]
        if trail.get("_log_refused"):
            answer["LatestCloudWatchLogsDeliveryError"] = trail["_log_refused"]
        return code, headers, json.dumps(answer).encode()

    return status


def list_public_keys(request: Properties) -> Any:
    return cloudtrail._ok({"PublicKeyList": [_digests.public_key()]})
