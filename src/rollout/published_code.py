"""Custom::PublishedCode: puts the function zips this package carries into each region's code bucket.

Only ever adds keys, so a rollback still finds its code. A key holds the zip's own SHA-256, so what is there
already is the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
from botocore.exceptions import ClientError

from adapters.aws import status
from adapters.custom_resource import Failed, Request
from rollout.waiting import until_allowed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_NOT_FOUND: Final = 404
_PRECONDITION_FAILED: Final = 412

S3 = Callable[[str], "S3Client"]


def published_code(request: Request) -> Mapping[str, str]:
    return publish(request, _PACKAGE, lambda region: boto3.client("s3", region_name=region))


def publish(request: Request, package: Path, s3: S3, *, every: float = 5.0) -> Mapping[str, str]:
    keys = [str(key) for key in request.properties["Keys"]]
    for region, bucket in request.properties["Buckets"].items():
        until_allowed(
            partial(_fill, s3(region), bucket, keys, package),
            deadline=request.deadline,
            what=f"this function to be allowed to use bucket {bucket} in {region}, and its key",
            every=every,
        )
    return {"Keys": str(len(keys))}


def _fill(client: S3Client, bucket: str, keys: Iterable[str], package: Path) -> None:
    for key in keys:
        if not _is_there(client, bucket, key):
            _put(client, bucket, key, _zip(package, key))


def _is_there(client: S3Client, bucket: str, key: str) -> bool:
    """Only a 404 means no. Without s3:ListBucket a missing key answers 403: refused, not absent."""
    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if status(error) == _NOT_FOUND:
            return False
        raise
    return True


def _put(client: S3Client, bucket: str, key: str, content: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        client.put_object(Bucket=bucket, Key=key, Body=content, ChecksumSHA256=digest, IfNoneMatch="*")
    except ClientError as error:
        if status(error) != _PRECONDITION_FAILED:  # somebody else just put the same
            raise


def _zip(package: Path, key: str) -> bytes:
    path = (package / key).resolve()
    if not path.is_relative_to(package.resolve()) or not path.is_file():
        raise Failed(f"{key} is not in this function's package; build again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() not in key:
        raise Failed(f"{key} is not named by its own SHA-256; build again")
    return content
