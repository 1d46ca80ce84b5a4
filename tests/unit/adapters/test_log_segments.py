"""Segments in a bucket that keeps every version, with what may happen to an object there."""

import gzip
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from adapters.log_archive import S3Archive
from adapters.log_segments import S3Segments, key
from failover.errors import Unavailable
from payments.errors import LogDiverged
from payments.transaction_log import compressed, decompressed
from tests.unit.adapters.conftest import EmbeddedAws
from tests.unit.adapters.fakes import refused
from tests.unit.payments.test_transaction_log import SECOND, SEGMENT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def client(embedded_aws: EmbeddedAws) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=embedded_aws.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def bucket(client: "S3Client") -> str:
    name = f"log-{uuid4().hex}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def versions(client: "S3Client", bucket: str) -> int:
    return len(client.list_object_versions(Bucket=bucket).get("Versions", ()))


def test_a_segment_is_put_once(client: "S3Client", bucket: str) -> None:
    segments = S3Segments(client, bucket)
    segments.put(SEGMENT)
    segments.put(SEGMENT)  # somebody else carried it out, or an answer got lost
    assert versions(client, bucket) == 1
    stored = client.get_object(Bucket=bucket, Key="segments/000000000001.ndjson.gz")["Body"].read()
    assert gzip.decompress(stored) == SEGMENT.lines


def test_the_same_lines_in_other_bytes_are_the_same_segment(client: "S3Client", bucket: str) -> None:
    other = gzip.compress(SEGMENT.lines, 1)
    assert other != compressed(SEGMENT.lines)
    client.put_object(Bucket=bucket, Key=key(1), Body=other)
    S3Segments(client, bucket).put(SEGMENT)
    assert versions(client, bucket) == 1


@pytest.mark.parametrize("other", [compressed(SECOND.lines), b"", compressed(SEGMENT.lines)[:-1]], ids=len)
def test_what_is_there_is_never_overwritten(client: "S3Client", bucket: str, other: bytes) -> None:
    client.put_object(Bucket=bucket, Key=key(1), Body=other)
    with pytest.raises(LogDiverged, match="segment 1: it was put before"):
        S3Segments(client, bucket).put(SEGMENT)
    assert versions(client, bucket) == 1


class _Refusing:
    """A bucket that answers every put, or every look, with an error."""

    def __init__(self, put: Exception, get: Exception | None = None) -> None:
        self._put, self._get = put, get
        self.asked: list[dict[str, Any]] = []

    def put_object(self, **request: Any) -> Any:
        self.asked.append(request)
        raise self._put

    def get_object(self, **_request: Any) -> Any:
        assert self._get is not None
        raise self._get


def put(client: Any) -> None:
    S3Segments(client, "bucket").put(SEGMENT)


def test_a_missing_answer_is_unavailable() -> None:
    for error in (
        refused("ConditionalRequestConflict", 409),
        refused("SlowDown", 503),
        refused("InternalError", 500),
        EndpointConnectionError(endpoint_url="https://bucket"),
    ):
        with pytest.raises(Unavailable):
            put(_Refusing(error))
    with pytest.raises(Unavailable):
        put(_Refusing(refused("PreconditionFailed", 412), refused("SlowDown", 503)))


def test_what_is_ours_to_repair_is_raised() -> None:
    for code in ("AccessDenied", "NoSuchBucket", "KMS.DisabledException"):
        with pytest.raises(ClientError, match=code):
            put(_Refusing(refused(code)))
    with pytest.raises(
        ClientError, match="AccessDenied"
    ):  # hidden by a marker, say: not looked at, not written
        put(_Refusing(refused("PreconditionFailed", 412), refused("AccessDenied", 403)))


def test_a_put_is_conditional_and_carries_a_checksum() -> None:
    bucket = _Refusing(refused("AccessDenied"))
    with pytest.raises(ClientError):
        put(bucket)
    (request,) = bucket.asked
    assert (request["IfNoneMatch"], request["ChecksumAlgorithm"]) == ("*", "SHA256")
    assert decompressed(request["Body"]) == SEGMENT.lines


def test_an_archive_lists_every_version_and_marker_of_segments_only(client: "S3Client", bucket: str) -> None:
    segments, archive = S3Segments(client, bucket), S3Archive(client, bucket)
    assert list(archive.copies()) == []
    segments.put(SEGMENT)
    segments.put(SECOND)
    client.put_object(Bucket=bucket, Key=key(2), Body=b"replaced")
    client.delete_object(Bucket=bucket, Key=key(1))
    for stray in ("segments/1.ndjson.gz", "segments/readme", "canary"):
        client.put_object(Bucket=bucket, Key=stray, Body=b"x")
    copies = list(archive.copies())
    assert sorted((copy.segment, copy.deleted) for copy in copies) == [
        (1, False),
        (1, True),
        (2, False),
        (2, False),
    ]
    contents = {archive.read(copy) for copy in copies if not copy.deleted}
    assert contents == {compressed(SEGMENT.lines), compressed(SECOND.lines), b"replaced"}
