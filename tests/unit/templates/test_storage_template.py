"""Buckets: what each keeps, for how long, and who may put something in."""

from typing import Any

import pytest

from templates import data, foundation
from tests.unit.templates.rendering import properties, settings


def _rules(bucket: dict[str, Any]) -> dict[str, Any]:
    return {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}


@pytest.mark.parametrize(
    ("template", "title"),
    [(foundation, "ReceivedBucket"), (data, "TransactionsBucket")],
    ids=["received", "transactions"],
)
def test_the_transaction_log_is_locked_until_it_expires(template: Any, title: str) -> None:
    bucket = properties(template.render(settings()), title)
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Mode": "COMPLIANCE", "Days": 400}
    assert _rules(bucket)["records"]["ExpirationInDays"] == 400
    (transition,) = _rules(bucket)["records"]["Transitions"]
    assert transition == {"StorageClass": "GLACIER_IR", "TransitionInDays": 90}


def test_in_a_test_environment_nothing_sets_a_lock() -> None:
    bucket = properties(data.render(settings("lab")), "TransactionsBucket")
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}


def test_the_log_arrives_within_the_objective_or_is_noticed() -> None:
    bucket = properties(data.render(settings()), "TransactionsBucket")
    (rule,) = bucket["ReplicationConfiguration"]["Rules"]
    destination = rule["Destination"]
    assert destination["ReplicationTime"] == {"Status": "Enabled", "Time": {"Minutes": 15}}
    assert destination["Metrics"] == {"Status": "Enabled", "EventThreshold": {"Minutes": 15}}
    assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    assert rule["Filter"] == {"Prefix": ""}


def test_replication_may_read_locks_and_nothing_may_be_deleted_by_it() -> None:
    (policy,) = properties(data.render(settings()), "ReplicationRole")["Policies"]
    actions = {action for s in policy["PolicyDocument"]["Statement"] for action in s["Action"]}
    assert {"s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:ReplicateObject"} <= actions
    assert not {action for action in actions if "Delete" in action}


def test_only_the_other_region_s_replication_fills_the_receiving_bucket() -> None:
    statements = properties(foundation.render(settings()), "ReceivedBucketPolicy")["PolicyDocument"]
    (only,) = [s for s in statements["Statement"] if s["Sid"] == "OnlyReplicas"]
    assert only["Effect"] == "Deny"
    _, given = only["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]["Fn::Sub"]
    assert given["Role"]["Fn::If"] == [
        "IsPrimary",
        "payments-replication-secondary-prod",
        "payments-replication-primary-prod",
    ]


def test_access_logs_are_taken_from_buckets_of_this_region_only() -> None:
    policy = properties(foundation.render(settings()), "AccessLogBucketPolicy")["PolicyDocument"]
    (deliver,) = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert deliver["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    source = deliver["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"][1]["Bucket"]["Fn::If"]
    assert source[1:] == ["payments-*-primary-prod-*", "payments-*-secondary-prod-*"]
    assert deliver["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_access_logs_have_a_key_of_s3_and_no_lock_because_delivery_takes_nothing_else() -> None:
    bucket = properties(foundation.render(settings()), "AccessLogBucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert "ObjectLockEnabled" not in bucket
    assert "LoggingConfiguration" not in bucket


def test_code_stays_for_rollbacks() -> None:
    bucket = properties(foundation.render(settings()), "CodeBucket")
    assert list(_rules(bucket)) == ["old-versions"]
    assert bucket["LoggingConfiguration"] == {
        "DestinationBucketName": {"Ref": "AccessLogBucket"},
        "LogFilePrefix": "code/",
    }
