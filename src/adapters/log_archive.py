"""Segments of the transaction log as whoever verifies it finds them in a bucket: every version of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from adapters.aws import unknown_is_unavailable
from adapters.log_segments import PREFIX, content
from payments.verify_log import Copy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KEY: Final = re.compile(re.escape(PREFIX) + r"(\d{12})\.ndjson\.gz")


class S3Archive:
    """A bucket that holds segments, its own or received ones."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def copies(self) -> Iterator[Copy]:
        """Every version of every segment and every marker that deletes one; nothing else in the bucket."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=PREFIX
        )
        with unknown_is_unavailable(f"bucket {self._bucket}"):
            for page in pages:
                for deleted, listed in ((False, "Versions"), (True, "DeleteMarkers")):
                    versions: Any = page.get(listed, ())
                    for version in versions:
                        if named := _KEY.fullmatch(version["Key"]):
                            yield Copy(
                                int(named[1]),
                                self._bucket,
                                version["Key"],
                                version["VersionId"],
                                version["LastModified"],
                                deleted=deleted,
                            )

    def read(self, copy: Copy) -> bytes:
        with unknown_is_unavailable(f"bucket {self._bucket}"):
            return content(self._client.get_object(Bucket=copy.bucket, Key=copy.key, VersionId=copy.version))
