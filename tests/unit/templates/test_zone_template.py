"""The hosted zone."""

from templates import zone
from tests.unit.templates.rendering import settings


def test_the_operator_learns_what_to_delegate_to() -> None:
    outputs = zone.render(settings()).to_dict()["Outputs"]
    assert outputs["HostedZoneId"]["Export"] == {"Name": "payments-prod-Zone-HostedZoneId"}
    assert outputs["NameServers"]["Value"] == {
        "Fn::Join": [",", {"Fn::GetAtt": ["HostedZone", "NameServers"]}]
    }
