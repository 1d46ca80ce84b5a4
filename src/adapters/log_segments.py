"""Segments of the transaction log as objects of a locked bucket: put once and never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from failover.errors import Unavailable
from payments.errors import LogDiverged
from payments.transaction_log import MOST_BYTES, Segment, compressed, decompressed, first_difference

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "segments/"


def key(number: int) -> str:
    """In the order of the chain, however far it gets."""
    return f"{PREFIX}{number:012}.ndjson.gz"


class S3Segments:
    """The bucket's own default encrypts and locks what is put."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, segment: Segment) -> None:
        """A put whose answer got lost, and somebody else's of the same segment, meet the same lines.

        A bucket with Object Lock wants a checksum:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
        """
        name = key(segment.number)
        try:
            with unknown_is_unavailable("transaction log"):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=name,
                    Body=compressed(segment.lines),
                    ContentType="application/gzip",
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )
        except ClientError as error:
            if code(error) == "ConditionalRequestConflict":  # another put of it runs at this moment
                raise Unavailable("transaction log: written by another run") from error
            if code(error) != "PreconditionFailed":
                raise
            self._compare(segment, name)

    def _compare(self, segment: Segment, name: str) -> None:
        with unknown_is_unavailable("transaction log"):
            stored = content(self._client.get_object(Bucket=self._bucket, Key=name))
        try:
            lines = decompressed(stored)
        except ValueError as error:
            raise LogDiverged(f"segment {segment.number}: it was put before, and {error}") from error
        if lines != segment.lines:
            line = first_difference(lines, segment.lines)
            raise LogDiverged(f"segment {segment.number}: it was put before, with another line {line}")


def content(answer: Any) -> bytes:
    """No more of it than a segment can have, which then turns out to be cut off."""
    content: bytes = answer["Body"].read(MOST_BYTES)
    return content
