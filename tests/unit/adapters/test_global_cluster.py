from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from adapters.global_cluster import global_database, members, promote
from failover.errors import Refused, Unavailable
from failover.planner import Mode
from failover.writer import Change, GlobalDatabase, Member

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


def _describes(rds: Stubber, **more: Any) -> None:
    described = [{"DBClusterArn": HERE, "IsWriter": True}, {"DBClusterArn": THERE, "IsWriter": False}]
    _answers(rds, {"GlobalClusterMembers": described, **more})


def test_a_graceful_promotion_waits_for_the_old_writer(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    rds.add_response(
        "switchover_global_cluster",
        {},
        {"GlobalClusterIdentifier": "payments-ledger-prod", "TargetDbClusterIdentifier": THERE},
    )
    assert not promote(client, "payments-ledger-prod", "us-east-2", Mode.GRACEFUL)


def test_an_ungraceful_promotion_goes_without_it(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    rds.add_response(
        "failover_global_cluster",
        {},
        {
            "GlobalClusterIdentifier": "payments-ledger-prod",
            "TargetDbClusterIdentifier": THERE,
            "AllowDataLoss": True,
        },
    )
    assert not promote(client, "payments-ledger-prod", "us-east-2", Mode.UNGRACEFUL)


def test_the_writer_is_not_promoted_again(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    assert promote(client, "payments-ledger-prod", "us-east-1", Mode.UNGRACEFUL)


def test_a_promotion_under_way_is_not_asked_for_again(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds, FailoverState={"Status": "failing-over", "ToDbClusterArn": THERE})
    assert not promote(client, "payments-ledger-prod", "us-east-2", Mode.UNGRACEFUL)


def test_a_promotion_that_rds_refuses_says_so(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    rds.add_client_error("switchover_global_cluster", "InvalidGlobalClusterStateFault")
    with pytest.raises(Refused, match="graceful promotion of us-east-2: InvalidGlobalClusterStateFault"):
        promote(client, "payments-ledger-prod", "us-east-2", Mode.GRACEFUL)


def test_who_is_no_member_cannot_be_promoted(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    with pytest.raises(Unavailable, match="unreadable"):
        promote(client, "payments-ledger-prod", "eu-west-1", Mode.UNGRACEFUL)


def test_forbidden_is_not_unknown(client: "RDSClient", rds: Stubber) -> None:
    _describes(rds)
    rds.add_client_error("failover_global_cluster", "AccessDenied")
    with pytest.raises(ClientError):
        promote(client, "payments-ledger-prod", "us-east-2", Mode.UNGRACEFUL)


def test_the_whole_of_it_says_what_changes_over(client: "RDSClient", rds: Stubber) -> None:
    described = [{"DBClusterArn": HERE, "IsWriter": True, "SynchronizationStatus": "pending-resync"}]
    (member,) = (Member("us-east-1", "payments-ledger-primary-prod", writer=True, connected=False),)
    under_way = {"Status": "failing-over", "ToDbClusterArn": THERE, "IsDataLossAllowed": True}
    answers: tuple[tuple[dict[str, Any], Change | None], ...] = (
        ({}, None),
        ({"FailoverState": {}}, None),
        ({"FailoverState": under_way}, Change("failing-over", "us-east-2", loses_data=True)),
    )
    for answer, change in answers:
        _answers(rds, {"Status": "available", "GlobalClusterMembers": described, **answer})
        found = global_database(client, "payments-ledger-prod")
        assert found == GlobalDatabase("available", (member,), change)


@pytest.mark.parametrize("odd", [{}, {"Status": "available", "FailoverState": {"Status": "pending"}}])
def test_what_makes_no_sense_is_unknown(client: "RDSClient", rds: Stubber, odd: dict[str, Any]) -> None:
    _answers(rds, {"GlobalClusterMembers": [], **odd})
    with pytest.raises(Unavailable, match="unreadable"):
        global_database(client, "payments-ledger-prod")
