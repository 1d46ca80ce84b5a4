"""`AWS::S3::Bucket` with all the configuration our buckets have, put through the S3 API so that it describes
it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
A bucket is deleted only when it is empty, as on AWS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.services import s3

from lab.embedded import s3_access_logs, s3_encryption, s3_replication
from lab.embedded import s3_documents as documents
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
    s3_encryption.install()
    s3_replication.install()
    s3_access_logs.install()


def check(properties: Properties) -> None:
    """What S3 refuses. Raises ResourceError."""
    for rule in documents.rules(properties.get("BucketEncryption"), "ServerSideEncryptionConfiguration"):
        default = rule.get("ServerSideEncryptionByDefault", {})
        if "KMSMasterKeyID" in default:
            if default["SSEAlgorithm"] == "AES256":
                raise ResourceError(
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
                    "aws:kms:dsse (InvalidArgument)"
                )
            require_key(default["KMSMasterKeyID"])
    s3_access_logs.check(properties.get("LoggingConfiguration"))
    s3_replication.check(properties)


def _apply(name: str, properties: Properties, old: Properties) -> None:
    if properties.get("ObjectLockEnabled") and not old.get("ObjectLockEnabled"):
        # Object Lock brings versioning with it, and neither can be taken back.
        s3._bucket_object_lock.setdefault(name, {"enabled": True, "default_retention": None})
        s3._bucket_versioning[name] = "Enabled"
    if "VersioningConfiguration" in properties or "VersioningConfiguration" in old:
        status = (properties.get("VersioningConfiguration") or {"Status": "Suspended"})["Status"]
        checked(
            s3._put_bucket_versioning(
                name, documents.document("VersioningConfiguration", documents.leaf("Status", status))
            )
        )
    for key, configuration in _CONFIGURATIONS.items():
        if properties.get(key) == old.get(key):
            continue
        if key in properties:
            checked(configuration.put(name, configuration.render(properties[key]).encode()))
        else:
            checked(configuration.remove(name))
    s3._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in tag_list(properties.get("Tags"))}


def _stop_logging(name: str) -> Any:
    return s3._put_bucket_logging(name, documents.document("BucketLoggingStatus", ""))


def _forget_retention(name: str) -> Any:
    return s3._put_object_lock_configuration(name, documents.object_lock(None).encode())


_CONFIGURATIONS = {
    "BucketEncryption": _Configuration(
        documents.encryption, s3._put_bucket_encryption, s3._delete_bucket_encryption
    ),
    "LifecycleConfiguration": _Configuration(
        documents.lifecycle, s3._put_bucket_lifecycle, s3._delete_bucket_lifecycle
    ),
    "OwnershipControls": _Configuration(
        documents.ownership, s3._put_bucket_ownership_controls, s3._delete_bucket_ownership_controls
    ),
    "ObjectLockConfiguration": _Configuration(
        documents.object_lock, s3._put_object_lock_configuration, _forget_retention
    ),
    "ReplicationConfiguration": _Configuration(
        documents.replication, s3._put_bucket_replication, s3._delete_bucket_replication
    ),
    "LoggingConfiguration": _Configuration(documents.logging, s3._put_bucket_logging, _stop_logging),
}
