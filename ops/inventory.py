"""What a build gives a name of its own and may outlive its stack, and whether AWS has it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, status, unknown_is_unavailable
from ops.partial import Document, Partial

Client = Callable[[str, str], Any]
"""A client of a service, in a region."""


@dataclass(frozen=True, slots=True, order=True)
class Named:
    region: str
    kind: str  # the resource's type
    name: str

    @property
    def text(self) -> str:
        return f"{_WORDS[self.kind]} {self.name} in {self.region}"


_NAME_PROPERTIES: Final = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::GlobalCluster": "GlobalClusterIdentifier",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Name",
}
_WORDS: Final = {
    "AWS::Backup::BackupVault": "backup vault",
    "AWS::DynamoDB::GlobalTable": "table",
    "AWS::Logs::LogGroup": "log group",
    "AWS::RDS::DBCluster": "database cluster",
    "AWS::RDS::DBInstance": "database instance",
    "AWS::RDS::GlobalCluster": "global cluster",
    "AWS::S3::Bucket": "bucket",
    "AWS::SecretsManager::Secret": "secret",
}


def named(template: Document, region: str) -> Iterator[Named]:
    """Of a stack made of the template in that region; replicas in their own regions."""
    for resource in Partial(template, region, {}).resources().values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        name = properties.get(_NAME_PROPERTIES.get(kind, ""))
        if not isinstance(name, str):
            continue
        for where in {region, *_replicas(kind, properties)}:
            yield Named(where, kind, name)


def _replicas(kind: str, properties: Mapping[str, Any]) -> list[str]:
    listed = {"AWS::DynamoDB::GlobalTable": "Replicas", "AWS::SecretsManager::Secret": "ReplicaRegions"}
    return [one["Region"] for one in properties.get(listed.get(kind, ""), ())]


def exists(thing: Named, client: Client) -> bool:
    """Whether AWS has it, somebody else's bucket of that name included. Raises Unavailable."""
    with unknown_is_unavailable(thing.text):
        return _ASKED[thing.kind](client, thing)


def _described(service: str, operation: str, parameter: str, *absent: str) -> Callable[[Client, Named], bool]:
    """Whether describing it finds something; only these codes mean that there is nothing."""

    def ask(client: Client, thing: Named) -> bool:
        try:
            getattr(client(service, thing.region), operation)(**{parameter: thing.name})
        except ClientError as error:
            if code(error) in absent:
                return False
            raise
        return True

    return ask


def _bucket(client: Client, thing: Named) -> bool:
    """Names are unique over all accounts: of another's bucket, S3 says "forbidden"."""
    try:
        client("s3", thing.region).head_bucket(Bucket=thing.name)
    except ClientError as error:
        if status(error) == 404:
            return False
        if status(error) not in (301, 403):
            raise
    return True


def _vault(client: Client, thing: Named) -> bool:
    """Listed, because describing one that is not there is answered like one that may not be seen."""
    pages = client("backup", thing.region).get_paginator("list_backup_vaults").paginate()
    return any(vault["BackupVaultName"] == thing.name for page in pages for vault in page["BackupVaultList"])


def _log_group(client: Client, thing: Named) -> bool:
    logs = client("logs", thing.region)
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=thing.name)
    return any(group["logGroupName"] == thing.name for page in pages for group in page["logGroups"])


_ASKED: Final[Mapping[str, Callable[[Client, Named], bool]]] = {
    "AWS::Backup::BackupVault": _vault,
    "AWS::DynamoDB::GlobalTable": _described(
        "dynamodb", "describe_table", "TableName", "ResourceNotFoundException"
    ),
    "AWS::Logs::LogGroup": _log_group,
    "AWS::RDS::DBCluster": _described(
        "rds", "describe_db_clusters", "DBClusterIdentifier", "DBClusterNotFoundFault"
    ),
    "AWS::RDS::DBInstance": _described(
        "rds",
        "describe_db_instances",
        "DBInstanceIdentifier",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
    ),
    "AWS::RDS::GlobalCluster": _described(
        "rds", "describe_global_clusters", "GlobalClusterIdentifier", "GlobalClusterNotFoundFault"
    ),
    "AWS::S3::Bucket": _bucket,
    "AWS::SecretsManager::Secret": _described(
        "secretsmanager", "describe_secret", "SecretId", "ResourceNotFoundException"
    ),
}
