"""Custom::EmptiedBuckets: in a test environment, takes everything out of its buckets before their stacks go.

CloudFormation deletes no bucket that holds anything. Where something is to be kept nobody declares this
resource, and the function's role lets it delete nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import ClientError

from adapters.aws import code
from adapters.custom_resource import Failed, Request

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GONE: Final = "NoSuchBucket"

S3 = Callable[[str], "S3Client"]


def emptied_buckets(request: Request) -> Mapping[str, str]:
    if request.action != "Delete":
        return {}
    return empty(request, lambda region: boto3.client("s3", region_name=region))


def empty(request: Request, s3: S3) -> Mapping[str, str]:
    """`Buckets` maps regions to names. Access logs stop first: emptying would itself be logged."""
    buckets = [
        (s3(region), str(name)) for region, names in request.properties["Buckets"].items() for name in names
    ]
    there = [(client, name) for client, name in buckets if _stops_logging(client, name)]
    return {"Deleted": str(sum(_empty(client, name) for client, name in there))}


def _stops_logging(client: S3Client, bucket: str) -> bool:
    """No when the bucket went with a stack that was deleted before."""
    try:
        client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    except ClientError as error:
        if code(error) != _GONE:
            raise
        return False
    return True


def _empty(client: S3Client, bucket: str) -> int:
    """How many versions and delete markers there were."""
    deleted = 0
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not versions:
            continue
        answer = client.delete_objects(
            Bucket=bucket,
            Delete={
                "Objects": [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions],
                "Quiet": True,
            },
        )
        if errors := answer.get("Errors"):
            raise Failed(f"{bucket}: {errors[0].get('Key')} stays: {errors[0].get('Message')}")
        deleted += len(versions)
    return deleted
