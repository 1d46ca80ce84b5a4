"""At a time scale of a tenth everything that AWS does every so often happens ten times as often."""

import json
import time
from collections.abc import Iterator

import boto3.session
import dns.resolver
import pytest

from lab import environment, lifecycle
from lab.plan import LabPlan, plan_lab
from tests.integration.lab.conftest import REGIONS, eventually
from tests.integration.lab.stacks import Region, alias, function_with_api, health_check, resource

pytestmark = pytest.mark.lab
SCALE = 0.1
HOST = "primary.payments.test"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPlan]:
    directory = tmp_path_factory.mktemp("quick")
    plan = plan_lab(directory=directory, regions=REGIONS, domain="payments.test", time_scale=SCALE)
    lifecycle.bring_up(plan, lambda _stage, _seconds: None)
    yield plan
    lifecycle.tear_down(plan.directory)


@pytest.fixture(scope="module")
def region(quick: LabPlan) -> Region:
    session = boto3.session.Session(**environment.credentials(quick), region_name="us-east-1")
    return Region(quick, session, "us-east-1")


def by_the_clock() -> dict[str, object]:
    """A function every minute, and an alarm on how often it was started in one."""
    template = function_with_api(HOST)
    resources = template["Resources"]
    own = {"Variables": {"PROBE_INTERVAL_SECONDS": "10", "LEASE_SECONDS": "3", "TIMEOUT_SECONDS": "3"}}
    resources["Function"]["Properties"]["Environment"] = own
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    start = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
    function = {"Fn::GetAtt": ["Function", "Arn"]}
    resources["Lent"] = resource(
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
        Policies=[{"PolicyName": "start", "PolicyDocument": {"Version": "2012-10-17", "Statement": [start]}}],
    )
    resources["Schedule"] = resource(
        "AWS::Scheduler::Schedule",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": function,
            "RoleArn": {"Fn::GetAtt": ["Lent", "Arn"]},
            "Input": json.dumps({"asks": "environment"}),
        },
    )
    resources["Alarm"] = resource(
        "AWS::CloudWatch::Alarm",
        AlarmName="started",
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=[{"Name": "FunctionName", "Value": "seen"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    return template


def started(region: Region) -> float:
    found = region.cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=[{"Name": "FunctionName", "Value": "seen"}],
        StartTime="2020-01-01T00:00:00Z",
        EndTime="2100-01-01T00:00:00Z",
        Period=86400,
        Statistics=["Sum"],
    )
    return sum(float(one["Sum"]) for one in found["Datapoints"])


def rings(region: Region) -> bool:
    (alarm,) = region.cloudwatch.describe_alarms(AlarmNames=["started"])["MetricAlarms"]
    return bool(alarm["StateValue"] == "ALARM")


def test_timers_of_aws_are_multiplied_and_nothing_else(quick: LabPlan, region: Region) -> None:
    end = region.deploy("clock", by_the_clock())["End"]
    answer = region.functions.invoke(FunctionName="seen", Payload=json.dumps({"asks": "environment"}))
    given = json.loads(answer["Payload"].read())
    told = {name: given[name] for name in ("PROBE_INTERVAL_SECONDS", "LEASE_SECONDS", "TIMEOUT_SECONDS")}
    assert told == {"PROBE_INTERVAL_SECONDS": "1", "LEASE_SECONDS": "3", "TIMEOUT_SECONDS": "3"}

    before, since = started(region), time.monotonic()
    eventually(lambda: started(region) >= before + 3, 30)  # once a minute would take two
    assert time.monotonic() - since > 2 * 60 * SCALE - 2  # and it is not every second, either
    eventually(lambda: rings(region), 60 * SCALE + 5)

    check = health_check(HOST, "/health")
    check["Properties"]["HealthCheckConfig"]["FailureThreshold"] = 3
    zone = {
        "Resources": {
            "Zone": resource("AWS::Route53::HostedZone", Name="payments.test"),
            "One": alias(HOST, end),
            "Check": {**check, "DependsOn": "One"},
            "Primary": alias(
                "payments.test", end, Failover="PRIMARY", SetIdentifier="1", HealthCheckId={"Ref": "Check"}
            ),
            "Secondary": alias(
                "payments.test",
                "nowhere.execute-api.us-east-2.amazonaws.com",
                Failover="SECONDARY",
                SetIdentifier="2",
            ),
        }
    }
    region.deploy("zone", zone)
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [quick.dns[0]], quick.dns[1]

    def leads(name: str) -> bool:
        found = resolver.resolve(name, "A", raise_on_no_answer=False)
        assert found.rrset is None or found.rrset.ttl == 60 * SCALE
        return found.rrset is not None

    assert leads("payments.test")
    since = time.monotonic()
    region.remove("clock")
    eventually(lambda: not leads("payments.test"), 3 * 10 * SCALE + 5)  # 30 s on AWS
