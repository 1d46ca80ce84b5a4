"""Keys and the bucket that is encrypted with one of them."""

from typing import Any

import pytest

from templates import foundation
from tests.unit.templates.rendering import properties, settings


@pytest.fixture
def policy() -> dict[str, Any]:
    statements = properties(foundation.render(settings()), "DataKey")["KeyPolicy"]["Statement"]
    return {statement["Sid"]: statement for statement in statements}


def test_data_is_decrypted_by_way_of_services_only(policy: dict[str, Any]) -> None:
    uses = {sid for sid, s in policy.items() if {"kms:Decrypt", "kms:*"} & set(s["Action"])}
    assert uses == {"UseThroughServices", "EncryptLogs", "EncryptAlarms", "EncryptSchedules"}
    endpoints = policy["UseThroughServices"]["Condition"]["StringEquals"]["kms:ViaService"]
    services = {endpoint["Fn::Sub"].split(".")[0] for endpoint in endpoints}
    assert services == {"backup", "dynamodb", "lambda", "rds", "s3", "secretsmanager", "sns", "sqs"}


def test_the_key_can_always_be_administered(policy: dict[str, Any]) -> None:
    statement = policy["AdministerKey"]
    assert "kms:Put*" in statement["Action"]
    assert statement["Principal"]["AWS"]["Fn::Sub"].endswith(":root")
    assert "Condition" not in statement


def test_logs_are_encrypted_for_our_log_groups_only(policy: dict[str, Any]) -> None:
    condition = policy["EncryptLogs"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    groups = [arn["Fn::Sub"].split(":log-group:")[1] for arn in condition]
    assert groups == [
        "/aws/lambda/payments-*",
        "/aws/rds/cluster/payments-*/postgresql",
        "/aws/vpc/payments-*",
        "/aws/fis/payments-*",
        "/aws/apigateway/payments-*",
        "API-Gateway-Execution-Logs_*",
        "aws-waf-logs-payments-*",
    ]


def test_alarms_of_this_account_may_use_the_key_of_their_topic(policy: dict[str, Any]) -> None:
    statement = policy["EncryptAlarms"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_code_bucket_has_the_name_the_rollout_computes() -> None:
    names = settings().names
    bucket = properties(foundation.render(settings()), "CodeBucket")["BucketName"]
    assert bucket == {
        "Fn::If": ["IsPrimary", names.bucket("code", "primary"), names.bucket("code", "secondary")]
    }
