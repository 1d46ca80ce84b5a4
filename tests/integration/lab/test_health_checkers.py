"""Route 53's health checkers ask a region's front door and say so where Route 53 keeps its metrics."""

import boto3.session
import pytest

from lab.plan import LabPlan
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, alias, function_with_api, health_check, resource

pytestmark = pytest.mark.lab
HOST, NO_HOST = "secondary.payments.test", "nobody.payments.test"


def statuses(region: Region, check: str) -> list[float]:
    found = region.cloudwatch.get_metric_statistics(
        Namespace="AWS/Route53",
        MetricName="HealthCheckStatus",
        Dimensions=[{"Name": "HealthCheckId", "Value": check}],
        StartTime="2020-01-01T00:00:00Z",
        EndTime="2100-01-01T00:00:00Z",
        Period=86400,
        Statistics=["Maximum"],
    )
    return [one["Maximum"] for one in found["Datapoints"]]


def test_an_endpoint_s_health_is_measured_in_us_east_1(lab: LabPlan, aws: boto3.session.Session) -> None:
    home, other = Region(lab, aws, "us-east-1"), Region(lab, aws, "us-east-2")
    end = other.deploy("checked", function_with_api(HOST))["End"]
    wanted = {"Good": (HOST, "/health"), "Bad": (HOST, "/nothing-there"), "Nowhere": (NO_HOST, "/health")}
    template = {
        "Resources": {
            "Zone": resource("AWS::Route53::HostedZone", Name="payments.test"),
            "Record": alias(HOST, end),
            **{name: {**health_check(*what), "DependsOn": "Record"} for name, what in wanted.items()},
        },
        "Outputs": {name: {"Value": {"Ref": name}} for name in wanted},
    }
    checks = home.deploy("checks", template)
    for name, status in (("Good", 1.0), ("Bad", 0.0), ("Nowhere", 0.0)):
        eventually(lambda check=checks[name], status=status: statuses(home, check) == [status])  # type: ignore[misc]
        assert statuses(other, checks[name]) == []
    home.remove("checks")
    other.remove("checked")
