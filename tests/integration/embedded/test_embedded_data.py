"""Global tables, buckets, secrets, health checks: what a template says is what the service describes."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.outages import Outages
from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    WITNESS,
    EmbeddedAws,
    delete,
    deploy,
    during,
    eventually,
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


@pytest.mark.parametrize(
    ("now", "served"),
    [
        (Outages(cut=frozenset({HOME})), {PEER}),
        (Outages(down=frozenset({HOME})), {PEER}),
        (Outages(down=frozenset({WITNESS})), {HOME, PEER}),
        (Outages(down=frozenset({WITNESS, HOME})), set()),
        (Outages(cut=frozenset({HOME}), down=frozenset({WITNESS})), set()),
    ],
)
def test_a_strong_table_is_served_where_two_of_three_regions_are_together(
    aws: EmbeddedAws, keys: dict[str, str], now: Outages, served: set[str]
) -> None:
    name = unique("journal")
    assert deploy(aws, name, table(name, **STRONG)) == "CREATE_COMPLETE", reasons(aws, name)
    clients = {region: aws.client("dynamodb", region) for region in (HOME, PEER)}
    named = {"TableName": name}
    put = {**named, "Item": {"id": {"S": "1"}}}
    requests: dict[str, dict[str, Any]] = {
        "put_item": put,
        "get_item": {**named, "Key": {"id": {"S": "1"}}},
        "batch_get_item": {"RequestItems": {name: {"Keys": [{"id": {"S": "1"}}]}}},
        "transact_write_items": {"TransactItems": [{"Put": put}]},
    }
    with during(aws, now), ThreadPoolExecutor(8) as threads:

        def answered(region: str, action: str) -> bool:
            try:
                getattr(clients[region], action)(**requests[action])
            except ClientError as error:
                return error.response["Error"]["Code"] != "InternalServerError"
            return True

        asked = [(region, action) for region in clients for action in requests]
        answers = list(threads.map(answered, *zip(*asked, strict=True)))
        clients[HOME].describe_table(TableName=name)
    assert {one for one, was in zip(asked, answers, strict=True) if was} == {
        (region, action) for region in served for action in requests
    }
    assert clients[HOME].get_item(**requests["get_item"])
    assert delete(aws, name) == "DELETE_COMPLETE"


def test_what_hangs_goes_on_when_the_regions_are_together_again(
    aws: EmbeddedAws, keys: dict[str, str]
) -> None:
    name = unique("journal")
    assert deploy(aws, name, table(name, **STRONG)) == "CREATE_COMPLETE", reasons(aws, name)
    with ThreadPoolExecutor(1) as threads:
        with during(aws, Outages(cut=frozenset({HOME}))):
            hangs = threads.submit(aws.client("dynamodb").put_item, TableName=name, Item={"id": {"S": "1"}})
            time.sleep(0.5)
            assert not hangs.done()
        assert hangs.result()
    assert delete(aws, name) == "DELETE_COMPLETE"


def test_an_eventual_table_is_copied_later_and_its_last_writes_stay(
    aws: EmbeddedAws, keys: dict[str, str]
) -> None:
    name = unique("sessions")
    assert deploy(aws, name, table(name)) == "CREATE_COMPLETE", reasons(aws, name)
    clients = {region: aws.client("dynamodb", region) for region in (HOME, PEER)}

    def put(region: str, key: str, value: str) -> None:
        item = {"id": {"S": key}, "of": {"S": value}}
        clients[region].put_item(TableName=name, Item=item)

    def held(region: str) -> dict[str, str]:
        items = clients[region].scan(TableName=name)["Items"]
        return {item["id"]["S"]: item["of"]["S"] for item in items}

    put(HOME, "before", "both")
    put(HOME, "gone", "both")
    with during(aws, Outages(cut=frozenset({HOME}))):
        assert held(HOME) == held(PEER) == {"before": "both", "gone": "both"}
        put(HOME, "first here", "here")
        put(PEER, "first here", "there")
        put(PEER, "first there", "there")
        put(HOME, "first there", "here")
        put(HOME, "here", "1")
        put(HOME, "here", "2")
        clients[PEER].delete_item(TableName=name, Key={"id": {"S": "gone"}})
        assert held(PEER).keys() == {"before", "first here", "first there"}
    together = {"before": "both", "first here": "there", "first there": "here", "here": "2"}
    eventually(lambda: held(HOME) == together, "what the other region wrote")
    assert held(PEER) == together
    put(PEER, "here", "3")
    assert held(HOME)["here"] == "3"
    assert delete(aws, name) == "DELETE_COMPLETE"


def test_a_secret_s_replica_has_the_old_value_until_there_is_a_way(aws: EmbeddedAws) -> None:
    name = unique("password")
    home, peer = (aws.client("secretsmanager", region) for region in (HOME, PEER))
    home.create_secret(Name=name, SecretString="old")
    home.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": PEER}])
    with during(aws, Outages(down=frozenset({PEER}))):
        home.put_secret_value(SecretId=name, SecretString="newer")
        home.put_secret_value(SecretId=name, SecretString="newest")
        assert home.get_secret_value(SecretId=name)["SecretString"] == "newest"
        assert peer.get_secret_value(SecretId=name)["SecretString"] == "old"
    eventually(lambda: peer.get_secret_value(SecretId=name)["SecretString"] == "newest", "the replica has it")


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
