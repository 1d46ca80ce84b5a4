"""The audit trail and the zone's query log: what is recorded, where it is delivered, what is refused."""

import base64
import gzip
import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    EmbeddedAws,
    deploy,
    eventually,
    outputs,
    reasons,
    unique,
)


def trail(name: str, *, admitted: bool = True) -> dict[str, Any]:
    service = {"Service": "cloudtrail.amazonaws.com" if admitted else "config.amazonaws.com"}
    where = {
        "StringEquals": {
            "aws:SourceArn": {"Fn::Sub": f"arn:aws:cloudtrail:{HOME}:${{AWS::AccountId}}:trail/{name}"}
        }
    }
    bucket = {"Fn::GetAtt": ["Bucket", "Arn"]}
    files = {"Fn::Sub": "${Bucket.Arn}/AWSLogs/${AWS::AccountId}/*"}
    grants = [("s3:GetBucketAcl", bucket), ("s3:PutObject", files)]
    account = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    return {
        "Resources": {
            "Key": {
                "Type": "AWS::KMS::Key",
                "Properties": {
                    "KeyPolicy": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"},
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                                "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"],
                                "Resource": "*",
                            },
                        ],
                    }
                },
            },
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
            "Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Bucket"},
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": service,
                                "Action": action,
                                "Resource": resource,
                                "Condition": where,
                            }
                            for action, resource in grants
                        ],
                    },
                },
            },
            "Trail": {
                "Type": "AWS::CloudTrail::Trail",
                "DependsOn": "Policy",
                "Properties": {
                    "TrailName": name,
                    "S3BucketName": {"Ref": "Bucket"},
                    "KMSKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
                    "IsLogging": True,
                    "IsMultiRegionTrail": True,
                    "IncludeGlobalServiceEvents": True,
                    "EnableLogFileValidation": True,
                },
            },
        },
        "Outputs": {"Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}},
    }


def test_calls_of_every_region_are_delivered_encrypted_and_chained(aws: EmbeddedAws) -> None:
    name = unique("trail")
    assert deploy(aws, name, trail(name)) == "CREATE_COMPLETE", reasons(aws, name)
    client, s3 = aws.client("cloudtrail", PEER), aws.client("s3")
    (described,) = client.describe_trails(trailNameList=[name])[
        "trailList"
    ]  # seen from the other region, too
    assert described["HomeRegion"] == HOME
    assert described["KmsKeyId"] == outputs(aws, name)["Key"]
    assert described["LogFileValidationEnabled"] is described["IsMultiRegionTrail"] is True

    def files(kind: str, region: str) -> list[str]:
        prefix = f"AWSLogs/{aws.plan.account_id}/{kind}/{region}/"
        return [one["Key"] for one in s3.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", ())]

    def records(key: str) -> list[dict[str, Any]]:
        found: dict[str, Any] = json.loads(
            gzip.decompress(s3.get_object(Bucket=name, Key=key)["Body"].read())
        )
        return list(found["Records"])

    aws.client("dynamodb", PEER).list_tables()

    def recorded() -> dict[str, Any] | None:
        every = (record for key in files("CloudTrail", PEER) for record in records(key))
        return next((record for record in every if record["eventName"] == "ListTables"), None)

    event = eventually(recorded, "the call is in a file of its region")
    assert (event["awsRegion"], event["eventSource"]) == (PEER, "dynamodb.amazonaws.com")
    assert event["userIdentity"]["type"] == "Root"
    head = s3.head_object(Bucket=name, Key=files("CloudTrail", PEER)[0])
    assert head["SSEKMSKeyId"] == described["KmsKeyId"]
    status = client.get_trail_status(Name=described["TrailARN"])
    assert status["IsLogging"]
    assert status["LatestDigestDeliveryTime"] >= status["LatestDeliveryTime"]

    (published,) = client.list_public_keys()["PublicKeyList"]
    public = serialization.load_der_public_key(_as_spki(published["Value"]))
    assert isinstance(public, rsa.RSAPublicKey)
    key = files("CloudTrail-Digest", PEER)[0]
    stored = s3.get_object(Bucket=name, Key=key)
    text = gzip.decompress(stored["Body"].read())
    digest = json.loads(text)
    assert digest["digestPublicKeyFingerprint"] == published["Fingerprint"]
    (file,) = digest["logFiles"]
    body = gzip.decompress(s3.get_object(Bucket=name, Key=file["s3Object"])["Body"].read())
    assert file["hashValue"] == hashlib.sha256(body).hexdigest()
    before = digest["previousDigestSignature"] or "null"
    signed = "\n".join((digest["digestEndTime"], f"{name}/{key}", hashlib.sha256(text).hexdigest(), before))
    signature = bytes.fromhex(stored["Metadata"]["signature"])
    public.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())


def _as_spki(value: bytes | str) -> bytes:
    """CloudTrail publishes PKCS #1; what is loaded here says its algorithm."""
    encoded = value if isinstance(value, bytes) else base64.b64decode(value)
    inner = b"\x00" + encoded
    prefix = bytes.fromhex("300d06092a864886f70d0101010500")
    bits = b"\x03\x82" + len(inner).to_bytes(2) + inner
    return b"\x30\x82" + len(prefix + bits).to_bytes(2) + prefix + bits


def test_a_trail_needs_a_bucket_that_admits_it(aws: EmbeddedAws) -> None:
    name = unique("unadmitted")
    assert deploy(aws, name, trail(name, admitted=False)) == "ROLLBACK_COMPLETE"
    assert f"Incorrect S3 bucket policy is detected for bucket: {name}" in reasons(aws, name)
    missing = trail(unique("bucketless"))
    properties = missing["Resources"]["Trail"]["Properties"]
    properties["S3BucketName"] = "there-is-no-such-bucket"
    stack = properties["TrailName"]
    assert deploy(aws, stack, missing) == "ROLLBACK_COMPLETE"
    assert "S3 bucket there-is-no-such-bucket does not exist!" in reasons(aws, stack)


def zone(name: str, *, admitted: bool = True, region: str = HOME) -> dict[str, Any]:
    group = f"arn:aws:logs:{region}:${{AWS::AccountId}}:log-group:/aws/route53/{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "route53.amazonaws.com"},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"arn:aws:logs:{HOME}:000000000000:log-group:/aws/route53/{name}:*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    resources: dict[str, Any] = {
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/aws/route53/{name}"}},
        "Zone": {
            "Type": "AWS::Route53::HostedZone",
            "DependsOn": "Log",
            "Properties": {
                "Name": f"{name}.example.com",
                "HostedZoneFeatures": {"EnableAcceleratedRecovery": True},
                "QueryLoggingConfig": {"CloudWatchLogsLogGroupArn": {"Fn::Sub": group}},
                "HostedZoneTags": [{"Key": "of", "Value": name}],
            },
        },
    }
    if admitted:
        document = {"PolicyName": name, "PolicyDocument": json.dumps(policy)}
        resources["Policy"] = {"Type": "AWS::Logs::ResourcePolicy", "Properties": document}
        resources["Zone"]["DependsOn"] = ["Log", "Policy"]
    return {"Resources": resources, "Outputs": {"Zone": {"Value": {"Ref": "Zone"}}}}


def test_a_zone_is_not_made_without_permission_to_log(aws: EmbeddedAws) -> None:
    name = unique("mute")
    assert deploy(aws, name, zone(name, admitted=False)) == "ROLLBACK_COMPLETE"
    assert "InsufficientCloudWatchLogsResourcePolicy" in reasons(aws, name)
    other = unique("abroad")
    assert deploy(aws, other, zone(other, region=PEER)) == "ROLLBACK_COMPLETE"
    assert "is not one of us-east-1" in reasons(aws, other)


def test_a_zone_says_how_it_recovers_and_where_its_queries_are_logged(aws: EmbeddedAws) -> None:
    name = unique("zone")
    assert deploy(aws, name, zone(name)) == "CREATE_COMPLETE", reasons(aws, name)
    identifier = outputs(aws, name)["Zone"]
    client = aws.client("route53")
    described = client.get_hosted_zone(Id=identifier)["HostedZone"]
    assert described["Features"]["AcceleratedRecoveryStatus"] == "ENABLED"
    (configuration,) = client.list_query_logging_configs(HostedZoneId=identifier)["QueryLoggingConfigs"]
    arn = configuration["CloudWatchLogsLogGroupArn"]
    assert arn == f"arn:aws:logs:{HOME}:{aws.plan.account_id}:log-group:/aws/route53/{name}"
    assert client.get_query_logging_config(Id=configuration["Id"])["QueryLoggingConfig"] == configuration
    with pytest.raises(ClientError, match="QueryLoggingConfigAlreadyExists"):
        client.create_query_logging_config(HostedZoneId=identifier, CloudWatchLogsLogGroupArn=arn)
    tags = client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=identifier)
    assert {"Key": "of", "Value": name} in tags["ResourceTagSet"]["Tags"]
