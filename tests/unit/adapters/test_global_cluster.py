from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from adapters.global_cluster import members
from failover.errors import Unavailable
from failover.writer import Member

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

HERE = "arn:aws:rds:us-east-1:123456789012:cluster:payments-ledger-primary-prod"
THERE = "arn:aws:rds:us-east-2:123456789012:cluster:payments-ledger-secondary-prod"


@pytest.fixture
def client() -> "RDSClient":
    return boto3.client(
        "rds", region_name="us-east-2", aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.fixture
def rds(client: "RDSClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def _answers(rds: Stubber, *global_clusters: dict[str, Any]) -> None:
    asked = {"GlobalClusterIdentifier": "payments-ledger-prod"}
    rds.add_response("describe_global_clusters", {"GlobalClusters": list(global_clusters)}, asked)


def test_members_are_known_by_region_and_name(client: "RDSClient", rds: Stubber) -> None:
    described = [{"DBClusterArn": HERE, "IsWriter": True}, {"DBClusterArn": THERE, "IsWriter": False}]
    _answers(rds, {"GlobalClusterMembers": described})
    assert members(client, "payments-ledger-prod") == (
        Member("us-east-1", "payments-ledger-primary-prod", writer=True),
        Member("us-east-2", "payments-ledger-secondary-prod", writer=False),
    )


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [{}],
        [{"GlobalClusterMembers": [{"DBClusterArn": HERE}]}],
        [{"GlobalClusterMembers": [{"IsWriter": True}]}],
        [{"GlobalClusterMembers": [{"DBClusterArn": "", "IsWriter": False}]}],
        [{"GlobalClusterMembers": []}, {"GlobalClusterMembers": []}],
    ],
)
def test_an_answer_that_does_not_tell_is_unknown(
    client: "RDSClient", rds: Stubber, answer: list[dict[str, Any]]
) -> None:
    _answers(rds, *answer)
    with pytest.raises(Unavailable, match="payments-ledger-prod: unreadable"):
        members(client, "payments-ledger-prod")


def test_a_global_cluster_that_is_not_there_is_unknown(client: "RDSClient", rds: Stubber) -> None:
    rds.add_client_error("describe_global_clusters", "GlobalClusterNotFoundFault", http_status_code=404)
    with pytest.raises(Unavailable, match="payments-ledger-prod: not there"):
        members(client, "payments-ledger-prod")


def test_a_missing_answer_is_unknown(client: "RDSClient", rds: Stubber) -> None:
    rds.add_client_error("describe_global_clusters", "Throttling", http_status_code=400)
    with pytest.raises(Unavailable, match="Throttling"):
        members(client, "payments-ledger-prod")


def test_a_missing_permission_is_ours_to_repair(client: "RDSClient", rds: Stubber) -> None:
    rds.add_client_error("describe_global_clusters", "AccessDenied", http_status_code=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        members(client, "payments-ledger-prod")
