"""A function in a VPC reaches what its network leads to: take a piece away, and its effect is gone."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3.session
import pytest

from lab.plan import LabPlan
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region
from tests.integration.lab.vpc_stack import function_in_a_vpc

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def region(lab: LabPlan, aws: boto3.session.Session) -> Region:
    return Region(lab, aws, "us-east-1")


@pytest.fixture
def made(region: Region) -> Iterator[dict[str, str]]:
    yield region.deploy("reach", function_in_a_vpc())
    region.remove("reach")


@pytest.fixture
def ec2(lab: LabPlan, aws: boto3.session.Session) -> Any:
    return aws.client("ec2", region_name="us-east-1", endpoint_url=lab.regions["us-east-1"].proxy_url)


def ask(region: Region, made: dict[str, str], what: str, endpoint: str = "Address") -> Any:
    event = {"asks": what, "host": made[endpoint], "port": int(made["Port"])}
    answer = region.functions.invoke(FunctionName="reach", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def from_application(made: dict[str, str]) -> dict[str, Any]:
    """The rule of the database's security group."""
    return {
        "IpProtocol": "tcp",
        "FromPort": 5432,
        "ToPort": 5432,
        "UserIdGroupPairs": [{"GroupId": made["Application"]}],
    }


def start_anew(region: Region, timeout: int) -> None:
    """A changed configuration makes Lambda start new processes."""
    region.functions.update_function_configuration(FunctionName="reach", Timeout=timeout)
    region.functions.get_waiter("function_updated_v2").wait(
        FunctionName="reach", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


@pytest.mark.parametrize("endpoint", ["Address", "Readers"])
def test_without_its_rule_the_database_hangs_up(
    region: Region, made: dict[str, str], ec2: Any, endpoint: str
) -> None:
    assert ask(region, made, "database", endpoint) == "S"
    permission = from_application(made)
    ec2.revoke_security_group_ingress(GroupId=made["Database"], IpPermissions=[permission])
    eventually(lambda: ask(region, made, "database", endpoint) == "")
    ec2.authorize_security_group_ingress(GroupId=made["Database"], IpPermissions=[permission])
    eventually(lambda: ask(region, made, "database", endpoint) == "S")


def test_flow_logs_tell_what_was_let_in_and_what_was_not(
    lab: LabPlan, aws: boto3.session.Session, region: Region, made: dict[str, str], ec2: Any
) -> None:
    logs = aws.client("logs", region_name="us-east-1", endpoint_url=lab.regions["us-east-1"].proxy_url)
    began = int(time.time())

    def recorded(port: int, action: str) -> bool:
        """Since this test began: what the network before it let in may still be delivered."""
        events = logs.filter_log_events(logGroupName="reach-flows")["events"]
        fields = [event["message"].split() for event in events]
        return any(
            record[6] == str(port) and record[12] == action and int(record[10]) >= began for record in fields
        )

    def let_in() -> bool:
        assert ask(region, made, "database") == "S"
        assert ask(region, made, "identity") == "reached"
        return recorded(5432, "ACCEPT") and recorded(443, "ACCEPT")

    eventually(let_in)
    assert not recorded(5432, "REJECT")
    ec2.revoke_security_group_ingress(GroupId=made["Database"], IpPermissions=[from_application(made)])
    eventually(lambda: ask(region, made, "database") == "")
    eventually(lambda: recorded(5432, "REJECT"))


def test_without_its_route_only_gateway_endpoints_are_left(
    region: Region, made: dict[str, str], ec2: Any
) -> None:
    assert ask(region, made, "identity") == "reached"
    assert ask(region, made, "tables") == "reached"
    assert "502" in ask(region, made, "https")  # no such name; but somebody was asked
    ec2.delete_route(RouteTableId=made["PrivateRoutes"], DestinationCidrBlock="0.0.0.0/0")
    start_anew(region, 11)
    eventually(lambda: ask(region, made, "identity") == "EndpointConnectionError")
    assert ask(region, made, "tables") == "reached"
    assert "refused" in ask(region, made, "https")
    ec2.create_route(
        RouteTableId=made["PrivateRoutes"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=made["Nat"]
    )
