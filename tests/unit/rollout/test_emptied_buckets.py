"""Emptying the buckets of a test environment before their stacks are deleted."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapters.custom_resource import Failed, Request
from rollout.emptied_buckets import empty
from rollout.handler import act


class FakeS3:
    """Buckets by name, each a list of pages of versions; says what was asked of it, in order."""

    def __init__(self, buckets: dict[str, list[dict[str, Any]]], refused: str = "") -> None:
        self.buckets, self.refused = buckets, refused
        self.asked: list[tuple[str, str]] = []

    def put_bucket_logging(self, *, Bucket: str, BucketLoggingStatus: Any) -> None:  # noqa: N803 - boto3's names
        self.asked.append(("quiet", Bucket))
        if Bucket not in self.buckets or self.refused == "AccessDenied":
            code = self.refused or "NoSuchBucket"
            raise ClientError({"Error": {"Code": code}}, "PutBucketLogging")

    def get_paginator(self, _operation: str) -> "FakeS3":
        return self

    def paginate(self, *, Bucket: str) -> list[dict[str, Any]]:  # noqa: N803 - the same
        return self.buckets[Bucket]

    def delete_objects(self, *, Bucket: str, Delete: Any) -> dict[str, Any]:  # noqa: N803 - the same
        self.asked.append(("delete", Bucket))
        if self.refused:
            return {"Errors": [{"Key": Delete["Objects"][0]["Key"], "Message": self.refused}]}
        return {}


def version(key: str) -> dict[str, str]:
    return {"Key": key, "VersionId": "1", "ETag": "x"}


def request(action: str = "Delete", **buckets: list[str]) -> Request:
    return Request(action, "Custom::EmptiedBuckets", {"Buckets": buckets}, float("inf"))


def test_versions_and_markers_go_after_all_logging_stopped() -> None:
    pages = [{"Versions": [version("a"), version("b")]}, {"DeleteMarkers": [version("c")]}, {}]
    s3 = FakeS3({"code": pages, "logs": [{"Versions": [version("d")]}]})
    assert empty(request(here=["code", "logs"]), lambda _: s3) == {"Deleted": "4"}  # type: ignore[arg-type,return-value] # a fake
    assert [what for what, _ in s3.asked] == ["quiet", "quiet", "delete", "delete", "delete"]


def test_a_bucket_that_is_gone_is_no_obstacle() -> None:
    s3 = FakeS3({"logs": [{}]})
    assert empty(request(here=["code", "logs"]), lambda _: s3) == {"Deleted": "0"}  # type: ignore[arg-type,return-value] # a fake


def test_a_bucket_that_may_not_be_touched_is_not_taken_for_gone() -> None:
    s3 = FakeS3({"code": [{}]}, refused="AccessDenied")
    with pytest.raises(ClientError):
        empty(request(here=["code"]), lambda _: s3)  # type: ignore[arg-type,return-value] # a fake


def test_an_object_that_stays_is_told() -> None:
    s3 = FakeS3({"code": [{"Versions": [version("a")]}]}, refused="locked")
    with pytest.raises(Failed, match="code: a stays: locked"):
        empty(request(here=["code"]), lambda _: s3)  # type: ignore[arg-type,return-value] # a fake


@pytest.mark.parametrize("action", ["Create", "Update"])
def test_nothing_is_deleted_but_on_deletion(action: str) -> None:
    assert act(request(action, here=["no-such-bucket"])) == {}
