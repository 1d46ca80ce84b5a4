"""The hosted zone."""

import json

from templates import zone
from tests.unit.templates.rendering import properties, settings


def test_the_operator_learns_what_to_delegate_to() -> None:
    outputs = zone.render(settings()).to_dict()["Outputs"]
    assert outputs["HostedZoneId"]["Export"] == {"Name": "payments-prod-Zone-HostedZoneId"}
    assert outputs["NameServers"]["Value"] == {
        "Fn::Join": [",", {"Fn::GetAtt": ["HostedZone", "NameServers"]}]
    }


def test_records_can_be_changed_without_us_east_1() -> None:
    hosted = properties(zone.render(settings()), "HostedZone")
    assert hosted["HostedZoneFeatures"] == {"EnableAcceleratedRecovery": True}


def test_route_53_may_write_before_the_zone_asks_it_to() -> None:
    template = zone.render(settings())
    assert template.to_dict()["Resources"]["HostedZone"]["DependsOn"] == ["QueryLogPolicy"]
    assert properties(template, "QueryLogs")["LogGroupName"] == "/aws/route53/payments.example.com"
    text, given = properties(template, "QueryLogPolicy")["PolicyDocument"]["Fn::Sub"]
    (statement,) = json.loads(text)["Statement"]
    assert statement["Principal"] == {"Service": "route53.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "${AWS::AccountId}"}
    assert given["Group"]["Fn::Sub"][0].endswith(":log-group:${Name}")


def test_the_zone_s_key_serves_its_log_only() -> None:
    statements = properties(zone.render(settings()), "QueryLogKey")["KeyPolicy"]["Statement"]
    assert [statement["Sid"] for statement in statements] == ["AdministerKey", "EncryptLogs"]
