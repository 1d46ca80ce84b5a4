"""Every piece of the network matters: whichever is taken away, something is out of reach."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.network import (
    AwsReach,
    Network,
    Placement,
    gateway_endpoints,
    obstacle_to_database,
    reach_of_aws,
)

APPLICATION = Placement(("private-a", "private-b"), ("application",))
DATABASE = Placement(("private-a", "private-b"), ("database",))
EVERYTHING = AwsReach(everything=True, services=frozenset({"s3", "dynamodb"}))
GATEWAYS_ONLY = AwsReach(everything=False, services=frozenset({"s3", "dynamodb"}))
NOTHING = AwsReach(everything=False, services=frozenset())
Change = Callable[[Network], Network]


def rule(port: int, *, cidr: str | None = None, group: str | None = None) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": cidr}] if cidr else [],
        "UserIdGroupPairs": [{"GroupId": group}] if group else [],
    }


def region(prefix: str, peer: str) -> Network:
    """Two zones with a public and a private subnet each, like ours."""
    subnets = [
        {"SubnetId": f"{kind}-{zone}", "VpcId": "vpc", "CidrBlock": f"{prefix}.{number}.0/24"}
        for number, (kind, zone) in enumerate([(k, z) for k in ("public", "private") for z in "ab"])
    ]
    private = [
        {
            "RouteTableId": f"private-{zone}",
            "VpcId": "vpc",
            "Associations": [{"SubnetId": f"private-{zone}"}],
            "Routes": [
                {"DestinationCidrBlock": f"{prefix}.0.0/16", "GatewayId": "local"},
                {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": f"nat-{zone}"},
                {"DestinationCidrBlock": f"{peer}.0.0/16", "VpcPeeringConnectionId": "peering"},
            ],
        }
        for zone in "ab"
    ]
    public = {
        "RouteTableId": "public",
        "VpcId": "vpc",
        "Associations": [{"SubnetId": "public-a"}, {"SubnetId": "public-b"}],
        "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw"}],
    }
    nats = [
        {"NatGatewayId": f"nat-{zone}", "State": "available", "SubnetId": f"public-{zone}", "VpcId": "vpc"}
        for zone in "ab"
    ]
    endpoints = [
        {
            "ServiceName": f"com.amazonaws.us-east-1.{service}",
            "VpcEndpointType": "Gateway",
            "State": "available",
            "RouteTableIds": ["private-a", "private-b"],
        }
        for service in ("s3", "dynamodb")
    ]
    egress = [
        rule(443, cidr="0.0.0.0/0"),
        rule(5432, group="database"),
        rule(5432, cidr=f"{peer}.0.0/16"),
    ]
    ingress = [rule(5432, group="application"), rule(5432, cidr=f"{peer}.0.0/16")]
    return Network(
        subnets=tuple(subnets),
        route_tables=(*private, public),
        nat_gateways=tuple(nats),
        internet_gateways=({"InternetGatewayId": "igw", "Attachments": [{"VpcId": "vpc"}]},),
        endpoints=tuple(endpoints),
        peerings=({"VpcPeeringConnectionId": "peering", "Status": {"Code": "active"}},),
        security_groups=(
            {"GroupId": "application", "IpPermissions": [], "IpPermissionsEgress": egress},
            {"GroupId": "database", "IpPermissions": ingress, "IpPermissionsEgress": []},
        ),
    )


HERE, THERE = region("10.0", "10.1"), region("10.1", "10.0")


def without_routes(table: str, key: str) -> Change:
    def change(network: Network) -> Network:
        tables = tuple(
            {**t, "Routes": [r for r in t["Routes"] if key not in r]} if t["RouteTableId"] == table else t
            for t in network.route_tables
        )
        return replace(network, route_tables=tables)

    return change


def without_rule(group: str, direction: str, number: int) -> Change:
    def change(network: Network) -> Network:
        groups = tuple(
            {**g, direction: [r for n, r in enumerate(g[direction]) if n != number]}
            if g["GroupId"] == group
            else g
            for g in network.security_groups
        )
        return replace(network, security_groups=groups)

    return change


def test_a_function_outside_of_a_vpc_reaches_aws_but_no_database() -> None:
    nowhere = Placement((), ())
    assert reach_of_aws(HERE, nowhere).everything
    assert obstacle_to_database(HERE, nowhere, HERE, DATABASE, same_region=True)


def test_with_everything_in_place_everything_is_reached() -> None:
    assert reach_of_aws(HERE, APPLICATION) == EVERYTHING
    assert obstacle_to_database(HERE, APPLICATION, HERE, DATABASE, same_region=True) is None
    assert obstacle_to_database(HERE, APPLICATION, THERE, DATABASE, same_region=False) is None


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (without_routes("private-b", "NatGatewayId"), GATEWAYS_ONLY),
        (without_routes("public", "GatewayId"), GATEWAYS_ONLY),
        (lambda n: replace(n, nat_gateways=n.nat_gateways[:1]), GATEWAYS_ONLY),
        (lambda n: replace(n, nat_gateways=({**n.nat_gateways[0], "State": "deleted"},)), GATEWAYS_ONLY),
        (lambda n: replace(n, internet_gateways=()), GATEWAYS_ONLY),
        (lambda n: replace(n, endpoints=n.endpoints[:1]), AwsReach(True, frozenset({"s3"}))),
        (without_rule("application", "IpPermissionsEgress", 0), NOTHING),
    ],
)
def test_taking_away_a_way_to_aws_is_noticed(change: Change, left: AwsReach) -> None:
    assert reach_of_aws(change(HERE), APPLICATION) == left


@pytest.mark.parametrize(
    "change",
    [without_rule("application", "IpPermissionsEgress", 1), without_rule("database", "IpPermissions", 0)],
)
def test_taking_away_a_way_to_the_own_database_is_noticed(change: Change) -> None:
    changed = change(HERE)
    assert obstacle_to_database(changed, APPLICATION, changed, DATABASE, same_region=True)
    assert obstacle_to_database(changed, APPLICATION, THERE, DATABASE, same_region=False) is None


@pytest.mark.parametrize(
    "change",
    [
        without_rule("application", "IpPermissionsEgress", 2),
        without_routes("private-a", "VpcPeeringConnectionId"),
        lambda n: replace(n, peerings=({**n.peerings[0], "Status": {"Code": "deleted"}},)),
        lambda n: replace(n, peerings=()),
    ],
)
def test_taking_away_a_way_to_the_peer_s_database_is_noticed(change: Change) -> None:
    changed = change(HERE)
    assert obstacle_to_database(changed, APPLICATION, THERE, DATABASE, same_region=False)
    assert obstacle_to_database(changed, APPLICATION, changed, DATABASE, same_region=True) is None


@pytest.mark.parametrize(
    "change",
    [without_rule("database", "IpPermissions", 1), without_routes("private-b", "VpcPeeringConnectionId")],
)
def test_the_peer_has_a_say_too(change: Change) -> None:
    assert obstacle_to_database(HERE, APPLICATION, change(THERE), DATABASE, same_region=False)


def test_an_endpoint_is_on_the_way_of_every_function_one_of_whose_tables_leads_to_it() -> None:
    tables, others = HERE.endpoints[1], {**HERE.endpoints[1], "RouteTableIds": ["public"]}
    assert gateway_endpoints(HERE, APPLICATION, "dynamodb") == (tables,)
    assert gateway_endpoints(HERE, Placement((), ()), "dynamodb") == ()
    in_one_zone = {**tables, "RouteTableIds": ["private-b"]}
    network = replace(HERE, endpoints=(others, in_one_zone))
    assert gateway_endpoints(network, APPLICATION, "dynamodb") == (in_one_zone,)
    assert gateway_endpoints(network, APPLICATION, "s3") == ()


def test_a_subnet_nobody_describes_is_not_taken_for_an_answer() -> None:
    with pytest.raises(LookupError):
        reach_of_aws(HERE, Placement(("gone",), ("application",)))


def with_one_gateway(network: Network) -> Network:
    """The variant that pays for one NAT gateway: the other zone's private subnet leads to it as well."""
    tables = tuple(
        {
            **table,
            "Routes": [
                {**r, "NatGatewayId": "nat-a"} if r.get("NatGatewayId") else r for r in table["Routes"]
            ],
        }
        for table in network.route_tables
    )
    return replace(network, route_tables=tables, nat_gateways=network.nat_gateways[:1])


def test_one_gateway_serves_both_zones_until_it_is_gone() -> None:
    one = with_one_gateway(HERE)
    assert reach_of_aws(one, APPLICATION).everything
    gone = replace(one, nat_gateways=({**one.nat_gateways[0], "State": "deleted"},))
    assert reach_of_aws(gone, APPLICATION) == AwsReach(
        everything=False, services=frozenset({"s3", "dynamodb"})
    )
