"""One template for two regions: each finds its own names and its peer's."""

from functools import partial
from pathlib import Path

from troposphere import Template

from templates.config import load
from templates.places import add_places, here, lookup, peer

SETTINGS = load(Path(__file__).parents[3] / "deployment.toml", None, {})


def test_each_region_finds_itself_and_its_peer() -> None:
    template = Template()
    add_places(template, SETTINGS)
    rendered = template.to_dict()
    primary, secondary = (rendered["Mappings"]["Regions"][region] for region in ("us-east-1", "us-east-2"))
    assert primary == {
        "Place": "primary",
        "PeerRegion": "us-east-2",
        "PeerPlace": "secondary",
        "Cidr": "10.0.0.0/16",
        "PeerCidr": "10.1.0.0/16",
    }
    assert (secondary["Place"], secondary["PeerPlace"]) == (primary["PeerPlace"], primary["Place"])
    assert (secondary["Cidr"], secondary["PeerCidr"]) == (primary["PeerCidr"], primary["Cidr"])
    assert secondary["PeerRegion"] == "us-east-1"
    assert rendered["Conditions"] == {"IsPrimary": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}}
    assert lookup("Cidr").to_dict() == {"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Cidr"]}


def test_names_here_and_at_the_peer() -> None:
    name = partial(SETTINGS.names.regional, "api")
    ours, theirs = "payments-api-primary-prod", "payments-api-secondary-prod"
    assert here(name).to_dict() == {"Fn::If": ["IsPrimary", ours, theirs]}
    assert peer(name).to_dict() == {"Fn::If": ["IsPrimary", theirs, ours]}
