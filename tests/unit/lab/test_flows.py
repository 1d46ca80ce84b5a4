"""What is noted of a connection: where it was let through, and how far it came."""

from pathlib import Path

import pytest

from lab.flows import Flows, flows_file, read_flow
from lab.network import Obstacle, Placement
from lab.plan import plan_lab

REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}


@pytest.mark.parametrize(
    ("obstacle", "left", "entered"),
    [
        (None, True, True),
        (Obstacle.NOT_LET_OUT, False, None),
        (Obstacle.NOT_LET_IN, True, False),
        (Obstacle.NO_ROUTE, True, None),
    ],
)
def test_a_connection_is_noted_where_it_was_seen(
    tmp_path: Path, obstacle: Obstacle | None, left: bool, entered: bool | None
) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test", base_port=20000)
    with Flows(plan) as flows:
        flows.to_database("us-east-1", Placement(("a",), ("g",)), 4000, plan.regions["us-east-2"], obstacle)
    (line,) = flows_file(plan).read_text().splitlines()
    flow = read_flow(line)
    assert (flow.left, flow.entered) == (left, entered)
    assert (flow.subnets, flow.target_region, flow.target_port) == (("a",), "us-east-2", 5432)


def test_what_no_vpc_sees_is_not_noted(tmp_path: Path) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test", base_port=20000)
    with Flows(plan) as flows:
        flows.to_database("us-east-1", Placement((), ()), 4000, plan.regions["us-east-1"], Obstacle.NO_VPC)
    assert flows_file(plan).read_text() == ""
