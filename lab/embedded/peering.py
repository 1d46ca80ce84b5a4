"""VPC peering across regions, and routes that only lead to what exists.

A request to a VPC of the same account is accepted by CloudFormation itself; both regions then describe the
connection, and a route whose target is gone turns into a black hole:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-vpcpeeringconnection.html
https://docs.aws.amazon.com/vpc/latest/userguide/route-table-options.html
"""

import json
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ec2

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list

_NOT_FOUND = {
    "NatGatewayId": ("natGateway", "InvalidNatGatewayID.NotFound"),
    "VpcPeeringConnectionId": ("vpcPeeringConnection", "InvalidVpcPeeringConnectionID.NotFound"),
    "GatewayId": ("internetGateway", "InvalidInternetGatewayID.NotFound"),
}
_FULL_ACCESS = {
    "Version": "2008-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
}


def register(handlers: Handlers) -> None:
    handlers["AWS::EC2::VPCPeeringConnection"] = {
        "create": create_connection,
        "update": update_connection,
        "delete": delete_connection,
    }
    route = handlers["AWS::EC2::Route"]
    create, update = route["create"], route["update"]

    def create_route(logical_id: str, properties: Properties, stack_name: str) -> Created:
        table = check_route(properties)
        key = next((n for n in ("DestinationCidrBlock", "DestinationIpv6CidrBlock") if n in properties), None)
        if key and any(known.get(key) == properties[key] for known in table["Routes"]):
            raise ResourceError(
                f"The route identified by {properties[key]} already exists. (RouteAlreadyExists)"
            )
        created: Created = create(logical_id, properties, stack_name)
        return created

    def update_route(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        check_route(new)
        updated: Created = update(physical_id, old, new, *rest)
        return updated

    route.update(create=create_route, update=update_route)
    _check_endpoints(handlers["AWS::EC2::VPCEndpoint"])


def create_connection(logical_id: str, properties: Properties, stack_name: str) -> Created:
    account = str(properties.get("PeerOwnerId", get_account_id()))
    region = str(properties.get("PeerRegion", get_region()))
    own = _vpc(properties["VpcId"])
    with request_scope(account, region):
        peer = _vpc(properties["PeerVpcId"])
    known = set(ec2._vpc_peering)
    names = ("VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion")
    checked(ec2._create_vpc_peering_connection({n: [properties[n]] for n in names if n in properties}))
    (identifier,) = set(ec2._vpc_peering) - known
    if ip_network(own["CidrBlock"]).overlaps(ip_network(peer["CidrBlock"])):
        # "You cannot create a VPC peering connection between VPCs that have matching or overlapping blocks."
        ec2._set_vpc_peering_status(ec2._vpc_peering[identifier], "failed", "overlapping CIDR blocks")
        raise ResourceError(f"VpcPeeringConnection {identifier} is in state failed: overlapping CIDR blocks")
    with request_scope(account, region):
        checked(ec2._accept_vpc_peering_connection({"VpcPeeringConnectionId": [identifier]}))
    ec2._tags[identifier] = tag_list(properties.get("Tags"))
    return identifier, {"Id": identifier}


def update_connection(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    ec2._tags[physical_id] = tag_list(new.get("Tags"))
    return physical_id, {"Id": physical_id}


def delete_connection(physical_id: str, properties: Properties) -> None:
    record = ec2._vpc_peering.get(physical_id)
    if record is None or record["Status"]["Code"] == "deleted":
        return
    checked(ec2._delete_vpc_peering_connection({"VpcPeeringConnectionId": [physical_id]}))
    for side in ("RequesterVpcInfo", "AccepterVpcInfo"):
        with request_scope(record[side]["OwnerId"], record[side]["Region"]):
            black_hole("VpcPeeringConnectionId", physical_id)


def black_hole(target: str, identifier: str) -> None:
    """The routes of this region that led to what is gone."""
    for table in ec2._route_tables.values():
        for route in table["Routes"]:
            if route.get(target) == identifier:
                route["State"] = "blackhole"


def check_route(properties: Properties) -> dict[str, Any]:
    """The route's table. Raises ResourceError when table or target does not exist or does not fit."""
    table: dict[str, Any] | None = ec2._route_tables.get(properties.get("RouteTableId"))
    if table is None:
        raise ResourceError(
            f"The routeTable ID '{properties.get('RouteTableId')}' does not exist "
            "(InvalidRouteTableID.NotFound)"
        )
    for name, (noun, code) in _NOT_FOUND.items():
        target = properties.get(name)
        if target is None or not _applies(name, target):
            continue
        problem = _target_problem(name, target, table["VpcId"])
        if problem == "missing":
            raise ResourceError(f"The {noun} ID '{target}' does not exist ({code})")
        if problem is not None:
            raise ResourceError(
                f"route table {table['RouteTableId']} and network gateway {target} belong to different "
                "networks (InvalidParameterValue)"
            )
    return table


def _applies(name: str, target: str) -> bool:
    return name != "GatewayId" or target.startswith("igw-")


def _target_problem(name: str, target: str, vpc: str) -> str | None:
    if name == "NatGatewayId":
        record = ec2._nat_gateways.get(target)
        if record is None or record["State"] == "deleted":
            return "missing"
        return None if record["VpcId"] == vpc else "elsewhere"
    if name == "VpcPeeringConnectionId":
        record = ec2._vpc_peering.get(target)
        if record is None or record["Status"]["Code"] != "active":
            return "missing"
        sides = (record[side] for side in ("RequesterVpcInfo", "AccepterVpcInfo"))
        here = any(side["VpcId"] == vpc and side["Region"] == get_region() for side in sides)
        return None if here else "elsewhere"
    record = ec2._internet_gateways.get(target)
    if record is None:
        return "missing"
    return None if any(item["VpcId"] == vpc for item in record.get("Attachments", ())) else "elsewhere"


def _vpc(identifier: str) -> dict[str, Any]:
    vpc: dict[str, Any] | None = ec2._vpcs.get(identifier)
    if vpc is None:
        raise ResourceError(f"The vpc ID '{identifier}' does not exist (InvalidVpcID.NotFound)")
    return vpc


def _with_policy(inherited: Callable[..., str]) -> Callable[..., str]:
    """What MiniStack keeps of an endpoint's policy and does not describe."""

    def fields(endpoint: dict[str, Any], tag: str = "item") -> str:
        policy = endpoint.get("PolicyDocument") or _FULL_ACCESS
        text = escape(policy if isinstance(policy, str) else json.dumps(policy))
        end = f"</{tag}>"
        return f"{inherited(endpoint, tag).removesuffix(end)}<policyDocument>{text}</policyDocument>{end}"

    return fields


def _check_endpoints(handler: dict[str, Any]) -> None:
    """A gateway endpoint belongs to route tables of its VPC, and puts a route to its service into each."""
    create, update, delete = handler["create"], handler["update"], handler["delete"]
    ec2._vpce_fields_xml = _with_policy(ec2._vpce_fields_xml)

    def checking(properties: Properties) -> None:
        vpc = _vpc(properties.get("VpcId", ""))
        service = str(properties.get("ServiceName", ""))
        if not service.startswith(f"com.amazonaws.{get_region()}."):
            raise ResourceError(f"The Vpc Endpoint Service '{service}' does not exist (InvalidServiceName)")
        for identifier in properties.get("RouteTableIds", ()):
            table = ec2._route_tables.get(identifier)
            if table is None or table["VpcId"] != vpc["VpcId"]:
                raise ResourceError(
                    f"Route table ID {identifier} does not exist (InvalidRouteTableId.NotFound)"
                )

    def routed(result: Created, properties: Properties) -> Created:
        _withdraw(result[0])
        if properties.get("VpcEndpointType", "Gateway") == "Gateway":
            for identifier in properties.get("RouteTableIds", ()):
                ec2._route_tables[identifier]["Routes"].append(
                    {
                        "DestinationPrefixListId": prefix_list(str(properties["ServiceName"])),
                        "GatewayId": result[0],
                        "State": "active",
                        "Origin": "CreateRoute",
                    }
                )
        return result

    def create_endpoint(logical_id: str, properties: Properties, *rest: Any) -> Created:
        checking(properties)
        return routed(create(logical_id, properties, *rest), properties)

    def update_endpoint(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        checking(new)
        return routed(update(physical_id, old, new, *rest), new)

    def delete_endpoint(physical_id: str, properties: Properties) -> None:
        delete(physical_id, properties)
        _withdraw(physical_id)

    handler.update(create=create_endpoint, update=update_endpoint, delete=delete_endpoint)


def prefix_list(service: str) -> str:
    """AWS's own id for a service's addresses: any stable one serves."""
    return f"pl-{sum(ord(letter) * 31**place for place, letter in enumerate(service)) % 16**8:08x}"


def _withdraw(endpoint: str) -> None:
    for table in ec2._route_tables.values():
        table["Routes"] = [route for route in table["Routes"] if route.get("GatewayId") != endpoint]
