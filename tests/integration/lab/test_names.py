"""DNS answers as the deployed records and their health checks say, by UDP and by TCP."""

import json

import boto3.session
import dns.resolver
import pytest

from lab.plan import LabPlan
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, alias, function_with_api, health_check, resource

pytestmark = pytest.mark.lab
DOMAIN, PRIMARY, SECONDARY = "payments.test", "primary.payments.test", "secondary.payments.test"
GROUP = "/aws/route53/payments.test"


def zone(one: str, two: str, *, asks: str) -> dict[str, object]:
    trust = {"Effect": "Allow", "Principal": {"Service": "route53.amazonaws.com"}, "Action": "logs:*"}
    policy = {"Version": "2012-10-17", "Statement": [{**trust, "Resource": "*"}]}
    return {
        "Resources": {
            "Log": resource("AWS::Logs::LogGroup", LogGroupName=GROUP),
            "Policy": resource(
                "AWS::Logs::ResourcePolicy",
                PolicyName="dns",
                PolicyDocument={"Fn::Sub": str(policy).replace("'", '"')},
            ),
            "Zone": {
                **resource(
                    "AWS::Route53::HostedZone",
                    Name=DOMAIN,
                    QueryLoggingConfig={"CloudWatchLogsLogGroupArn": {"Fn::GetAtt": ["Log", "Arn"]}},
                ),
                "DependsOn": "Policy",
            },
            "Check": {**health_check(PRIMARY, asks), "DependsOn": "One"},
            "One": alias(PRIMARY, one),
            "Two": alias(SECONDARY, two),
            "Primary": alias(
                DOMAIN, one, Failover="PRIMARY", SetIdentifier="one", HealthCheckId={"Ref": "Check"}
            ),
            "Secondary": alias(DOMAIN, two, Failover="SECONDARY", SetIdentifier="two"),
        },
        "Outputs": {"Id": {"Value": {"Ref": "Zone"}}},
    }


def https(region: Region, host: str) -> object:
    """What a function there is answered by a public host name."""
    event = {"asks": "https", "url": f"https://{host}/health"}
    answer = region.functions.invoke(FunctionName="seen", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def test_the_domain_follows_the_health_of_the_primary(lab: LabPlan, aws: boto3.session.Session) -> None:
    home, other = Region(lab, aws, "us-east-1"), Region(lab, aws, "us-east-2")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [lab.dns[0]], lab.dns[1]

    def address(name: str, *, tcp: bool = False) -> tuple[str, float]:
        found = resolver.resolve(name, "A", tcp=tcp)
        return found[0].to_text(), found.chaining_result.minimum_ttl

    with pytest.raises(dns.resolver.NoNameservers):
        address(DOMAIN)  # nobody is asked for a zone that is not there
    one = home.deploy("one", function_with_api(PRIMARY))["End"]
    two = other.deploy("two", function_with_api(SECONDARY))["End"]
    identifier = home.deploy("zone", zone(one, two, asks="/health"))["Id"]
    here, there = (lab.regions[name].public_address for name in ("us-east-1", "us-east-2"))
    for tcp in (False, True):
        assert address(DOMAIN, tcp=tcp) == (here, 60)
        assert address(SECONDARY, tcp=tcp) == (there, 60)
        assert address(one, tcp=tcp) == (here, 60)
        with pytest.raises(dns.resolver.NoAnswer):
            resolver.resolve(DOMAIN, "AAAA", tcp=tcp)
        with pytest.raises(dns.resolver.NXDOMAIN):
            address(f"nobody.{DOMAIN}", tcp=tcp)
    third = Region(lab, aws, "us-west-2")
    third.deploy("three", function_with_api("three.test"))
    for region in (home, other, third):
        assert https(region, PRIMARY) == https(region, SECONDARY) == 200
        assert https(region, DOMAIN) == 403  # both names lead to the same door, which knows one
        assert "502" in str(https(region, "example.com"))
    assert resolver.resolve(DOMAIN, "SOA").rrset is not None
    home.remove("zone")
    home.deploy("zone", zone(one, two, asks="/nothing-there"))
    eventually(lambda: address(DOMAIN) == (there, 60))
    logs = aws.client("logs", region_name="us-east-1", endpoint_url=lab.aws_endpoint_url)

    def lines() -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]]

    eventually(lines)
    assert any(f"{DOMAIN} A NOERROR UDP" in line for line in lines())
    assert identifier
    for region, name in ((home, "zone"), (home, "one"), (other, "two"), (third, "three")):
        region.remove(name)
