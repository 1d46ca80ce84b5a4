"""The embedded AWS as a process: loopback, IAM enforced, nothing left behind."""

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import HOME, EmbeddedAws


def test_root_is_the_account_and_iam_is_enforced_for_everybody_else(aws: EmbeddedAws) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == aws.plan.account_id
    iam = aws.client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    stranger = aws.client("dynamodb", HOME, key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    with pytest.raises(ClientError, match="AccessDenied"):
        stranger.list_tables()


def test_it_keeps_to_the_lab_directory(aws: EmbeddedAws) -> None:
    assert (aws.plan.directory / "aws" / "tmp").is_dir()
    assert not list(aws.plan.directory.glob("**/*.pid"))
