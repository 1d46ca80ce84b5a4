"""What becomes of a resource when its stack fails or goes: the deletion policies our templates use."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import EmbeddedAws, delete, deploy, reasons, unique


def kept(name: str, policy: str, *, fails: bool = False) -> dict[str, Any]:
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy, "Properties": {"BucketName": name}}
    resources: dict[str, Any] = {"Bucket": bucket}
    if fails:
        vault = {"BackupVaultName": name, "EncryptionKeyArn": "alias/none"}
        resources["Fails"] = {
            "Type": "AWS::Backup::BackupVault",
            "DependsOn": "Bucket",
            "Properties": vault,
        }
    return {"Resources": resources}


def test_a_failed_first_attempt_leaves_nothing_in_the_way_of_the_second(aws: EmbeddedAws) -> None:
    name = unique("kept")
    assert deploy(aws, name, kept(name, "RetainExceptOnCreate", fails=True)) == "ROLLBACK_COMPLETE"
    assert "KMSKeyNotAccessibleFault" in reasons(aws, name)
    with pytest.raises(ClientError, match="404"):
        aws.client("s3").head_bucket(Bucket=name)
    assert deploy(aws, f"{name}-2", kept(name, "RetainExceptOnCreate")) == "CREATE_COMPLETE"


@pytest.mark.parametrize(("policy", "stays"), [("RetainExceptOnCreate", True), ("Delete", False)])
def test_a_deleted_stack_keeps_what_its_policy_keeps(aws: EmbeddedAws, policy: str, stays: bool) -> None:
    name = unique("kept")
    assert deploy(aws, name, kept(name, policy)) == "CREATE_COMPLETE", reasons(aws, name)
    assert delete(aws, name) == "DELETE_COMPLETE"
    buckets = {bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]}
    assert (name in buckets) is stays
