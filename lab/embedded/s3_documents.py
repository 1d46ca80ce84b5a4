"""The XML documents of S3's configuration calls, rendered from CloudFormation's properties.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from ministack.services import s3


def document(tag: str, inside: str) -> bytes:
    return f'<{tag} xmlns="{s3.S3_NS}">{inside}</{tag}>'.encode()


def node(tag: str, inside: str) -> str:
    return f"<{tag}>{inside}</{tag}>"


def leaf(tag: str, value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return node(tag, escape(text))


def leaves(source: Mapping[str, Any], *names: str) -> str:
    return "".join(leaf(name, source.get(name)) for name in names)


def rules(configuration: Mapping[str, Any] | None, key: str) -> list[Any]:
    return list((configuration or {}).get(key, ()))


def encryption(value: Mapping[str, Any]) -> str:
    rendered = ""
    for rule in rules(value, "ServerSideEncryptionConfiguration"):
        default = rule.get("ServerSideEncryptionByDefault", {})
        inside = node("ApplyServerSideEncryptionByDefault", leaves(default, "SSEAlgorithm", "KMSMasterKeyID"))
        rendered += node("Rule", inside + leaf("BucketKeyEnabled", rule.get("BucketKeyEnabled", False)))
    return document("ServerSideEncryptionConfiguration", rendered).decode()


def lifecycle(value: Mapping[str, Any]) -> str:
    return document("LifecycleConfiguration", "".join(map(lifecycle_rule, rules(value, "Rules")))).decode()


def lifecycle_rule(rule: Mapping[str, Any]) -> str:
    expiration = leaf("Days", rule.get("ExpirationInDays")) + leaf("Date", rule.get("ExpirationDate"))
    expiration += leaf("ExpiredObjectDeleteMarker", rule.get("ExpiredObjectDeleteMarker"))
    noncurrent = rule.get("NoncurrentVersionExpiration") or {
        "NoncurrentDays": rule.get("NoncurrentVersionExpirationInDays")
    }
    noncurrent_xml = leaves(noncurrent, "NoncurrentDays", "NewerNoncurrentVersions")
    moves = [*rule.get("Transitions", ()), *([rule["Transition"]] if "Transition" in rule else [])]
    transitions = "".join(
        node(
            "Transition",
            leaf("Days", move.get("TransitionInDays"))
            + leaf("Date", move.get("TransitionDate"))
            + leaf("StorageClass", move["StorageClass"]),
        )
        for move in moves
    )
    later = "".join(
        node(
            "NoncurrentVersionTransition",
            leaf("NoncurrentDays", move.get("TransitionInDays"))
            + leaves(move, "NewerNoncurrentVersions", "StorageClass"),
        )
        for move in rule.get("NoncurrentVersionTransitions", ())
    )
    unfinished = rule.get("AbortIncompleteMultipartUpload")
    return node(
        "Rule",
        leaf("ID", rule.get("Id"))
        + node("Filter", leaf("Prefix", rule.get("Prefix", "")))
        + leaf("Status", rule["Status"])
        + transitions
        + later
        + (node("Expiration", expiration) if expiration else "")
        + (node("NoncurrentVersionExpiration", noncurrent_xml) if noncurrent_xml else "")
        + (
            node("AbortIncompleteMultipartUpload", leaves(unfinished, "DaysAfterInitiation"))
            if unfinished
            else ""
        ),
    )


def ownership(value: Mapping[str, Any]) -> str:
    inside = "".join(node("Rule", leaves(rule, "ObjectOwnership")) for rule in rules(value, "Rules"))
    return document("OwnershipControls", inside).decode()


def logging(value: Mapping[str, Any]) -> str:
    target = leaf("TargetBucket", value.get("DestinationBucketName"))
    prefix = leaf("TargetPrefix", value.get("LogFilePrefix", ""))
    keys = value.get("TargetObjectKeyFormat") or {}
    partitioned = keys.get("PartitionedPrefix")
    form = ""
    if partitioned is not None:
        form = node("PartitionedPrefix", leaves(partitioned, "PartitionDateSource"))
    elif "SimplePrefix" in keys:
        form = node("SimplePrefix", "")
    form = node("TargetObjectKeyFormat", form) if form else ""
    return document("BucketLoggingStatus", node("LoggingEnabled", target + prefix + form)).decode()


def object_lock(value: Mapping[str, Any] | None) -> str:
    retention = ((value or {}).get("Rule") or {}).get("DefaultRetention") or {}
    rule = node("Rule", node("DefaultRetention", leaves(retention, "Mode", "Days", "Years")))
    return document(
        "ObjectLockConfiguration", leaf("ObjectLockEnabled", "Enabled") + (rule if retention else "")
    ).decode()


def replication(value: Mapping[str, Any]) -> str:
    inside = leaf("Role", value["Role"]) + "".join(map(replication_rule, rules(value, "Rules")))
    return document("ReplicationConfiguration", inside).decode()


def replication_rule(rule: Mapping[str, Any]) -> str:
    selection = "".join(
        node(name, leaves(item, "Status"))
        for name, item in (rule.get("SourceSelectionCriteria") or {}).items()
    )
    parts = [
        leaves(rule, "Id").replace("<Id>", "<ID>").replace("</Id>", "</ID>"),
        leaves(rule, "Priority", "Prefix"),
        node("Filter", _replication_filter(rule["Filter"])) if "Filter" in rule else "",
        leaves(rule, "Status"),
        node("SourceSelectionCriteria", selection) if selection else "",
        _replication_destination(rule["Destination"]),
    ]
    if "DeleteMarkerReplication" in rule:
        parts.append(node("DeleteMarkerReplication", leaves(rule["DeleteMarkerReplication"], "Status")))
    return node("Rule", "".join(parts))


def _replication_filter(value: Mapping[str, Any]) -> str:
    both = value.get("And")
    if both:
        tags = "".join(_tag(tag) for tag in both.get("TagFilters", ()))
        return node("And", leaves(both, "Prefix") + tags)
    return leaves(value, "Prefix") + (_tag(value["TagFilter"]) if "TagFilter" in value else "")


def _tag(value: Mapping[str, Any]) -> str:
    return node("Tag", leaves(value, "Key", "Value"))


def _replication_destination(value: Mapping[str, Any]) -> str:
    parts = [leaves(value, "Account", "Bucket", "StorageClass")]
    if "AccessControlTranslation" in value:
        parts.append(node("AccessControlTranslation", leaves(value["AccessControlTranslation"], "Owner")))
    if "EncryptionConfiguration" in value:
        key = leaf("ReplicaKmsKeyID", value["EncryptionConfiguration"]["ReplicaKmsKeyID"])
        parts.append(node("EncryptionConfiguration", key))
    for name, limit in (("Metrics", "EventThreshold"), ("ReplicationTime", "Time")):
        if name in value:
            minutes = node(limit, leaves(value[name][limit], "Minutes")) if limit in value[name] else ""
            parts.append(node(name, leaves(value[name], "Status") + minutes))
    return node("Destination", "".join(parts))
