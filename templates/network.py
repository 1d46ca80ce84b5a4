"""The network of one region: three zones, each with two subnets and, unless one is enough, a NAT gateway."""

from ipaddress import IPv4Network
from itertools import islice

from msgspec import Struct
from troposphere import GetAZs, If, Join, Select, Sub, Tags, Template, ec2

from templates import policies
from templates.links import Link
from templates.names import Names
from templates.places import IS_PRIMARY, lookup

VPC_ID = Link("Network", "VpcId", "The region's private network.")
PRIVATE_SUBNET_IDS = Link(
    "Network", "PrivateSubnetIds", "Private subnets, one per zone, separated by commas."
)
PRIVATE_ROUTE_TABLES = tuple(
    Link("Network", f"PrivateRouteTable{letter}", f"Routes of the private subnet in zone {letter}.")
    for letter in "ABC"
)
NAT_GATEWAY_IDS = Link("Network", "NatGatewayIds", "NAT gateways, separated by commas.")
ANYWHERE = "0.0.0.0/0"


class NetworkPlan(Struct, frozen=True):
    """The address space of each region (two that overlap cannot be peered), and the tables to be reached."""

    primary: IPv4Network
    secondary: IPv4Network
    regions: tuple[str, str]
    tables: str  # the pattern of our tables' names
    nat_in_each_zone: bool  # else the first zone's serves all three

    def blocks(self, letter: str, *, public: bool) -> If:
        """One sixteenth each, private ones first: room for as many again."""
        position = "ABC".index(letter) + (3 if public else 0)
        primary, secondary = (_sixteenth(cidr, position) for cidr in (self.primary, self.secondary))
        return If(IS_PRIMARY, primary, secondary)


def _sixteenth(cidr: IPv4Network, position: int) -> str:
    return str(next(islice(cidr.subnets(prefixlen_diff=4), position, None)))


def add_network(template: Template, names: Names, plan: NetworkPlan) -> ec2.VPC:
    vpc = template.add_resource(
        ec2.VPC(
            "Vpc",
            CidrBlock=If(IS_PRIMARY, str(plan.primary), str(plan.secondary)),
            EnableDnsSupport=True,
            EnableDnsHostnames=True,
            Tags=Tags(Name=Sub(f"{names.service}-${{Place}}-{names.environment}", Place=lookup("Place"))),
        )
    )
    attachment = _add_internet_gateway(template, vpc)
    public = template.add_resource(
        ec2.RouteTable("PublicRouteTable", VpcId=vpc.ref(), Tags=Tags(Name="public"))
    )
    template.add_resource(
        ec2.Route(
            "PublicRoute",
            RouteTableId=public.ref(),
            DestinationCidrBlock=ANYWHERE,
            GatewayId=attachment.InternetGatewayId,
            DependsOn=[attachment],
        )
    )
    subnets, tables = [], []
    gateways: list[ec2.NatGateway] = []
    for letter in "ABC":
        public_subnet = _add_public_zone(template, plan, letter, vpc, public)
        if not gateways or plan.nat_in_each_zone:
            gateways.append(_add_nat_gateway(template, letter, public_subnet, attachment))
        subnet, table = _add_private_zone(template, plan, letter, vpc, gateways[-1])
        subnets.append(subnet)
        tables.append(table)
    _add_endpoints(template, plan, vpc, tables)
    template.add_output(VPC_ID.publish(names, vpc.ref()))
    subnet_ids = Join(",", [subnet.ref() for subnet in subnets])
    template.add_output(PRIVATE_SUBNET_IDS.publish(names, subnet_ids))
    gateway_ids = Join(",", [gateway.ref() for gateway in gateways])
    template.add_output(NAT_GATEWAY_IDS.publish(names, gateway_ids))
    for link, table in zip(PRIVATE_ROUTE_TABLES, tables, strict=True):
        template.add_output(link.publish(names, table.ref()))
    return vpc


def _add_internet_gateway(template: Template, vpc: ec2.VPC) -> ec2.VPCGatewayAttachment:
    gateway = template.add_resource(ec2.InternetGateway("InternetGateway", Tags=Tags(Name="internet")))
    return template.add_resource(
        ec2.VPCGatewayAttachment(
            "InternetGatewayAttachment", VpcId=vpc.ref(), InternetGatewayId=gateway.ref()
        )
    )


def _add_public_zone(
    template: Template, plan: NetworkPlan, letter: str, vpc: ec2.VPC, table: ec2.RouteTable
) -> ec2.Subnet:
    subnet = template.add_resource(_subnet("Public", plan, letter, vpc))
    template.add_resource(
        ec2.SubnetRouteTableAssociation(
            f"PublicRoutes{letter}", SubnetId=subnet.ref(), RouteTableId=table.ref()
        )
    )
    return subnet


def _add_nat_gateway(
    template: Template, letter: str, subnet: ec2.Subnet, attachment: ec2.VPCGatewayAttachment
) -> ec2.NatGateway:
    address = template.add_resource(
        # An address in a VPC needs the internet gateway attached, or its release fails on deletion.
        ec2.EIP(
            f"NatAddress{letter}",
            Domain="vpc",
            Tags=Tags(Name=f"nat-{letter.lower()}"),
            DependsOn=[attachment],
        )
    )
    return template.add_resource(
        ec2.NatGateway(
            f"NatGateway{letter}",
            AllocationId=address.get_att("AllocationId"),
            SubnetId=subnet.ref(),
            Tags=Tags(Name=f"nat-{letter.lower()}"),
        )
    )


def _add_private_zone(
    template: Template, plan: NetworkPlan, letter: str, vpc: ec2.VPC, nat: ec2.NatGateway
) -> tuple[ec2.Subnet, ec2.RouteTable]:
    subnet = template.add_resource(_subnet("Private", plan, letter, vpc))
    table = template.add_resource(
        ec2.RouteTable(
            f"PrivateRouteTable{letter}", VpcId=vpc.ref(), Tags=Tags(Name=f"private-{letter.lower()}")
        )
    )
    template.add_resource(
        ec2.SubnetRouteTableAssociation(
            f"PrivateRoutes{letter}", SubnetId=subnet.ref(), RouteTableId=table.ref()
        )
    )
    template.add_resource(
        ec2.Route(
            f"PrivateRoute{letter}",
            RouteTableId=table.ref(),
            DestinationCidrBlock=ANYWHERE,
            NatGatewayId=nat.ref(),
        )
    )
    return subnet, table


def _subnet(kind: str, plan: NetworkPlan, letter: str, vpc: ec2.VPC) -> ec2.Subnet:
    # A title is an identity: renaming one replaces the subnet.
    return ec2.Subnet(
        f"{kind}Subnet{letter}",
        VpcId=vpc.ref(),
        CidrBlock=plan.blocks(letter, public=kind == "Public"),
        AvailabilityZone=Select("ABC".index(letter), GetAZs()),
        MapPublicIpOnLaunch=False,
        Tags=Tags(Name=f"{kind.lower()}-{letter.lower()}"),
    )


def _add_endpoints(template: Template, plan: NetworkPlan, vpc: ec2.VPC, tables: list[ec2.RouteTable]) -> None:
    """Tables and buckets are reached without NAT: free of charge, and whatever happens to a zone's NAT."""
    region_name = If(IS_PRIMARY, *(region.replace("-", "") for region in plan.regions))
    statements = {
        "S3": [policies.reach_own_buckets(), policies.answer_cloudformation(region_name)],
        "DynamoDb": [policies.reach_own_tables(plan.tables)],
    }
    for title, allowed in statements.items():
        template.add_resource(
            ec2.VPCEndpoint(
                f"{title}Endpoint",
                VpcId=vpc.ref(),
                VpcEndpointType="Gateway",
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{title.lower()}"),
                RouteTableIds=[table.ref() for table in tables],
                PolicyDocument=policies.document(*allowed),
            )
        )
