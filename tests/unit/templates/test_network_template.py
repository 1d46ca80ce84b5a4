"""The network of one region."""

from ipaddress import IPv4Network
from typing import Any

import pytest
from troposphere import Template

from templates import foundation
from templates.names import Names
from templates.network import NetworkPlan, add_network
from tests.unit.templates.rendering import properties, settings


def _network(*, nat_in_each_zone: bool) -> dict[str, Any]:
    template = Template()
    plan = NetworkPlan(
        primary=IPv4Network("10.0.0.0/16"),
        secondary=IPv4Network("10.1.0.0/16"),
        regions=("us-east-1", "us-east-2"),
        tables="payments-*-prod",
        nat_in_each_zone=nat_in_each_zone,
    )
    add_network(template, Names("payments", "prod", "payments.example.com"), plan)
    rendered: dict[str, Any] = template.to_dict()
    return rendered


@pytest.fixture
def network() -> dict[str, Any]:
    return _network(nat_in_each_zone=True)


def _of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    return {t: r["Properties"] for t, r in template["Resources"].items() if r["Type"] == f"AWS::EC2::{kind}"}


def test_subnets_do_not_overlap_in_either_region(network: dict[str, Any]) -> None:
    for region, block in ((1, "10.0.0.0/16"), (2, "10.1.0.0/16")):
        blocks = [IPv4Network(s["CidrBlock"]["Fn::If"][region]) for s in _of_type(network, "Subnet").values()]
        assert len(blocks) == 6
        assert all(one.subnet_of(IPv4Network(block)) for one in blocks)
        assert not any(a.overlaps(b) for i, a in enumerate(blocks) for b in blocks[:i])


def test_every_zone_leaves_by_its_own_nat_gateway(network: dict[str, Any]) -> None:
    routes = _of_type(network, "Route")
    for zone in "ABC":
        assert routes[f"PrivateRoute{zone}"]["NatGatewayId"] == {"Ref": f"NatGateway{zone}"}
        assert _of_type(network, "NatGateway")[f"NatGateway{zone}"]["SubnetId"] == {
            "Ref": f"PublicSubnet{zone}"
        }
        association = _of_type(network, "SubnetRouteTableAssociation")[f"PrivateRoutes{zone}"]
        assert association == {
            "SubnetId": {"Ref": f"PrivateSubnet{zone}"},
            "RouteTableId": {"Ref": f"PrivateRouteTable{zone}"},
        }


def test_tables_and_buckets_are_reached_from_every_private_subnet(network: dict[str, Any]) -> None:
    endpoints = _of_type(network, "VPCEndpoint")
    assert set(endpoints) == {"S3Endpoint", "DynamoDbEndpoint"}
    for endpoint in endpoints.values():
        assert endpoint["RouteTableIds"] == [{"Ref": f"PrivateRouteTable{zone}"} for zone in "ABC"]


def test_a_custom_resource_inside_the_network_can_answer(network: dict[str, Any]) -> None:
    statement = _of_type(network, "VPCEndpoint")["S3Endpoint"]["PolicyDocument"]["Statement"][1]
    text, given = statement["Resource"][0]["Fn::Sub"]
    assert text.endswith(":cloudformation-custom-resource-response-${Region}/*")
    assert given["Region"]["Fn::If"][1:] == ["useast1", "useast2"]


def test_others_find_what_they_need(network: dict[str, Any]) -> None:
    assert {output["Export"]["Name"] for output in network["Outputs"].values()} == {
        "payments-prod-Network-VpcId",
        "payments-prod-Network-PrivateSubnetIds",
        "payments-prod-Network-NatGatewayIds",
        "payments-prod-Network-PrivateRouteTableA",
        "payments-prod-Network-PrivateRouteTableB",
        "payments-prod-Network-PrivateRouteTableC",
    }


def test_one_nat_gateway_can_serve_all_zones() -> None:
    network = _network(nat_in_each_zone=False)
    assert list(_of_type(network, "NatGateway")) == ["NatGatewayA"]
    assert list(_of_type(network, "EIP")) == ["NatAddressA"]
    for zone in "ABC":
        assert _of_type(network, "Route")[f"PrivateRoute{zone}"]["NatGatewayId"] == {"Ref": "NatGatewayA"}


def test_every_connection_is_logged_with_our_key_and_a_role_that_can_do_nothing_else() -> None:
    template = foundation.render(settings())
    log = properties(template, "FlowLog")
    assert (log["ResourceId"], log["TrafficType"]) == ({"Ref": "Vpc"}, "ALL")
    assert properties(template, "FlowLogs")["KmsKeyId"] == {"Fn::GetAtt": ["DataKey", "Arn"]}
    (policy,) = properties(template, "FlowLogRole")["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Resource"] == [{"Fn::GetAtt": ["FlowLogs", "Arn"]}]


def test_where_api_gateway_logs_stays_set_when_the_stack_goes() -> None:
    resources = foundation.render(settings()).to_dict()["Resources"]
    for title in ("ApiAccount", "ApiLogRole"):
        assert resources[title]["DeletionPolicy"] == "RetainExceptOnCreate"
