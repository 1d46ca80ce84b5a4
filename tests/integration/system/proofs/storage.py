"""S3's, DynamoDB's, Secrets Manager's and KMS's own words about what they keep."""

import json
import string
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.integration.system.comparison import only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _bucket(bucket: Resource) -> Found:
    """Only what the template sets is asked for: some questions about what is not set are errors in S3."""
    s3, name = bucket.aws("s3"), bucket.physical_id
    location = s3.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1"
    if location != bucket.region:
        raise LookupError(f"it is in {location}")
    asked: Mapping[str, Callable[[], Any]] = {
        "BucketEncryption": lambda: _encryption(s3.get_bucket_encryption(Bucket=name)),
        "LifecycleConfiguration": lambda: _lifecycle(s3.get_bucket_lifecycle_configuration(Bucket=name)),
        "LoggingConfiguration": lambda: _logging(s3.get_bucket_logging(Bucket=name)),
        "ObjectLockConfiguration": lambda: s3.get_object_lock_configuration(Bucket=name)[
            "ObjectLockConfiguration"
        ],
        "ObjectLockEnabled": lambda: (
            s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]["ObjectLockEnabled"]
            == "Enabled"
        ),
        "OwnershipControls": lambda: s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"],
        "PublicAccessBlockConfiguration": lambda: s3.get_public_access_block(Bucket=name)[
            "PublicAccessBlockConfiguration"
        ],
        "ReplicationConfiguration": lambda: _replication(s3.get_bucket_replication(Bucket=name)),
        "Tags": lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"],
        "VersioningConfiguration": lambda: s3.get_bucket_versioning(Bucket=name),
    }
    found: Found = {"BucketName": name}
    for setting in bucket.properties.keys() & asked.keys():
        try:
            found[setting] = asked[setting]()
        except ClientError as error:
            found[setting] = error.response["Error"]["Code"]
    return found


def _encryption(answer: Found) -> Found:
    return {
        "ServerSideEncryptionConfiguration": [
            _renamed(rule, ApplyServerSideEncryptionByDefault="ServerSideEncryptionByDefault")
            for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]
        ]
    }


def _lifecycle(answer: Found) -> Found:
    rules = []
    for rule in answer["Rules"]:
        expiration = rule.get("Expiration", {})
        words = {
            "Id": rule["ID"],
            "ExpirationInDays": expiration.get("Days"),
            "ExpiredObjectDeleteMarker": expiration.get("ExpiredObjectDeleteMarker"),
            "Transitions": [_renamed(one, Days="TransitionInDays") for one in rule.get("Transitions", [])],
            "Prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix")),
        }
        rules.append(rule | words)
    return {"Rules": rules}


def _logging(answer: Found) -> Found:
    return _renamed(
        answer.get("LoggingEnabled", {}), TargetBucket="DestinationBucketName", TargetPrefix="LogFilePrefix"
    )


def _replication(answer: Found) -> Found:
    configuration: Found = answer["ReplicationConfiguration"]
    return configuration | {"Rules": [_renamed(rule, ID="Id") for rule in configuration["Rules"]]}


def _renamed(answer: Mapping[str, Any], **names: str) -> Found:
    return {names.get(name, name): value for name, value in answer.items()}


def _bucket_policy(policy: Resource) -> Found:
    bucket = policy.properties["Bucket"]
    document = policy.aws("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    return {"Bucket": bucket, "PolicyDocument": json.loads(document)}


def _global_table(table: Resource) -> Found:
    """Asked in the regions of its replicas, each for itself."""
    dynamodb = table.aws("dynamodb")
    described: Found = dynamodb.describe_table(TableName=table.physical_id)["Table"]
    expiry = dynamodb.describe_time_to_live(TableName=table.physical_id)["TimeToLiveDescription"]
    replicas = [_replica(table, region) for region in table.system.regions]
    return described | {
        "BillingMode": described["BillingModeSummary"]["BillingMode"],
        "GlobalTableWitnesses": [
            {"Region": one["RegionName"]} for one in described.get("GlobalTableWitnesses", [])
        ],
        "MultiRegionConsistency": described.get("MultiRegionConsistency", "EVENTUAL"),
        "Replicas": replicas,
        "SSESpecification": {
            "SSEEnabled": described["SSEDescription"]["Status"] == "ENABLED",
            "SSEType": described["SSEDescription"]["SSEType"],
        },
        "TimeToLiveSpecification": {
            "AttributeName": expiry.get("AttributeName"),
            "Enabled": expiry["TimeToLiveStatus"] == "ENABLED",
        },
    }


def _replica(table: Resource, region: str) -> Found:
    dynamodb = table.aws("dynamodb", region)
    described: Found = dynamodb.describe_table(TableName=table.physical_id)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=table.physical_id)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    key = described["SSEDescription"]["KMSMasterKeyArn"]
    return {
        "Region": region if f":{region}:" in described["TableArn"] else described["TableArn"],
        "DeletionProtectionEnabled": described["DeletionProtectionEnabled"],
        "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": recovery["PointInTimeRecoveryStatus"] == "ENABLED"
        },
        "SSESpecification": {"KMSMasterKeyId": _alias_of(table, region, key)},
    }


def _alias_of(resource: Resource, region: str, key: str | None) -> str | None:
    """The alias of a key in the region; templates name keys so."""
    if key is None or key.startswith("alias/"):
        return key
    pages = resource.aws("kms", region).get_paginator("list_aliases").paginate()
    aliases = [one for page in pages for one in page["Aliases"]]
    names = [one["AliasName"] for one in aliases if one.get("TargetKeyId") == key.rpartition("/")[2]]
    return names[0] if names else key


def _secret(secret: Resource) -> Found:
    """Of how the value was to be made, what can be told from the value."""
    manager = secret.aws("secretsmanager")
    described: Found = manager.describe_secret(SecretId=secret.physical_id)
    value = json.loads(manager.get_secret_value(SecretId=secret.physical_id)["SecretString"])
    generated = secret.properties["GenerateSecretString"]["GenerateStringKey"]
    password = value.pop(generated)
    replicas = [one for one in described.get("ReplicationStatus", []) if one["Status"] == "InSync"]
    return described | {
        "KmsKeyId": _alias_of(secret, secret.region, described["KmsKeyId"]),
        "ReplicaRegions": [
            {"Region": one["Region"], "KmsKeyId": _alias_of(secret, one["Region"], one["KmsKeyId"])}
            for one in replicas
        ],
        "GenerateSecretString": {
            "ExcludePunctuation": not set(password) & set(string.punctuation),
            "GenerateStringKey": generated,
            "PasswordLength": len(password),
            "SecretStringTemplate": json.dumps(value),
        },
    }


def _key(key: Resource) -> Found:
    kms = key.aws("kms")
    described: Found = kms.describe_key(KeyId=key.physical_id)["KeyMetadata"]
    if described["KeyState"] != "Enabled":
        raise LookupError(f"it is {described['KeyState']}")
    policy = kms.get_key_policy(KeyId=key.physical_id, PolicyName="default")["Policy"]
    rotation = kms.get_key_rotation_status(KeyId=key.physical_id)
    return described | {
        "EnableKeyRotation": rotation["KeyRotationEnabled"],
        "KeyPolicy": json.loads(policy),
    }


def _alias(alias: Resource) -> Found:
    pages = alias.aws("kms").get_paginator("list_aliases").paginate()
    found: Found = only(
        [one for page in pages for one in page["Aliases"] if one["AliasName"] == alias.physical_id]
    )
    return found


PROOFS = {
    "AWS::DynamoDB::GlobalTable": _global_table,
    "AWS::KMS::Alias": _alias,
    "AWS::KMS::Key": _key,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SecretsManager::Secret": _secret,
}
