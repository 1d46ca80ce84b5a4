"""The audit trail: complete, locked, with a key of its own, and off where the organisation has one."""

from typing import Any

import pytest
from msgspec.structs import replace

from templates import root
from templates.audit import selectors
from templates.config import Audit
from tests.unit.templates.rendering import settings

_REGIONAL = {"foundation": "{}", "data": "{}", "service": "{}"}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return dict(root.render(settings(), _REGIONAL).to_dict()["Resources"])


def test_every_region_is_recorded_and_files_are_validated(resources: dict[str, Any]) -> None:
    trail = resources["AuditTrail"]["Properties"]
    assert trail["TrailName"] == "payments-audit-prod"
    for wanted in (
        "IsLogging",
        "IsMultiRegionTrail",
        "EnableLogFileValidation",
        "IncludeGlobalServiceEvents",
    ):
        assert trail[wanted] is True
    assert trail["KMSKeyId"] == {"Fn::GetAtt": ["AuditKey", "Arn"]}
    assert "AuditBucketPolicy" in resources["AuditTrail"]["DependsOn"]


def test_only_this_trail_may_write(resources: dict[str, Any]) -> None:
    policy = resources["AuditBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    trail = "arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/payments-audit-prod"
    allowed = [statement for statement in policy if statement["Effect"] == "Allow"]
    assert len(allowed) == 2
    for statement in allowed:
        assert statement["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        assert statement["Condition"]["StringEquals"]["aws:SourceArn"] == {"Fn::Sub": [trail, {}]} or (
            statement["Condition"]["StringEquals"]["aws:SourceArn"] == {"Fn::Sub": trail}
        )


def test_its_bucket_waits_for_the_one_that_takes_its_access_logs(resources: dict[str, Any]) -> None:
    bucket = resources["AuditBucket"]
    assert bucket["DependsOn"] == ["FoundationOutputs"]
    logged_to = bucket["Properties"]["LoggingConfiguration"]["DestinationBucketName"]
    assert logged_to == settings().names.bucket("access-logs", "primary")


def test_what_the_service_does_all_day_is_not_recorded() -> None:
    by_name = {selector.name: selector.fields for selector in selectors(settings())}
    assert by_name["management"] == {"eventCategory": ["Management"]}
    unusual = by_name["what-the-service-never-does"]
    assert {"PutItem", "GetItem", "UpdateItem"} <= set(unusual["!eventName"])
    assert "DeleteItem" not in unusual["!eventName"]
    assert "Scan" not in unusual["!eventName"]
    # Two regions, and each table of both.
    assert len(unusual["resources.ARN"]) == 4
    assert by_name["who-may-pay-and-who-is-active"]["readOnly"] == ["false"]


def test_it_can_be_left_to_the_organisation() -> None:
    without = root.render(replace(settings(), audit=Audit(trail=False)), _REGIONAL).to_dict()
    assert not [title for title in without["Resources"] if title.startswith("Audit")]
    assert not [title for title in without["Outputs"] if title.startswith("Audit")]


def test_buckets_are_emptied_in_test_environments_only(resources: dict[str, Any]) -> None:
    assert "EmptiedBuckets" not in resources
    granted = str(resources["RolloutRole"])
    assert "s3:DeleteObject" not in granted
    lab = root.render(settings("lab"), _REGIONAL).to_dict()["Resources"]
    buckets = lab["EmptiedBuckets"]["Properties"]["Buckets"]
    names = settings("lab").names
    assert buckets["us-east-1"][0] == names.bucket("audit", "primary")
    for region, place in (("us-east-1", "primary"), ("us-east-2", "secondary")):
        assert buckets[region][-1] == f"{names.bucket('access-logs', place)}"  # type: ignore[arg-type] # a place
    assert "EmptiedBuckets" in lab["ServiceStackSet"]["DependsOn"]
    assert "EmptiedBuckets" in lab["AuditTrail"]["DependsOn"]
