"""Global tables, buckets, secrets, health checks: what a template says is what the service describes."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    WITNESS,
    EmbeddedAws,
    delete,
    deploy,
    outputs,
    reasons,
)

KEY_TEMPLATE = {
    "Resources": {
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeyPolicy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
                            "Action": "kms:*",
                            "Resource": "*",
                        }
                    ],
                }
            },
        },
        "Alias": {
            "Type": "AWS::KMS::Alias",
            "Properties": {"AliasName": "alias/data", "TargetKeyId": {"Ref": "Key"}},
        },
    },
    "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}},
}


@pytest.fixture(scope="module")
def keys(aws: EmbeddedAws) -> dict[str, str]:
    """The ARN behind `alias/data` in each region."""
    for region in (HOME, PEER):
        assert deploy(aws, "keys", KEY_TEMPLATE, region) == "CREATE_COMPLETE"
    return {region: outputs(aws, "keys", region)["Arn"] for region in (HOME, PEER)}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def table(name: str, **more: Any) -> dict[str, Any]:
    replica = {
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "SSESpecification": {"KMSMasterKeyId": "alias/data"},
    }
    properties = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
        "Replicas": [{"Region": PEER, **replica}, {"Region": HOME, **replica}],
        **more,
    }
    return {
        "Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {key: value for key, value in properties.items() if value is not None},
            }
        }
    }


STRONG = {"MultiRegionConsistency": "STRONG", "GlobalTableWitnesses": [{"Region": WITNESS}]}


def test_a_strong_table_has_two_replicas_and_a_witness(aws: EmbeddedAws, keys: dict[str, str]) -> None:
    name = unique("journal")
    assert deploy(aws, name, table(name, **STRONG)) == "CREATE_COMPLETE", reasons(aws, name)
    for region, other in ((HOME, PEER), (PEER, HOME)):
        client = aws.client("dynamodb", region)
        described = client.describe_table(TableName=name)["Table"]
        assert described["MultiRegionConsistency"] == "STRONG"
        assert described["GlobalTableWitnesses"] == [{"RegionName": WITNESS, "WitnessStatus": "ACTIVE"}]
        assert described["SSEDescription"]["KMSMasterKeyArn"] == keys[region]
        assert [replica["RegionName"] for replica in described["Replicas"]] == [other]
        recovery = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    aws.client("dynamodb", PEER).put_item(TableName=name, Item={"id": {"S": "1"}})
    read = aws.client("dynamodb").get_item(TableName=name, Key={"id": {"S": "1"}}, ConsistentRead=True)
    assert read["Item"] == {"id": {"S": "1"}}
    with pytest.raises(ClientError, match="ResourceNotFound"):
        aws.client("dynamodb", WITNESS).describe_table(TableName=name)
    assert delete(aws, name) == "DELETE_COMPLETE"
    for region in (HOME, PEER):
        with pytest.raises(ClientError, match="ResourceNotFound"):
            aws.client("dynamodb", region).describe_table(TableName=name)


def test_an_update_keeps_the_items_and_protection_stops_deletion(
    aws: EmbeddedAws, keys: dict[str, str]
) -> None:
    name = unique("sessions")
    expiry = {"TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True}}
    assert deploy(aws, name, table(name)) == "CREATE_COMPLETE", reasons(aws, name)
    client = aws.client("dynamodb", PEER)
    client.put_item(TableName=name, Item={"id": {"S": "kept"}})
    changed = table(name, **expiry)
    properties = changed["Resources"]["Table"]["Properties"]
    for replica in properties["Replicas"]:
        replica["DeletionProtectionEnabled"] = True
    properties["AttributeDefinitions"].append({"AttributeName": "open", "AttributeType": "S"})
    properties["GlobalSecondaryIndexes"] = [
        {
            "IndexName": "open",
            "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ]
    assert deploy(aws, name, changed) == "UPDATE_COMPLETE", reasons(aws, name)
    described = client.describe_table(TableName=name)["Table"]
    assert described["DeletionProtectionEnabled"]
    assert [index["IndexName"] for index in described["GlobalSecondaryIndexes"]] == ["open"]
    assert (
        client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "expires_at"
    )
    assert client.get_item(TableName=name, Key={"id": {"S": "kept"}})["Item"]
    assert delete(aws, name) == "DELETE_FAILED"
    assert "protected against deletion" in reasons(aws, name)
    for replica in properties["Replicas"]:
        replica["DeletionProtectionEnabled"] = False
    for region in (HOME, PEER):
        aws.client("dynamodb", region).update_table(TableName=name, DeletionProtectionEnabled=False)
    assert delete(aws, name) == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {**STRONG, "TimeToLiveSpecification": {"AttributeName": "x", "Enabled": True}},
            "TimeToLiveSpecification is not supported",
        ),
        ({"MultiRegionConsistency": "STRONG"}, "two replicas and one witness"),
        ({**STRONG, "GlobalTableWitnesses": [{"Region": "eu-west-1"}]}, "region set"),
        ({"Replicas": [{"Region": PEER}]}, "must include the region of the stack"),
        ({"StreamSpecification": None}, "StreamSpecification is required"),
        ({"Replicas": [{"Region": HOME, "Wrong": 1}]}, "#/Replicas/0: extraneous key [Wrong]"),
        (
            {"Replicas": [{"Region": HOME, "SSESpecification": {"KMSMasterKeyId": "alias/none"}}]},
            "KMSKeyNotAccessibleFault",
        ),
    ],
)
def test_tables_that_aws_refuses(
    aws: EmbeddedAws, keys: dict[str, str], more: dict[str, Any], reason: str
) -> None:
    name = unique("refused")
    assert deploy(aws, name, table(name, **more)) == "ROLLBACK_COMPLETE"
    assert reason in reasons(aws, name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        aws.client("dynamodb").describe_table(TableName=name)


def bucket(name: str, **more: Any) -> dict[str, Any]:
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/data"}
    return {
        "Resources": {
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": name,
                    "BucketEncryption": {
                        "ServerSideEncryptionConfiguration": [
                            {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": key}
                        ]
                    },
                    "LifecycleConfiguration": {
                        "Rules": [
                            {
                                "Id": "old",
                                "Status": "Enabled",
                                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                            }
                        ]
                    },
                    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                    "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True},
                    "VersioningConfiguration": {"Status": "Enabled"},
                    "Tags": [{"Key": "holds", "Value": "code"}],
                    **more,
                },
            }
        }
    }


def test_a_bucket_is_as_its_template_says(aws: EmbeddedAws, keys: dict[str, str]) -> None:
    name, s3 = unique("code"), aws.client("s3")
    assert deploy(aws, name, bucket(name)) == "CREATE_COMPLETE", reasons(aws, name)
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == "alias/data"
    assert encryption["BucketKeyEnabled"] is True
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    ownership = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
    assert {"Key": "holds", "Value": "code"} in s3.get_bucket_tagging(Bucket=name)["TagSet"]

    unlimited = bucket(name)
    del unlimited["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]
    s3.put_object(Bucket=name, Key="kept", Body=b"1")
    assert deploy(aws, name, unlimited) == "UPDATE_COMPLETE", reasons(aws, name)
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=name)
    assert delete(aws, name) == "DELETE_FAILED"
    assert "BucketNotEmpty" in reasons(aws, name)
    for version in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    assert delete(aws, name) == "DELETE_COMPLETE"


def test_a_secret_has_the_same_value_in_both_regions(aws: EmbeddedAws, keys: dict[str, str]) -> None:
    name = unique("payments/master")
    template: dict[str, Any] = {
        "Resources": {
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {
                    "Name": name,
                    "KmsKeyId": "alias/data",
                    "ReplicaRegions": [{"Region": PEER, "KmsKeyId": "alias/data"}],
                    "GenerateSecretString": {
                        "SecretStringTemplate": '{"username": "ledger_master"}',
                        "GenerateStringKey": "password",
                        "PasswordLength": 40,
                        "ExcludePunctuation": True,
                    },
                },
            },
            "Copy": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {
                    "Type": "String",
                    "Value": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:username}}"},
                },
            },
        },
        "Outputs": {"Ref": {"Value": {"Ref": "Secret"}}, "Parameter": {"Value": {"Ref": "Copy"}}},
    }
    stack = unique("secret")
    assert deploy(aws, stack, template) == "CREATE_COMPLETE", reasons(aws, stack)
    values = [
        json.loads(aws.client("secretsmanager", region).get_secret_value(SecretId=name)["SecretString"])
        for region in (HOME, PEER)
    ]
    assert values[0] == values[1]
    assert values[0]["username"] == "ledger_master"
    assert len(values[0]["password"]) == 40
    assert values[0]["password"].isalnum()
    assert outputs(aws, stack)["Ref"].startswith(f"arn:aws:secretsmanager:{HOME}:")
    parameter = aws.client("ssm").get_parameter(Name=outputs(aws, stack)["Parameter"])["Parameter"]
    assert parameter["Value"] == "ledger_master"
    in_peer = {"Resources": {"Copy": json.loads(json.dumps(template["Resources"]["Copy"]))}}
    in_peer["Resources"]["Copy"]["Properties"]["Value"] = (
        f"{{{{resolve:secretsmanager:{name}:SecretString:username}}}}"
    )
    assert deploy(aws, stack, in_peer, PEER) == "CREATE_COMPLETE", reasons(aws, stack, PEER)
    assert delete(aws, stack) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="ResourceNotFound"):
        aws.client("secretsmanager", PEER).get_secret_value(SecretId=name)


def test_health_checks_and_the_records_that_name_them(aws: EmbeddedAws) -> None:
    route53, stack = aws.client("route53"), unique("dns")
    zone = route53.create_hosted_zone(Name="payments.test", CallerReference=stack)["HostedZone"]["Id"]
    record = {"Name": "payments.test", "Type": "A", "SetIdentifier": "primary", "Failover": "PRIMARY"}
    alias = {"DNSName": "d-1.execute-api.us-east-1.amazonaws.com", "HostedZoneId": "Z1UJRXOUMOOFQ8"}
    template: dict[str, Any] = {
        "Resources": {
            "Check": {
                "Type": "AWS::Route53::HealthCheck",
                "Properties": {
                    "HealthCheckConfig": {
                        "Type": "HTTPS",
                        "FullyQualifiedDomainName": "primary.payments.test",
                        "ResourcePath": "/health",
                        "RequestInterval": 10,
                        "FailureThreshold": "3",
                    },
                    "HealthCheckTags": [{"Key": "Name", "Value": "primary"}],
                },
            },
            "Record": {
                "Type": "AWS::Route53::RecordSet",
                "Properties": {
                    **record,
                    "HostedZoneId": zone.removeprefix("/hostedzone/"),
                    "AliasTarget": alias,
                    "HealthCheckId": {"Ref": "Check"},
                },
            },
            "Group": {
                "Type": "AWS::Route53::RecordSetGroup",
                "Properties": {
                    "HostedZoneId": zone.removeprefix("/hostedzone/"),
                    "RecordSets": [
                        {
                            "Name": "a.payments.test",
                            "Type": "A",
                            "TTL": "60",
                            "ResourceRecords": ["192.0.2.1"],
                        }
                    ],
                },
            },
        },
        "Outputs": {"Check": {"Value": {"Ref": "Check"}}},
    }
    assert deploy(aws, stack, template) == "CREATE_COMPLETE", reasons(aws, stack)
    check = outputs(aws, stack)["Check"]
    config = route53.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    assert (config["RequestInterval"], config["FailureThreshold"], config["Port"]) == (10, 3, 443)
    assert config["EnableSNI"] is True
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    by_name = {item["Name"]: item for item in records if item["Type"] == "A"}
    assert by_name["payments.test."]["HealthCheckId"] == check
    assert by_name["a.payments.test."]["ResourceRecords"] == [{"Value": "192.0.2.1"}]

    template["Resources"]["Record"]["Properties"]["HealthCheckId"] = str(uuid.uuid4())
    assert deploy(aws, stack, template) == "UPDATE_ROLLBACK_COMPLETE"
    assert "No health check exists" in reasons(aws, stack)
    assert delete(aws, stack) == "DELETE_COMPLETE"
    left = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert {item["Type"] for item in left} == {"SOA", "NS"}
