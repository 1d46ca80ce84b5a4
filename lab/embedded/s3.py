"""`AWS::S3::Bucket` with all the configuration our buckets have, put through the S3 API so that it describes
it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
A bucket is deleted only when it is empty, as on AWS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from ministack.services import s3

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list
from lab.embedded.keys import require_key

TYPE = "AWS::S3::Bucket"


@dataclass(frozen=True, slots=True)
class _Configuration:
    """A property, the XML its API call takes, and the call; `remove` undoes it."""

    render: Callable[[Any], str]
    put: Callable[[str, bytes], Any]
    remove: Callable[[str], Any]


def register(handlers: Handlers) -> None:
    handler = handlers[TYPE]
    create, update = handler["create"], handler["update"]

    def create_bucket(logical_id: str, properties: Properties, stack_name: str) -> Created:
        check(properties)
        created: Created = create(logical_id, properties, stack_name)
        try:
            _apply(created[0], properties, old={})
        except ResourceError:
            handler["delete"](created[0], properties)
            raise
        return created

    def update_bucket(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        check(new)
        updated: Created = update(physical_id, old, new, *rest)
        _apply(updated[0], new, old)
        return updated

    def delete_bucket(physical_id: str, properties: Properties) -> None:
        if physical_id in s3._buckets:
            checked(s3._delete_bucket(physical_id))

    handler.update(create=create_bucket, update=update_bucket, delete=delete_bucket)


def check(properties: Properties) -> None:
    """What S3 refuses. Raises ResourceError."""
    for rule in _rules(properties.get("BucketEncryption"), "ServerSideEncryptionConfiguration"):
        default = rule.get("ServerSideEncryptionByDefault", {})
        if "KMSMasterKeyID" in default:
            if default["SSEAlgorithm"] == "AES256":
                raise ResourceError(
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
                    "aws:kms:dsse (InvalidArgument)"
                )
            require_key(default["KMSMasterKeyID"])
    target = (properties.get("LoggingConfiguration") or {}).get("DestinationBucketName")
    if target and s3._bucket_owner_account(target) is None:
        raise ResourceError("The target bucket for logging does not exist (InvalidTargetBucketForLogging)")


def _apply(name: str, properties: Properties, old: Properties) -> None:
    if "VersioningConfiguration" in properties or "VersioningConfiguration" in old:
        status = (properties.get("VersioningConfiguration") or {"Status": "Suspended"})["Status"]
        checked(
            s3._put_bucket_versioning(name, _document("VersioningConfiguration", _leaf("Status", status)))
        )
    for key, configuration in _CONFIGURATIONS.items():
        if properties.get(key) == old.get(key):
            continue
        if key in properties:
            checked(configuration.put(name, configuration.render(properties[key]).encode()))
        else:
            checked(configuration.remove(name))
    s3._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in tag_list(properties.get("Tags"))}


# --- the API's XML ----------------------------------------------------------------------------------------


def _document(tag: str, inside: str) -> bytes:
    return f'<{tag} xmlns="{s3.S3_NS}">{inside}</{tag}>'.encode()


def _node(tag: str, inside: str) -> str:
    return f"<{tag}>{inside}</{tag}>"


def _leaf(tag: str, value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _node(tag, escape(text))


def _leaves(source: Mapping[str, Any], *names: str) -> str:
    return "".join(_leaf(name, source.get(name)) for name in names)


def _rules(configuration: Mapping[str, Any] | None, key: str) -> list[Any]:
    return list((configuration or {}).get(key, ()))


def _encryption(value: Mapping[str, Any]) -> str:
    rules = ""
    for rule in _rules(value, "ServerSideEncryptionConfiguration"):
        default = rule.get("ServerSideEncryptionByDefault", {})
        inside = _node(
            "ApplyServerSideEncryptionByDefault", _leaves(default, "SSEAlgorithm", "KMSMasterKeyID")
        )
        rules += _node("Rule", inside + _leaf("BucketKeyEnabled", rule.get("BucketKeyEnabled", False)))
    return _document("ServerSideEncryptionConfiguration", rules).decode()


def _lifecycle(value: Mapping[str, Any]) -> str:
    return _document("LifecycleConfiguration", "".join(map(_lifecycle_rule, _rules(value, "Rules")))).decode()


def _lifecycle_rule(rule: Mapping[str, Any]) -> str:
    expiration = _leaf("Days", rule.get("ExpirationInDays")) + _leaf("Date", rule.get("ExpirationDate"))
    expiration += _leaf("ExpiredObjectDeleteMarker", rule.get("ExpiredObjectDeleteMarker"))
    noncurrent = rule.get("NoncurrentVersionExpiration") or {
        "NoncurrentDays": rule.get("NoncurrentVersionExpirationInDays")
    }
    noncurrent_xml = _leaves(noncurrent, "NoncurrentDays", "NewerNoncurrentVersions")
    moves = [*rule.get("Transitions", ()), *([rule["Transition"]] if "Transition" in rule else [])]
    transitions = "".join(
        _node(
            "Transition",
            _leaf("Days", move.get("TransitionInDays"))
            + _leaf("Date", move.get("TransitionDate"))
            + _leaf("StorageClass", move["StorageClass"]),
        )
        for move in moves
    )
    later = "".join(
        _node(
            "NoncurrentVersionTransition",
            _leaf("NoncurrentDays", move.get("TransitionInDays"))
            + _leaves(move, "NewerNoncurrentVersions", "StorageClass"),
        )
        for move in rule.get("NoncurrentVersionTransitions", ())
    )
    unfinished = rule.get("AbortIncompleteMultipartUpload")
    return _node(
        "Rule",
        _leaf("ID", rule.get("Id"))
        + _node("Filter", _leaf("Prefix", rule.get("Prefix", "")))
        + _leaf("Status", rule["Status"])
        + transitions
        + later
        + (_node("Expiration", expiration) if expiration else "")
        + (_node("NoncurrentVersionExpiration", noncurrent_xml) if noncurrent_xml else "")
        + (
            _node("AbortIncompleteMultipartUpload", _leaves(unfinished, "DaysAfterInitiation"))
            if unfinished
            else ""
        ),
    )


def _ownership(value: Mapping[str, Any]) -> str:
    rules = "".join(_node("Rule", _leaves(rule, "ObjectOwnership")) for rule in _rules(value, "Rules"))
    return _document("OwnershipControls", rules).decode()


def _logging(value: Mapping[str, Any]) -> str:
    target = _leaf("TargetBucket", value.get("DestinationBucketName"))
    prefix = _leaf("TargetPrefix", value.get("LogFilePrefix", ""))
    return _document("BucketLoggingStatus", _node("LoggingEnabled", target + prefix)).decode()


def _stop_logging(name: str) -> Any:
    return s3._put_bucket_logging(name, _document("BucketLoggingStatus", ""))


_CONFIGURATIONS = {
    "BucketEncryption": _Configuration(_encryption, s3._put_bucket_encryption, s3._delete_bucket_encryption),
    "LifecycleConfiguration": _Configuration(
        _lifecycle, s3._put_bucket_lifecycle, s3._delete_bucket_lifecycle
    ),
    "OwnershipControls": _Configuration(
        _ownership, s3._put_bucket_ownership_controls, s3._delete_bucket_ownership_controls
    ),
    "LoggingConfiguration": _Configuration(_logging, s3._put_bucket_logging, _stop_logging),
}
