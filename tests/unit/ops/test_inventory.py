"""What has a name of its own, and whether AWS has it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from failover.errors import Unavailable
from ops.inventory import Named, exists, named

REGION = "us-east-1"


class Services:
    """A stubbed client of each service that is asked for."""

    def __init__(self) -> None:
        self.stubs: dict[str, Stubber] = {}

    def stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            client = boto3.client(service, region_name=REGION, **keys)  # type: ignore[call-overload]
            self.stubs[service] = Stubber(client)
            self.stubs[service].activate()
        return self.stubs[service]

    def client(self, service: str, region: str) -> Any:
        assert region == REGION
        return self.stub(service).client


@pytest.fixture
def services() -> Iterator[Services]:
    found = Services()
    yield found
    for stub in found.stubs.values():
        stub.assert_no_pending_responses()


def test_names_are_taken_from_the_template_in_every_region_of_a_replica() -> None:
    template = {
        "Conditions": {"IsPrimary": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}},
        "Resources": {
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"BucketName": {"Fn::If": ["IsPrimary", "one", "two"]}},
            },
            "Table": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {"TableName": "t", "Replicas": [{"Region": REGION}, {"Region": "us-east-2"}]},
            },
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"Name": "s", "ReplicaRegions": [{"Region": "us-east-2"}]},
            },
            "Nameless": {"Type": "AWS::S3::Bucket"},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "x"}},
        },
    }
    assert set(named(template, REGION)) == {
        Named(REGION, "AWS::S3::Bucket", "one"),
        Named(REGION, "AWS::DynamoDB::GlobalTable", "t"),
        Named("us-east-2", "AWS::DynamoDB::GlobalTable", "t"),
        Named(REGION, "AWS::SecretsManager::Secret", "s"),
        Named("us-east-2", "AWS::SecretsManager::Secret", "s"),
    }
    assert Named("us-east-2", "AWS::S3::Bucket", "two") in set(named(template, "us-east-2"))


@pytest.mark.parametrize(
    ("kind", "service", "operation", "code"),
    [
        ("AWS::DynamoDB::GlobalTable", "dynamodb", "describe_table", "ResourceNotFoundException"),
        ("AWS::RDS::DBCluster", "rds", "describe_db_clusters", "DBClusterNotFoundFault"),
        ("AWS::RDS::DBInstance", "rds", "describe_db_instances", "DBInstanceNotFound"),
        ("AWS::RDS::GlobalCluster", "rds", "describe_global_clusters", "GlobalClusterNotFoundFault"),
        ("AWS::SecretsManager::Secret", "secretsmanager", "describe_secret", "ResourceNotFoundException"),
    ],
)
def test_only_its_own_error_means_that_it_is_not_there(
    services: Services, kind: str, service: str, operation: str, code: str
) -> None:
    thing = Named(REGION, kind, "x")
    stub = services.stub(service)
    stub.add_client_error(operation, code, http_status_code=400)
    assert not exists(thing, services.client)
    stub.add_client_error(operation, "AccessDeniedException", http_status_code=400)
    with pytest.raises(ClientError):
        exists(thing, services.client)
    stub.add_client_error(operation, "InternalError", http_status_code=500)
    with pytest.raises(Unavailable):
        exists(thing, services.client)
    stub.add_response(operation, {})
    assert exists(thing, services.client)


@pytest.mark.parametrize(("http", "there"), [(404, False), (403, True), (301, True)])
def test_a_bucket_of_somebody_else_is_taken_too(services: Services, http: int, there: bool) -> None:
    services.stub("s3").add_client_error("head_bucket", str(http), http_status_code=http)
    assert exists(Named(REGION, "AWS::S3::Bucket", "b"), services.client) is there


def test_a_vault_and_a_log_group_are_listed(services: Services) -> None:
    services.stub("backup").add_response(
        "list_backup_vaults", {"BackupVaultList": [{"BackupVaultName": "v"}]}
    )
    assert exists(Named(REGION, "AWS::Backup::BackupVault", "v"), services.client)
    services.stub("logs").add_response("describe_log_groups", {"logGroups": [{"logGroupName": "/a/b-other"}]})
    assert not exists(Named(REGION, "AWS::Logs::LogGroup", "/a/b"), services.client)
