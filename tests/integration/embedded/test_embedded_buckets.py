"""Buckets by effect: what is written is copied to the other region, locked, and logged."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.outages import Outages
from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    EmbeddedAws,
    delete,
    deploy,
    during,
    eventually,
    outputs,
    reasons,
    unique,
)
from tests.integration.embedded.test_embedded_data import KEY_TEMPLATE

Template = dict[str, Any]
READS = (
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
)
RETENTION = {"Mode": "GOVERNANCE", "Days": 1}
LOCKED = {
    "ObjectLockEnabled": True,
    "ObjectLockConfiguration": {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": RETENTION},
    },
}


def resources(**named: Any) -> Template:
    return {"Resources": named}


def bucket(name: str, **more: Any) -> dict[str, Any]:
    properties = {"BucketName": name, "VersioningConfiguration": {"Status": "Enabled"}, **more}
    return {"Type": "AWS::S3::Bucket", "Properties": properties}


def encrypted(key: str) -> dict[str, Any]:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": default}
    return {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}


def role(name: str, *statements: tuple[list[str], str], trusted: str = "s3.amazonaws.com") -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    granted = [{"Effect": "Allow", "Action": actions, "Resource": on} for actions, on in statements]
    policy = {"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": granted}}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [policy],
        },
    }


def replication(role_arn: str, target: str, **destination: Any) -> dict[str, Any]:
    time = {"Status": "Enabled", "Time": {"Minutes": 15}}
    metrics = {"Status": "Enabled", "EventThreshold": {"Minutes": 15}}
    rule = {
        "Id": "everything",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{target}",
            "ReplicationTime": time,
            "Metrics": metrics,
            **destination,
        },
    }
    if "EncryptionConfiguration" in destination:
        rule["SourceSelectionCriteria"] = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    return {"ReplicationConfiguration": {"Role": role_arn, "Rules": [rule]}}


@pytest.fixture(scope="module")
def replicated(aws: EmbeddedAws) -> Iterator[tuple[str, str, str]]:
    """Source bucket, destination bucket and stack: locked, encrypted, replicating everything."""
    name = unique("log")
    source, target, account = f"{name}-source", f"{name}-target", aws.plan.account_id
    keys = {}
    for region in (HOME, PEER):
        stack = f"{name}-key"
        template = json.loads(json.dumps(KEY_TEMPLATE).replace("alias/data", f"alias/{name}"))
        assert deploy(aws, stack, template, region) == "CREATE_COMPLETE", reasons(aws, stack, region)
        keys[region] = f"arn:aws:kms:{region}:{account}:alias/{name}"
    receiving = resources(Bucket=bucket(target, **LOCKED, **encrypted(keys[PEER])))
    assert deploy(aws, f"{name}-target", receiving, PEER) == "CREATE_COMPLETE", reasons(
        aws, f"{name}-target", PEER
    )
    copies = replication(
        f"arn:aws:iam::{account}:role/{name}",
        target,
        EncryptionConfiguration={"ReplicaKmsKeyID": keys[PEER]},
    )
    grants = (
        (list(READS), f"arn:aws:s3:::{source}"),
        (list(READS), f"arn:aws:s3:::{source}/*"),
        (["s3:ReplicateObject", "s3:ReplicateTags"], f"arn:aws:s3:::{target}/*"),
        (["kms:Decrypt", "kms:Encrypt"], "*"),
    )
    sending = resources(
        Role=role(name, *grants),
        Bucket={**bucket(source, **LOCKED, **encrypted(keys[HOME]), **copies), "DependsOn": ["Role"]},
    )
    assert deploy(aws, name, sending) == "CREATE_COMPLETE", reasons(aws, name)
    yield source, target, name
    for region, holder in ((HOME, source), (PEER, target)):
        client = aws.client("s3", region)
        found = client.list_object_versions(Bucket=holder)
        for version in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]:
            client.delete_object(
                Bucket=holder,
                Key=version["Key"],
                VersionId=version["VersionId"],
                BypassGovernanceRetention=True,
            )
    assert delete(aws, name) == "DELETE_COMPLETE", reasons(aws, name)


def test_an_object_is_copied_to_the_other_region_s_bucket(
    aws: EmbeddedAws, replicated: tuple[str, str, str]
) -> None:
    source, target, name = replicated
    home, peer = aws.client("s3"), aws.client("s3", PEER)
    home.put_object(Bucket=source, Key="2026/1", Body=b"chained", Tagging="of=payments")
    assert home.head_object(Bucket=source, Key="2026/1")["ReplicationStatus"] == "COMPLETED"
    copy = peer.get_object(Bucket=target, Key="2026/1")
    assert copy["Body"].read() == b"chained"
    assert copy["ReplicationStatus"] == "REPLICA"
    assert copy["SSEKMSKeyId"] == f"arn:aws:kms:{PEER}:{aws.plan.account_id}:alias/{name}"
    assert peer.get_bucket_location(Bucket=target)["LocationConstraint"] == PEER
    described = home.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]["Rules"][0]
    assert described["Destination"]["ReplicationTime"] == {"Status": "Enabled", "Time": {"Minutes": 15}}
    assert described["SourceSelectionCriteria"]["SseKmsEncryptedObjects"]["Status"] == "Enabled"


def test_replication_is_measured(aws: EmbeddedAws, replicated: tuple[str, str, str]) -> None:
    source, target, _ = replicated
    aws.client("s3").put_object(Bucket=source, Key="measured", Body=b"1")

    def measured(region: str) -> set[str]:
        dimensions = [
            {"Name": "SourceBucket", "Value": source},
            {"Name": "DestinationBucket", "Value": target},
        ]
        metrics = aws.client("cloudwatch", region).list_metrics(Namespace="AWS/S3", Dimensions=dimensions)
        return {metric["MetricName"] for metric in metrics["Metrics"]}

    assert measured("us-east-1") == {"OperationsFailedReplication"}
    assert measured(PEER) == {"ReplicationLatency", "BytesPendingReplication", "OperationsPendingReplication"}


def test_a_copy_is_locked_as_long_as_its_source(aws: EmbeddedAws, replicated: tuple[str, str, str]) -> None:
    source, target, _ = replicated
    until = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    home, peer = aws.client("s3"), aws.client("s3", PEER)
    home.put_object(
        Bucket=source,
        Key="held",
        Body=b"1",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
    )
    assert peer.get_object_retention(Bucket=target, Key="held")["Retention"] == {
        "Mode": "GOVERNANCE",
        "RetainUntilDate": until,
    }
    home.delete_object(Bucket=source, Key="held")  # a marker, as ever with versions


def test_a_copy_that_has_no_way_is_pending_and_made_later(
    aws: EmbeddedAws, replicated: tuple[str, str, str]
) -> None:
    source, target, _ = replicated
    until = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    home, peer = aws.client("s3"), aws.client("s3", PEER)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    with during(aws, Outages(cut=frozenset({HOME}))):
        for body in (b"first", b"second"):
            home.put_object(Bucket=source, Key="late", Body=body, Tagging="of=payments", **lock)
        assert home.head_object(Bucket=source, Key="late")["ReplicationStatus"] == "PENDING"
        with pytest.raises(ClientError, match="404"):
            peer.head_object(Bucket=target, Key="late")

    def copied() -> bool:
        found = peer.list_object_versions(Bucket=target, Prefix="late").get("Versions", ())
        return len(found) == 2

    eventually(copied, "both versions in the other region")
    assert peer.get_object(Bucket=target, Key="late")["Body"].read() == b"second"
    assert peer.get_object_retention(Bucket=target, Key="late")["Retention"]["RetainUntilDate"] == until
    assert peer.get_object_tagging(Bucket=target, Key="late")["TagSet"] == [
        {"Key": "of", "Value": "payments"}
    ]
    for version in home.list_object_versions(Bucket=source, Prefix="late")["Versions"]:
        head = home.head_object(Bucket=source, Key="late", VersionId=version["VersionId"])
        assert head["ReplicationStatus"] == "COMPLETED"


def test_what_is_locked_is_not_deleted(aws: EmbeddedAws, replicated: tuple[str, str, str]) -> None:
    source, _, _ = replicated
    client = aws.client("s3")
    upload = client.create_multipart_upload(Bucket=source, Key="kept")["UploadId"]
    part = client.upload_part(Bucket=source, Key="kept", UploadId=upload, PartNumber=1, Body=b"parts")
    client.complete_multipart_upload(
        Bucket=source,
        Key="kept",
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
    )
    version = client.head_object(Bucket=source, Key="kept")["VersionId"]
    with pytest.raises(ClientError, match="object protected by object lock"):
        client.delete_object(Bucket=source, Key="kept", VersionId=version)
    configured = client.get_object_lock_configuration(Bucket=source)["ObjectLockConfiguration"]
    assert configured["Rule"]["DefaultRetention"] == RETENTION


@pytest.mark.parametrize(
    ("grants", "trusted"),
    [
        ([(list(READS), "*"), (["s3:ReplicateObject"], "*")], "s3.amazonaws.com"),
        ([(["s3:*"], "*")], "lambda.amazonaws.com"),
        ([], "s3.amazonaws.com"),
    ],
)
def test_a_role_that_may_not_replicate_leaves_the_object_failed(
    aws: EmbeddedAws, grants: list[tuple[list[str], str]], trusted: str
) -> None:
    name = unique("failing")
    assert deploy(aws, f"{name}-t", resources(Bucket=bucket(f"{name}-t")), PEER) == "CREATE_COMPLETE"
    copies = replication(f"arn:aws:iam::{aws.plan.account_id}:role/{name}", f"{name}-t")
    template = resources(Role=role(name, *grants, trusted=trusted), Bucket=bucket(name, **copies))
    if not grants:
        del template["Resources"]["Role"]  # S3 does not look for the role before it needs it
    assert deploy(aws, name, template) == "CREATE_COMPLETE", reasons(aws, name)
    client = aws.client("s3")
    client.put_object(Bucket=name, Key="1", Body=b"1")
    assert client.head_object(Bucket=name, Key="1")["ReplicationStatus"] == "FAILED"
    assert "Contents" not in aws.client("s3", PEER).list_objects_v2(Bucket=f"{name}-t")
    statistics = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/S3",
        MetricName="OperationsFailedReplication",
        Dimensions=[
            {"Name": "SourceBucket", "Value": name},
            {"Name": "DestinationBucket", "Value": f"{name}-t"},
            {"Name": "RuleId", "Value": "everything"},
        ],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 1


def test_a_bucket_that_lets_only_another_role_in_stays_empty(
    aws: EmbeddedAws, replicated: tuple[str, str, str]
) -> None:
    source, target, name = replicated
    refused = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:ReplicateObject",
        "Resource": f"arn:aws:s3:::{target}/refused/*",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{aws.plan.account_id}:role/x"}},
    }
    home, peer = aws.client("s3"), aws.client("s3", PEER)
    policy = {"Version": "2012-10-17", "Statement": [refused]}
    peer.put_bucket_policy(Bucket=target, Policy=json.dumps(policy))
    home.put_object(Bucket=source, Key="refused/1", Body=b"1")
    assert home.head_object(Bucket=source, Key="refused/1")["ReplicationStatus"] == "FAILED"
    policy["Statement"][0]["Condition"] = {  # type: ignore[index]  # a mapping of mappings
        "ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{aws.plan.account_id}:role/{name}"}
    }
    peer.put_bucket_policy(Bucket=target, Policy=json.dumps(policy))
    home.put_object(Bucket=source, Key="refused/2", Body=b"2")
    assert home.head_object(Bucket=source, Key="refused/2")["ReplicationStatus"] == "COMPLETED"


def test_replication_that_s3_refuses(aws: EmbeddedAws) -> None:
    name = unique("refused")
    copies = replication(f"arn:aws:iam::{aws.plan.account_id}:role/{name}", f"{name}-nowhere")
    assert deploy(aws, name, resources(Bucket=bucket(name, **copies))) == "ROLLBACK_COMPLETE"
    assert "Destination bucket must exist." in reasons(aws, name)
    unversioned = bucket(f"{name}-t")
    del unversioned["Properties"]["VersioningConfiguration"]
    assert deploy(aws, f"{name}-t", resources(Bucket=unversioned), PEER) == "CREATE_COMPLETE"
    copies = replication(f"arn:aws:iam::{aws.plan.account_id}:role/{name}", f"{name}-t")
    assert deploy(aws, f"{name}-2", resources(Bucket=bucket(name, **copies))) == "ROLLBACK_COMPLETE"
    assert "Destination bucket must have versioning enabled." in reasons(aws, f"{name}-2")


def logged(name: str, account: str, *, allowed: bool = True) -> Template:
    condition = {
        "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{name}"},
        "StringEquals": {"aws:SourceAccount": account},
    }
    delivering = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}-logs/*",
        "Condition": condition,
    }
    refusing = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}-logs", f"arn:aws:s3:::{name}-logs/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statements = [refusing, delivering] if allowed else [refusing]
    logging = {"DestinationBucketName": {"Ref": "Logs"}, "LogFilePrefix": "s3/"}
    return resources(
        Logs=bucket(f"{name}-logs"),
        Policy={
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Logs"},
                "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
            },
        },
        Bucket=bucket(name, LoggingConfiguration=logging),
    )


@pytest.mark.parametrize("region", [HOME, PEER])
def test_objects_are_written_and_read_while_their_key_is_enabled(aws: EmbeddedAws, region: str) -> None:
    name, client, keys = unique("keyed"), aws.client("s3", region), aws.client("kms", region)
    template = json.loads(json.dumps(KEY_TEMPLATE).replace("alias/data", f"alias/{name}"))
    assert deploy(aws, f"{name}-key", template, region) == "CREATE_COMPLETE"
    arn = outputs(aws, f"{name}-key", region)["Arn"]
    assert deploy(aws, name, resources(Bucket=bucket(name, **encrypted(arn))), region) == "CREATE_COMPLETE"
    client.put_object(Bucket=name, Key="1", Body=b"1")
    assert client.get_object(Bucket=name, Key="1")["Body"].read() == b"1"
    keys.disable_key(KeyId=arn)
    with pytest.raises(ClientError, match="is disabled"):
        client.put_object(Bucket=name, Key="2", Body=b"2")
    with pytest.raises(ClientError, match="is disabled"):
        client.get_object(Bucket=name, Key="1")
    keys.enable_key(KeyId=arn)
    assert client.get_object(Bucket=name, Key="1")["Body"].read() == b"1"


@pytest.mark.parametrize("granted", [True, False])
def test_a_role_needs_the_key_of_the_bucket_it_writes_to(aws: EmbeddedAws, granted: bool) -> None:
    name = unique("writer")
    template = json.loads(json.dumps(KEY_TEMPLATE).replace("alias/data", f"alias/{name}"))
    assert deploy(aws, f"{name}-key", template) == "CREATE_COMPLETE"
    arn = outputs(aws, f"{name}-key")["Arn"]
    grants = [(["s3:*"], "*"), (["kms:GenerateDataKey"], arn)] if granted else [(["s3:*"], "*")]
    writer = role(name, *grants)
    trust = writer["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    trust["Principal"] = {"AWS": f"arn:aws:iam::{aws.plan.account_id}:root"}
    made = resources(Bucket=bucket(name, **encrypted(arn)), Role=writer)
    assert deploy(aws, name, made) == "CREATE_COMPLETE", reasons(aws, name)
    session = aws.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{aws.plan.account_id}:role/{name}", RoleSessionName="writer"
    )["Credentials"]
    client = aws.client(
        "s3",
        HOME,
        session["AccessKeyId"],
        secret_key=session["SecretAccessKey"],
        token=session["SessionToken"],
    )
    if granted:
        client.put_object(Bucket=name, Key="1", Body=b"1")
        with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
            client.get_object(Bucket=name, Key="1")
    else:
        with pytest.raises(ClientError, match="not authorized to perform: kms:GenerateDataKey"):
            client.put_object(Bucket=name, Key="1", Body=b"1")


def test_requests_are_logged_into_the_log_bucket(aws: EmbeddedAws) -> None:
    name = unique("logged")
    assert deploy(aws, name, logged(name, aws.plan.account_id)) == "CREATE_COMPLETE", reasons(aws, name)
    client = aws.client("s3")
    client.put_object(Bucket=name, Key="a b", Body=b"12345")
    with pytest.raises(ClientError):
        client.get_object(Bucket=name, Key="absent")

    def lines() -> list[str]:
        objects = client.list_objects_v2(Bucket=f"{name}-logs", Prefix="s3/").get("Contents", ())
        bodies = [
            client.get_object(Bucket=f"{name}-logs", Key=item["Key"])["Body"].read() for item in objects
        ]
        return b"".join(bodies).decode().splitlines()

    found = eventually(lambda: (seen := lines())[1:] and seen, "two requests are logged")
    put, absent = (line.split(" ") for line in found[:2])
    assert put[1] == name
    assert put[7:9] == ["REST.PUT.OBJECT", "a%20b"]
    assert put[9] == '"PUT'
    assert put[12:14] == ["200", "-"]
    assert absent[7:9] == ["REST.GET.OBJECT", "absent"]
    assert absent[12:14] == ["404", "NoSuchKey"]


def test_a_log_bucket_whose_policy_does_not_say_so_gets_no_logs(aws: EmbeddedAws) -> None:
    silent, heard = unique("silent"), unique("heard")
    assert deploy(aws, silent, logged(silent, aws.plan.account_id, allowed=False)) == "CREATE_COMPLETE"
    assert deploy(aws, heard, logged(heard, aws.plan.account_id)) == "CREATE_COMPLETE"
    client = aws.client("s3")
    client.list_objects_v2(Bucket=silent)
    client.list_objects_v2(Bucket=heard)  # delivered together: once this is there, the other would be
    eventually(lambda: client.list_objects_v2(Bucket=f"{heard}-logs").get("Contents"), "logs arrive")
    assert "Contents" not in client.list_objects_v2(Bucket=f"{silent}-logs")


def test_logging_into_nowhere_is_refused(aws: EmbeddedAws) -> None:
    name = unique("logged")
    nowhere = bucket(name, LoggingConfiguration={"DestinationBucketName": f"{name}-nowhere"})
    assert deploy(aws, name, resources(Bucket=nowhere)) == "ROLLBACK_COMPLETE"
    assert "The target bucket for logging does not exist" in reasons(aws, name)
    aws.client("s3", PEER).create_bucket(
        Bucket=f"{name}-far", CreateBucketConfiguration={"LocationConstraint": PEER}
    )
    far = bucket(name, LoggingConfiguration={"DestinationBucketName": f"{name}-far"})
    assert deploy(aws, f"{name}-2", resources(Bucket=far)) == "ROLLBACK_COMPLETE"
    assert "Cross S3 location logging not allowed" in reasons(aws, f"{name}-2")
