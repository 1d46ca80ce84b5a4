"""Networks: NAT and its address, rules, peering across regions, routes that lead somewhere, order."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws, delete, deploy, outputs, reasons

Resources = dict[str, Any]


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::EC2::{kind}", "Properties": properties}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def attribute(name: str, of: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, of]}


def network(cidr: str) -> dict[str, Any]:
    """A public and a private subnet, a NAT gateway between them, a gateway endpoint, two security groups."""
    octets = cidr.rsplit(".", 2)[0]
    resources: Resources = {
        "Vpc": resource("VPC", CidrBlock=cidr),
        "Gateway": resource("InternetGateway"),
        "Attachment": resource("VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("Gateway")),
        "Public": resource("Subnet", VpcId=ref("Vpc"), CidrBlock=f"{octets}.0.0/24"),
        "Private": resource("Subnet", VpcId=ref("Vpc"), CidrBlock=f"{octets}.1.0/24"),
        "Address": resource("EIP", Domain="vpc", Tags=[{"Key": "Name", "Value": "egress"}]),
        "Nat": resource(
            "NatGateway", SubnetId=ref("Public"), AllocationId=attribute("Address", "AllocationId")
        )
        | {"DependsOn": ["Attachment"]},
        "PublicTable": resource("RouteTable", VpcId=ref("Vpc")),
        "PrivateTable": resource("RouteTable", VpcId=ref("Vpc")),
        "PrivateAssociation": resource(
            "SubnetRouteTableAssociation", SubnetId=ref("Private"), RouteTableId=ref("PrivateTable")
        ),
        "Out": resource(
            "Route",
            RouteTableId=ref("PublicTable"),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=ref("Gateway"),
        )
        | {"DependsOn": ["Attachment"]},
        "Through": resource(
            "Route",
            RouteTableId=ref("PrivateTable"),
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=ref("Nat"),
        ),
        "Endpoint": resource(
            "VPCEndpoint",
            VpcId=ref("Vpc"),
            VpcEndpointType="Gateway",
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
            RouteTableIds=[ref("PrivateTable")],
        ),
        "Application": resource("SecurityGroup", GroupDescription="application", VpcId=ref("Vpc")),
        "Database": resource("SecurityGroup", GroupDescription="database", VpcId=ref("Vpc")),
        "Ingress": resource(
            "SecurityGroupIngress",
            GroupId=ref("Database"),
            IpProtocol="tcp",
            FromPort="5432",
            ToPort=5432,
            SourceSecurityGroupId=ref("Application"),
            Description="from the application",
        ),
        "Egress": resource(
            "SecurityGroupEgress",
            GroupId=ref("Application"),
            IpProtocol="tcp",
            FromPort=5432,
            ToPort=5432,
            DestinationSecurityGroupId=ref("Database"),
        ),
    }
    names = ("Vpc", "Nat", "Address", "PrivateTable", "Application", "Database", "Public", "Gateway")
    return {"Resources": resources, "Outputs": {name: {"Value": ref(name)} for name in names}}


@pytest.fixture(scope="module")
def networks(aws: EmbeddedAws) -> Iterator[dict[str, dict[str, str]]]:
    """A network in each region; its outputs by region."""
    for region, cidr in ((HOME, "10.0.0.0/16"), (PEER, "10.1.0.0/16")):
        assert deploy(aws, "network", network(cidr), region) == "CREATE_COMPLETE", reasons(
            aws, "network", region
        )
    yield {region: outputs(aws, "network", region) for region in (HOME, PEER)}
    for region in (HOME, PEER):
        assert delete(aws, "network", region) == "DELETE_COMPLETE", reasons(aws, "network", region)


def routes(aws: EmbeddedAws, table: str, region: str = HOME) -> dict[str, dict[str, Any]]:
    tables = aws.client("ec2", region).describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return {
        route.get("DestinationCidrBlock") or route["DestinationPrefixListId"]: route
        for route in tables[0]["Routes"]
    }


def test_nat_holds_its_address_and_private_routes_lead_to_it(
    aws: EmbeddedAws, networks: dict[str, dict[str, str]]
) -> None:
    ids, ec2 = networks[HOME], aws.client("ec2")
    (gateway,) = ec2.describe_nat_gateways(NatGatewayIds=[ids["Nat"]])["NatGateways"]
    (held,) = gateway["NatGatewayAddresses"]
    (address,) = ec2.describe_addresses(AllocationIds=[held["AllocationId"]])["Addresses"]
    assert held["PublicIp"] == address["PublicIp"] == ids["Address"]
    assert address["AssociationId"]
    assert address["Tags"][0] == {"Key": "Name", "Value": "egress"}
    found = routes(aws, ids["PrivateTable"])
    assert found["0.0.0.0/0"]["NatGatewayId"] == ids["Nat"]
    (to_storage,) = [route for name, route in found.items() if name.startswith("pl-")]
    assert to_storage["GatewayId"].startswith("vpce-")


def test_rules_are_in_their_groups(aws: EmbeddedAws, networks: dict[str, dict[str, str]]) -> None:
    ids, ec2 = networks[HOME], aws.client("ec2")
    (group,) = ec2.describe_security_groups(GroupIds=[ids["Database"]])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (5432, 5432)
    assert rule["UserIdGroupPairs"][0]["GroupId"] == ids["Application"]


def peering(networks: dict[str, dict[str, str]], **more: Any) -> dict[str, Any]:
    properties = {"VpcId": networks[HOME]["Vpc"], "PeerVpcId": networks[PEER]["Vpc"], "PeerRegion": PEER}
    return {
        "Resources": {"Connection": resource("VPCPeeringConnection", **{**properties, **more})},
        "Outputs": {"Id": {"Value": ref("Connection")}},
    }


def test_peering_is_active_in_both_regions_and_its_routes_turn_into_black_holes(
    aws: EmbeddedAws, networks: dict[str, dict[str, str]]
) -> None:
    assert deploy(aws, "peering", peering(networks)) == "CREATE_COMPLETE", reasons(aws, "peering")
    connection = outputs(aws, "peering")["Id"]
    for region in (HOME, PEER):
        described = aws.client("ec2", region).describe_vpc_peering_connections(
            VpcPeeringConnectionIds=[connection]
        )["VpcPeeringConnections"][0]
        assert described["Status"]["Code"] == "active"
        assert described["RequesterVpcInfo"]["Region"] == HOME
        assert described["AccepterVpcInfo"]["VpcId"] == networks[PEER]["Vpc"]
    towards = {
        "Resources": {
            "Peer": resource(
                "Route",
                RouteTableId=networks[PEER]["PrivateTable"],
                DestinationCidrBlock="10.0.0.0/16",
                VpcPeeringConnectionId=connection,
            )
        }
    }
    assert deploy(aws, "peer-route", towards, PEER) == "CREATE_COMPLETE", reasons(aws, "peer-route", PEER)
    assert routes(aws, networks[PEER]["PrivateTable"], PEER)["10.0.0.0/16"]["State"] == "active"
    assert delete(aws, "peering") == "DELETE_COMPLETE"
    assert routes(aws, networks[PEER]["PrivateTable"], PEER)["10.0.0.0/16"]["State"] == "blackhole"
    assert delete(aws, "peer-route", PEER) == "DELETE_COMPLETE"
    assert "10.0.0.0/16" not in routes(aws, networks[PEER]["PrivateTable"], PEER)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (("Connection", "VPCPeeringConnection", {"PeerVpcId": "vpc-0"}), "InvalidVpcID.NotFound"),
        (("R", "Route", {"VpcPeeringConnectionId": "pcx-0"}), "InvalidVpcPeeringConnectionID.NotFound"),
        (("R", "Route", {"NatGatewayId": "nat-0"}), "InvalidNatGatewayID.NotFound"),
        (
            ("N", "NatGateway", {"SubnetId": "subnet-0", "AllocationId": "eipalloc-0"}),
            "InvalidSubnetID.NotFound",
        ),
        (
            ("S", "SecurityGroupIngress", {"GroupId": "sg-0", "IpProtocol": "tcp", "CidrIp": "10.0.0.0/8"}),
            "InvalidGroup.NotFound",
        ),
    ],
)
def test_what_does_not_exist_is_refused(
    aws: EmbeddedAws,
    networks: dict[str, dict[str, str]],
    broken: tuple[str, str, dict[str, Any]],
    reason: str,
) -> None:
    title, kind, properties = broken
    ids, stack = networks[HOME], f"broken-{uuid.uuid4().hex[:8]}"
    defaults = {
        "Route": {"RouteTableId": ids["PrivateTable"], "DestinationCidrBlock": "192.0.2.0/24"},
        "VPCPeeringConnection": {"VpcId": ids["Vpc"], "PeerRegion": PEER},
    }.get(kind, {})
    template = {"Resources": {title: resource(kind, **{**defaults, **properties})}}
    assert deploy(aws, stack, template) == "ROLLBACK_COMPLETE"
    assert reason in reasons(aws, stack)


def test_deletion_in_the_wrong_order_is_refused(
    aws: EmbeddedAws, networks: dict[str, dict[str, str]]
) -> None:
    address = {
        "Resources": {"Address": resource("EIP", Domain="vpc")},
        "Outputs": {"Allocation": {"Value": attribute("Address", "AllocationId")}},
    }
    assert deploy(aws, "address", address) == "CREATE_COMPLETE"
    allocation = outputs(aws, "address")["Allocation"]
    holder = resource("NatGateway", SubnetId=networks[HOME]["Public"], AllocationId=allocation)
    assert deploy(aws, "holder", {"Resources": {"Nat": holder}}) == "CREATE_COMPLETE", reasons(aws, "holder")
    assert delete(aws, "address") == "DELETE_FAILED"
    assert "InvalidIPAddress.InUse" in reasons(aws, "address")
    assert delete(aws, "holder") == "DELETE_COMPLETE"
    assert delete(aws, "address") == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="DependencyViolation"):
        aws.client("ec2").delete_vpc(VpcId=networks[HOME]["Vpc"])


def test_the_sixth_address_of_a_region_is_refused(aws: EmbeddedAws) -> None:
    many = {"Resources": {f"Address{number}": resource("EIP") for number in range(6)}}
    assert deploy(aws, "many-addresses", many) == "ROLLBACK_COMPLETE"
    assert "AddressLimitExceeded" in reasons(aws, "many-addresses")
