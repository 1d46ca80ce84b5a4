"""Certificate, host names and failover records."""

import json
from typing import Any

import pytest

from generator.render import OPENAPI
from templates import service
from tests.unit.templates.rendering import settings


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    return dict(rendered["Resources"])


def test_only_the_primary_record_has_a_health_check(resources: dict[str, Any]) -> None:
    record = resources["FailoverRecord"]["Properties"]
    assert record["Failover"] == {"Fn::If": ["IsPrimary", "PRIMARY", "SECONDARY"]}
    assert record["HealthCheckId"] == {
        "Fn::If": ["IsPrimary", {"Ref": "HealthCheck"}, {"Ref": "AWS::NoValue"}]
    }
    assert resources["HealthCheck"]["Condition"] == "IsPrimary"


def test_the_health_check_asks_the_primary_region_as_fast_as_route_53_can(resources: dict[str, Any]) -> None:
    check = resources["HealthCheck"]["Properties"]["HealthCheckConfig"]
    assert check["FullyQualifiedDomainName"] == "primary.payments.example.com"
    assert (check["Type"], check["ResourcePath"], check["EnableSNI"]) == ("HTTPS", "/health", True)
    assert (check["RequestInterval"], check["FailureThreshold"]) == (10, 3)


def test_the_certificate_covers_both_names_of_the_region(resources: dict[str, Any]) -> None:
    certificate = resources["Certificate"]["Properties"]
    host = {"Fn::If": ["IsPrimary", "primary.payments.example.com", "secondary.payments.example.com"]}
    assert certificate["DomainName"] == host
    assert certificate["SubjectAlternativeNames"] == ["payments.example.com"]
    zones = {option["HostedZoneId"]["Ref"] for option in certificate["DomainValidationOptions"]}
    assert zones == {"HostedZoneId"}


@pytest.mark.parametrize("record", ["FailoverRecord", "RegionalRecord"])
def test_records_do_not_ask_api_gateway_about_itself(resources: dict[str, Any], record: str) -> None:
    assert resources[record]["Properties"]["AliasTarget"]["EvaluateTargetHealth"] is False
