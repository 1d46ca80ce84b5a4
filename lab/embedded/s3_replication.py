"""S3 replication with what MiniStack's leaves out: the role and keys it needs, locks of copies, metrics.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html: a role that
S3 may assume reads the object with its tags and lock, decrypts it, and replicates it to the destination,
where it is encrypted by the destination's own key. An object that could not be copied says `FAILED`. Copies
are made while the object is written; it says `PENDING` only while there is no way to the other region.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html: a copy keeps its retention.
"""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch, kms, s3

from lab.embedded import copies, service_roles
from lab.embedded import s3_documents as documents
from lab.embedded.handlers import Properties, ResourceError

_SERVICE = "s3.amazonaws.com"
_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_SSE_HEADER = "x-amz-server-side-encryption"
_READ = ("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging")
_READ_LOCK = ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
_WRITE = ("s3:ReplicateObject", "s3:ReplicateTags")

failures: dict[tuple[str, str], str] = {}
"""Why the latest copy of a bucket's object could not be made; S3 itself only says FAILED."""


def install() -> None:
    s3._maybe_replicate = _as_the_role_may(s3._maybe_replicate)
    s3._apply_object_lock_from_headers = _carrying_locks(s3._apply_object_lock_from_headers)
    s3._record_object_version = _locking_every_version(s3._record_object_version)
    s3._put_bucket_replication = _refusing(s3._put_bucket_replication)


def check(properties: Properties) -> None:
    """What S3 refuses to configure. Raises ResourceError."""
    configuration = properties.get("ReplicationConfiguration")
    locked = bool(properties.get("ObjectLockEnabled"))
    for rule in documents.rules(configuration, "Rules"):
        refusal = _refusal(str(rule["Destination"]["Bucket"]), source_locked=locked)
        if refusal:
            raise ResourceError(f"{refusal} (InvalidRequest)")


def _refusal(destination: str, *, source_locked: bool) -> str | None:
    name = destination.rpartition(":")[2]
    if s3._bucket_owner_account(name) is None:
        return "Destination bucket must exist."
    if source_locked and not s3._bucket_object_lock.get(name):
        return (
            "Destination bucket must have Object Lock enabled when the source bucket has Object Lock enabled."
        )
    return None


def _refusing(inherited: Callable[[str, bytes], Any]) -> Callable[[str, bytes], Any]:
    def put(bucket: str, body: bytes) -> Any:
        locked = bool(s3._bucket_object_lock.get(bucket))
        for destination in re.findall(r"<Bucket>([^<]+)</Bucket>", body.decode()):
            refusal = _refusal(destination, source_locked=locked)
            if refusal:
                return s3._error("InvalidRequest", refusal, 400, f"/{bucket}")
        return inherited(bucket, body)

    return put


# --- the copy ---------------------------------------------------------------------------------------------


def _as_the_role_may(inherited: Callable[..., None]) -> Callable[..., None]:
    def replicate(bucket: str, key: str, obj: dict[str, Any], data: Any, tags: Any = None) -> None:
        rule, role = s3._replication_rule_for(bucket, key, tags)
        if rule is None:
            return
        target = str(rule["Destination"]["Bucket"]).rpartition(":")[2]
        source_key = obj["preserved_headers"].get(_KEY_HEADER)
        if source_key and _option(rule, "SourceSelectionCriteria", "SseKmsEncryptedObjects") != "Enabled":
            return  # without the option S3 leaves objects under KMS keys where they are
        obj["replication_status"] = "PENDING"
        copying = partial(_copy, inherited, bucket, key, obj, data, tags, rule, role, time.time())
        home, peer = str(s3.bucket_region(bucket)), str(s3._replication_destination_region(target))
        copies.make(home, peer, copying)

    return replicate


def _copy(
    inherited: Callable[..., None],
    bucket: str,
    key: str,
    obj: dict[str, Any],
    data: Any,
    tags: Any,
    rule: dict[str, Any],
    role: str,
    since: float,
) -> None:
    """Before the version of the object is recorded or, where it had to wait, long after."""
    destination = rule["Destination"]
    target = str(destination["Bucket"]).rpartition(":")[2]
    obstacle = _obstacle(bucket, target, key, role, obj["preserved_headers"].get(_KEY_HEADER), destination)
    if obstacle:
        failures[bucket, key] = obstacle
        obj["replication_status"] = "FAILED"
    else:
        failures.pop((bucket, key), None)
        inherited(bucket, key, obj, data, tags)
        _encrypt(obj, target, key, destination)
    version = obj.get("version_id")
    for recorded in s3._object_versions.get((bucket, key), ()):
        if version and recorded["version_id"] == version:
            recorded["replication_status"] = obj["replication_status"]
            _carry_locks(bucket, key, version, obj)
            _carry_tags(key, tags, obj)
    late = time.time() - since
    _measure(bucket, target, rule, late if late > 1 else 0.0, failed=obj["replication_status"] == "FAILED")


def _obstacle(
    bucket: str, target: str, key: str, role: str, source_key: str | None, destination: dict[str, Any]
) -> str | None:
    source, copy = f"arn:aws:s3:::{bucket}/{key}", f"arn:aws:s3:::{target}/{key}"
    read = _READ + (_READ_LOCK if s3._bucket_object_lock.get(bucket) else ())
    actions = [
        ("s3:GetReplicationConfiguration", f"arn:aws:s3:::{bucket}"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        *((action, source) for action in read),
        *((action, copy) for action in _WRITE),
    ]
    obstacle = service_roles.lacking(role, _SERVICE, actions)
    if obstacle:
        return obstacle
    for needed, action, reference, home in (
        (source_key, "kms:Decrypt", source_key, s3.bucket_region(bucket)),
        (
            _replica_key(destination),
            "kms:Encrypt",
            _replica_key(destination),
            s3._replication_destination_region(target),
        ),
    ):
        if not needed:
            continue
        with request_scope(get_account_id(), str(home)):
            if reason := _key_obstacle(role, action, str(reference), str(home), bucket, target):
                return reason
    return None


def _key_obstacle(
    role: str, action: str, reference: str, region: str, bucket: str, target: str
) -> str | None:
    key = kms._resolve_key(reference)
    if key is None or key["KeyState"] != "Enabled":
        return f"key {reference} is not usable in {region}"
    name = bucket if action == "kms:Decrypt" else target
    context = {"kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{name}"}
    arn, keys = service_roles.key_via("s3", region, reference, **context)
    return service_roles.lacking(role, _SERVICE, [(action, arn)], keys)


def _replica_key(destination: dict[str, Any]) -> str | None:
    return (destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")


def _encrypt(obj: dict[str, Any], target: str, key: str, destination: dict[str, Any]) -> None:
    """A copy is under the key the rule names, else under what the destination does by default."""
    if obj.get("replication_status") != "COMPLETED":
        return
    reference = _replica_key(destination)
    headers = s3._buckets[target]["objects"][key]["preserved_headers"]  # the version's as well
    if reference:
        headers.update({_SSE_HEADER: "aws:kms", _KEY_HEADER: reference})
    elif _KEY_HEADER not in headers:
        headers.update(s3._bucket_default_sse_headers(target))


def _option(rule: dict[str, Any], *names: str) -> str | None:
    value: Any = rule
    for name in names:
        value = (value or {}).get(name)
    return (value or {}).get("Status")


# --- the lock ---------------------------------------------------------------------------------------------


def _carrying_locks(inherited: Callable[..., None]) -> Callable[..., None]:
    def apply(bucket: str, key: str, headers: dict[str, str], version_id: str | None) -> None:
        inherited(bucket, key, headers, version_id)
        obj = (s3._buckets.get(bucket) or {}).get("objects", {}).get(key) or {}
        if obj.get("version_id") == version_id:
            _carry_locks(bucket, key, version_id, obj)

    return apply


def _carry_locks(bucket: str, key: str, version_id: str | None, obj: dict[str, Any]) -> None:
    if obj.get("_replica"):
        target, replica_version, _ = obj["_replica"]
        for locks in (s3._object_retention, s3._object_legal_hold):
            if (bucket, key, version_id) in locks:
                locks[target, key, replica_version] = locks[bucket, key, version_id]


def _carry_tags(key: str, tags: dict[str, str] | None, obj: dict[str, Any]) -> None:
    if tags and obj.get("_replica"):
        target, replica_version, _ = obj["_replica"]
        s3._object_tags[target, key, replica_version] = dict(tags)


def _locking_every_version(inherited: Callable[..., str | None]) -> Callable[..., str | None]:
    """However a version comes to be (put, copy, parts, replication), its bucket's default retention holds."""

    def record(bucket: str, key: str, *rest: Any) -> str | None:
        version_id = inherited(bucket, key, *rest)
        if version_id and s3._bucket_object_lock.get(bucket):
            s3._apply_object_lock_from_headers(bucket, key, {}, version_id)
        return version_id

    return record


# --- what CloudWatch hears --------------------------------------------------------------------------------


def _measure(bucket: str, target: str, rule: dict[str, Any], late: float, *, failed: bool) -> None:
    """What is pending and how late it is, where the copy goes; what failed, where it comes from.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html
    """
    if _option(rule, "Destination", "Metrics") != "Enabled":
        return
    dimensions = {"SourceBucket": bucket, "DestinationBucket": target, "RuleId": rule["ID"]}
    home, peer = s3.bucket_region(bucket), s3._replication_destination_region(target)
    for region, name, value, unit in (
        (peer, "ReplicationLatency", late, "Seconds"),
        (peer, "BytesPendingReplication", 0.0, "Bytes"),
        (peer, "OperationsPendingReplication", 0.0, "Count"),
        (home, "OperationsFailedReplication", float(failed), "Count"),
    ):
        with request_scope(get_account_id(), str(region)):
            cloudwatch._store_datum("AWS/S3", name, dimensions, time.time(), unit, value, None, None, None)
