"""Whether a release migrates here: the global cluster decides, and not knowing fails the release."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from adapters.custom_resource import Failed, Request
from adapters.schema import NOT_THE_WRITER
from handlers.migrate import act, applied
from tests.unit.adapters.fakes import FakeSecretsManager

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

ENVIRONMENT = {
    "AWS_REGION": "us-east-2",
    "GLOBAL_CLUSTER": "ledger",
    "DATABASE_CLUSTER": "ledger-secondary",
    "DATABASE_HOST": "ledger-secondary.invalid",  # as the endpoint of a cluster without a writer may be
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "ledger",
    "MASTER_SECRET": "master",
    "MIGRATOR_SECRET": "migrator",
    "APPLICATION_SECRET": "application",
}


@pytest.fixture
def clusters() -> "RDSClient":
    return boto3.client(
        "rds", region_name="us-east-2", aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.fixture
def rds(clusters: "RDSClient") -> Iterator[Stubber]:
    with Stubber(clusters) as stubber:
        yield stubber


def _writer_is(rds: Stubber, writer: str | None) -> None:
    described = [
        {
            "DBClusterArn": f"arn:aws:rds:{region}:123456789012:cluster:ledger-{place}",
            "IsWriter": place == writer,
        }
        for region, place in (("us-east-1", "primary"), ("us-east-2", "secondary"))
    ]
    rds.add_response("describe_global_clusters", {"GlobalClusters": [{"GlobalClusterMembers": described}]})


def test_who_is_not_the_writer_never_connects(clusters: "RDSClient", rds: Stubber) -> None:
    _writer_is(rds, "primary")
    manager = FakeSecretsManager()
    assert applied(ENVIRONMENT, clusters, manager.secrets()) == NOT_THE_WRITER
    assert manager.reads == 0


def test_the_writer_connects_and_a_database_out_of_reach_fails_the_release(
    clusters: "RDSClient", rds: Stubber
) -> None:
    _writer_is(rds, "secondary")
    manager = FakeSecretsManager(master="one", migrator="two", application="three")
    with pytest.raises(Failed, match=r"database ledger-secondary\.invalid: OperationalError"):
        applied(ENVIRONMENT, clusters, manager.secrets())


def test_without_a_writer_the_release_fails(clusters: "RDSClient", rds: Stubber) -> None:
    _writer_is(rds, None)
    with pytest.raises(Failed, match=r"0 of 2 members.*deploy again"):
        applied(ENVIRONMENT, clusters, FakeSecretsManager().secrets())


@pytest.mark.parametrize("error", ["GlobalClusterNotFoundFault", "Throttling"])
def test_a_global_cluster_that_does_not_answer_fails_the_release(
    clusters: "RDSClient", rds: Stubber, error: str
) -> None:
    rds.add_client_error("describe_global_clusters", error)
    with pytest.raises(Failed, match=r"global cluster ledger: .*deploy again"):
        applied(ENVIRONMENT, clusters, FakeSecretsManager().secrets())


def test_a_secret_that_cannot_be_read_fails_the_release(clusters: "RDSClient", rds: Stubber) -> None:
    _writer_is(rds, "secondary")
    manager = FakeSecretsManager()
    manager.down = True
    with pytest.raises(Failed, match="secret"):
        applied(ENVIRONMENT, clusters, manager.secrets())


def test_deleting_asks_nobody() -> None:
    assert act(Request("Delete", "Custom::SchemaMigration", {}, 0.0)) == {}
