"""The private way between the two regions: what readiness checks and secret rotation use, never a payment."""

from troposphere import AWSHelperFn, Tags, Template, ec2

from templates.names import Names
from templates.network import PRIVATE_ROUTE_TABLES
from templates.places import lookup


def add_peering(
    template: Template, name: str, vpc_id: AWSHelperFn, peer_vpc_id: AWSHelperFn, peer_region: str
) -> ec2.VPCPeeringConnection:
    return template.add_resource(
        ec2.VPCPeeringConnection(
            "Peering", VpcId=vpc_id, PeerVpcId=peer_vpc_id, PeerRegion=peer_region, Tags=Tags(Name=name)
        )
    )


def add_peering_routes(template: Template, names: Names, connection_id: AWSHelperFn) -> None:
    for link in PRIVATE_ROUTE_TABLES:
        template.add_resource(
            ec2.Route(
                f"PeeringRoute{link.value[-1]}",
                RouteTableId=link.read(names),
                DestinationCidrBlock=lookup("PeerCidr"),
                VpcPeeringConnectionId=connection_id,
            )
        )
