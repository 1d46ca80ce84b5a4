"""S3 server access logs: a line for each request to a bucket that is logged, delivered to its target bucket.

Format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html. Delivery:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html: the target's policy
must let `logging.s3.amazonaws.com` put objects, and its default encryption must be S3's own keys. S3 delivers
within hours and without a guarantee; here it takes a second.
"""

import re
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import s3

from lab.embedded import deliveries, service_roles
from lab.embedded.handlers import ResourceError

_SERVICE = "logging.s3.amazonaws.com"
# Where the resource of an operation is not the name of its subresource:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html#log-record-fields
_RESOURCES = {
    "policy": "BUCKETPOLICY",
    "logging": "LOGGING_STATUS",
    "object-lock": "OBJECT_LOCK_CONFIGURATION",
    "versions": "BUCKETVERSIONS",
}
_pending: dict[str, list[str]] = defaultdict(list)
"""Lines by source bucket."""


def install() -> None:
    s3.handle_request = _logged(s3.handle_request)
    deliveries.add(deliver)


def check(configuration: Mapping[str, Any] | None) -> None:
    """What S3 refuses to configure. Raises ResourceError."""
    target = (configuration or {}).get("DestinationBucketName")
    if target and s3._bucket_owner_account(target) is None:
        raise ResourceError("The target bucket for logging does not exist (InvalidTargetBucketForLogging)")
    if target and s3.bucket_region(target) != get_region():
        raise ResourceError(
            "Cross S3 location logging not allowed. Buckets in one geographic location cannot log "
            "information to a bucket in another location (CrossLocationLoggingProhibitted)"
        )


def _logged(inherited: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle(
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        *rest: Any,
        **more: Any,
    ) -> Any:
        began = time.monotonic()
        response = await inherited(method, path, headers, body, query, *rest, **more)
        bucket, key = s3._parse_bucket_key(path, headers)
        if bucket and _target(bucket) and not more.get("internal"):
            ms = round((time.monotonic() - began) * 1000)
            _pending[bucket].append(_line(method, path, headers, body, query, response, ms, bucket, key))
        return response

    return handle


def _line(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, Any],
    response: Any,
    ms: int,
    bucket: str,
    key: str,
) -> str:
    status, answered, answer = response
    text = answer.decode(errors="replace") if isinstance(answer, bytes) and status >= 400 else ""
    code = re.search("<Code>(.*?)</Code>", text)
    stored = (s3._buckets.get(bucket) or {}).get("objects", {}).get(key) if key else None
    uri = quote(path) + (f"?{urlencode(query, doseq=True)}" if query else "")
    fields = [
        s3._canonical_owner_id(),
        bucket,
        time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime()),
        iam_evaluator._request_origin.get()[0] or "-",
        iam_evaluator.caller_arn() or "-",
        answered.get("x-amz-request-id", "-").replace("-", "")[:16].upper(),
        f"REST.{method}.{operation(key, query)}",
        quote(key, safe="/") or "-",
        f'"{method} {uri} HTTP/1.1"',
        status,
        code[1] if code else "-",
        len(answer) or "-",
        (stored or {}).get("size", len(body) or "-"),
        ms,
        ms,
        '"-"',
        f'"{headers.get("user-agent", "-")}"',
        answered.get("x-amz-version-id", "-"),
        answered.get("x-amz-id-2", "-"),
        "SigV4",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "AuthHeader" if headers.get("authorization") else "QueryString",
        headers.get("host", "-"),
        "TLSv1.2",
        "-",
        "-",
        s3.bucket_region(bucket),
    ]
    return " ".join(str(field) for field in fields)


def operation(key: str, query: Mapping[str, Any]) -> str:
    for name in query:
        if name in _RESOURCES:
            return _RESOURCES[name]
        if name in ("versioning", "encryption", "lifecycle", "replication", "acl", "tagging", "uploads"):
            return name.upper()
    return "OBJECT" if key else "BUCKET"


# --- delivery ---------------------------------------------------------------------------------------------


def deliver() -> None:
    """One object for each bucket that had requests. What may not be delivered is lost, as on AWS."""
    for bucket in [name for name, lines in _pending.items() if lines]:
        lines = _pending.pop(bucket)
        found = _target(bucket)
        region = s3.bucket_region(bucket)
        if found is None or region is None:
            continue
        target, prefix, partition = found
        name = _key(bucket, region, prefix, partition)
        with request_scope(get_account_id(), region):
            if may_deliver(bucket, target, name):
                s3._put_object(target, name, ("\n".join(lines) + "\n").encode(), {})


def may_deliver(bucket: str, target: str, name: str) -> bool:
    if s3.bucket_region(target) != s3.bucket_region(bucket):
        return False
    if "x-amz-server-side-encryption-aws-kms-key-id" in s3._bucket_default_sse_headers(target):
        return False
    context = {"aws:sourcearn": f"arn:aws:s3:::{bucket}", "aws:sourceaccount": get_account_id()}
    resource = f"arn:aws:s3:::{target}/{name}"
    return service_roles.admits(s3._bucket_policies.get(target), _SERVICE, "s3:PutObject", resource, context)


def _target(bucket: str) -> tuple[str, str, str | None] | None:
    """Target bucket, prefix, and by which date keys are partitioned; None when the bucket is not logged."""
    document = s3._bucket_logging_config.get(bucket)
    if not document:
        return None
    found = {
        name: re.search(f"<{name}>(.*?)</{name}>", document)
        for name in ("TargetBucket", "TargetPrefix", "PartitionDateSource")
    }
    if not found["TargetBucket"]:
        return None
    prefix, partition = found["TargetPrefix"], found["PartitionDateSource"]
    return found["TargetBucket"][1], prefix[1] if prefix else "", partition[1] if partition else None


def _key(bucket: str, region: str, prefix: str, partition: str | None) -> str:
    now = time.gmtime()
    unique = time.strftime("%Y-%m-%d-%H-%M-%S-", now) + uuid.uuid4().hex[:16].upper()
    if partition is None:
        return prefix + unique
    day = time.strftime("%Y/%m/%d", now)
    return f"{prefix}{get_account_id()}/{region}/{bucket}/{day}/{unique}"
