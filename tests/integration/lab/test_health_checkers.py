"""Route 53's health checkers ask a region's front door and say so where Route 53 keeps its metrics."""

import boto3.session
import pytest

from lab.plan import LabPlan
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, function_with_api, resource

pytestmark = pytest.mark.lab
HOST = "secondary.payments.test"


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
    config = {
        "Type": "HTTPS",
        "FullyQualifiedDomainName": HOST,
        "ResourcePath": "/health",
        "RequestInterval": 10,
        "FailureThreshold": 1,
    }
    check = resource("AWS::Route53::HealthCheck", HealthCheckConfig=config)
    template = {"Resources": {"Check": check}, "Outputs": {"Id": {"Value": {"Ref": "Check"}}}}
    other.deploy("checked", function_with_api(HOST))
    healthy = home.deploy("check", template)["Id"]
    eventually(lambda: statuses(home, healthy) == [1.0])
    assert statuses(other, healthy) == []
    config["ResourcePath"] = "/nothing-there"
    unhealthy = home.deploy("check-nothing", template)["Id"]
    eventually(lambda: statuses(home, unhealthy) == [0.0])
    for stack in ("check", "check-nothing"):
        home.remove(stack)
    other.remove("checked")
