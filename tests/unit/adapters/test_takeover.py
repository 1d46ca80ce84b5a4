"""A whole takeover against a real table; RDS answers as it is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber

from adapters.control import DynamoControl
from adapters.takeover import RegionalWorld
from failover.clock import Instant, SystemClock
from failover.control import Phase, first_record
from failover.errors import Unavailable
from failover.planner import (
    ACCEPTING,
    POSTING,
    Admit,
    Done,
    Fence,
    Finish,
    Mode,
    Promote,
    Recover,
    Run,
    Unknown,
    WaitLease,
)
from failover.takeover import Admitted, take_over
from tests.unit.adapters.conftest import EmbeddedAws

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

HERE, THERE = "us-east-1", "us-east-2"
ARN = "arn:aws:rds:{}:123456789012:cluster:ledger"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


class QuickClock(SystemClock):
    """Time passes when somebody waits."""

    slept = 0.0

    def now(self) -> Instant:
        return Instant(self.slept, 1_795_000_000.0 + self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture
def control(embedded_aws: EmbeddedAws) -> Iterator[DynamoControl]:
    client, table = embedded_aws.dynamodb(), f"control-{uuid4().hex}"
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    yield DynamoControl(client, table)
    client.delete_table(TableName=table)


@pytest.fixture
def rds() -> "RDSClient":
    return boto3.client("rds", region_name=THERE, aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def answers(rds: "RDSClient") -> Iterator[Stubber]:
    with Stubber(rds) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def world(control: DynamoControl, rds: "RDSClient") -> RegionalWorld:
    return RegionalWorld(
        record=control,
        clusters=rds,
        global_cluster="ledger",
        recover=lambda _epoch: True,
        clock=QuickClock(),
        reason="drill",
    )


def writer(answers: Stubber, region: str) -> None:
    members = [{"DBClusterArn": ARN.format(one), "IsWriter": one == region} for one in (HERE, THERE)]
    answers.add_response("describe_global_clusters", {"GlobalClusters": [{"GlobalClusterMembers": members}]})


def run(world: RegionalWorld, may: Any) -> Any:
    target = Run(THERE, Mode.UNGRACEFUL)
    until = world.clock.now().later(5)
    return take_over(target, may, world=world, clock=world.clock, until=until, report=lambda _: None)


def test_a_takeover_from_its_fence_to_steady(
    control: DynamoControl, world: RegionalWorld, answers: Stubber
) -> None:
    control.create(first_record(HERE, NOW))
    assert run(world, ACCEPTING) == Admitted(2)
    recovering = control.read()
    assert (recovering.active, recovering.phase, recovering.reason) == (THERE, Phase.RECOVERING, "drill")
    writer(answers, HERE)
    assert run(world, POSTING) == Promote(2, Mode.UNGRACEFUL)
    for _ in range(3):
        writer(answers, THERE)
    assert run(world, POSTING) == Done(2)
    assert control.read().phase is Phase.STEADY


def test_no_answer_is_unknown(world: RegionalWorld, answers: Stubber) -> None:
    assert isinstance(world.control(), Unknown)
    answers.add_client_error("describe_global_clusters", "InternalFailure", http_status_code=500)
    assert isinstance(world.writer(), Unknown)


def test_a_promotion_that_is_refused_is_no_answer_yet(world: RegionalWorld, answers: Stubber) -> None:
    writer(answers, HERE)
    answers.add_client_error("failover_global_cluster", "InvalidGlobalClusterStateFault")
    with pytest.raises(Unavailable, match="InvalidGlobalClusterStateFault"):
        world.do(Promote(2, Mode.UNGRACEFUL), THERE)


def test_what_is_behind_the_record_changes_nothing(control: DynamoControl, world: RegionalWorld) -> None:
    control.create(first_record(HERE, NOW))
    assert not world.do(Fence(4), THERE)
    assert not world.do(Admit(1), HERE)
    assert not world.do(Finish(1), HERE)
    assert control.read() == first_record(HERE, NOW)


def test_recovering_says_whether_it_is_complete(world: RegionalWorld) -> None:
    assert world.do(Recover(2), THERE)
    assert not replace(world, recover=lambda _epoch: False).do(Recover(2), THERE)
    assert world.do(WaitLease(2), THERE)
