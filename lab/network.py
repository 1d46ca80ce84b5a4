"""Which destinations a function's network lets it reach: a pure function of what EC2 describes.

A function that uses several subnets may start in any of them, so a destination counts as reachable only if it
is from every one. Network ACLs are left at their default, which lets everything pass.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, ip_network
from typing import Any

Described = Mapping[str, Any]
_ANYWHERE = IPv4Network("0.0.0.0/0")
_HTTPS, _POSTGRES = 443, 5432


@dataclass(frozen=True, slots=True)
class Network:
    """One region, as `describe_*` of EC2 answers."""

    subnets: tuple[Described, ...]
    route_tables: tuple[Described, ...]
    nat_gateways: tuple[Described, ...]
    internet_gateways: tuple[Described, ...]
    endpoints: tuple[Described, ...]
    peerings: tuple[Described, ...]
    security_groups: tuple[Described, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """Subnets and security groups of a function or a database."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AwsReach:
    """`everything`: through a NAT gateway. Else the services with a gateway endpoint ('s3', 'dynamodb')."""

    everything: bool
    services: frozenset[str]


class Obstacle(StrEnum):
    """Why a connection to a database is not made, in the words of the lab's log."""

    NO_VPC = "the function is in no VPC, and the database is not public"
    NOT_LET_OUT = "no security group of the function lets it out to the database"
    NOT_LET_IN = "no security group of the database lets the function in"
    OTHER_VPC = "the function is in another VPC"
    NO_ROUTE = "no route over an active peering to the database"
    NO_ROUTE_BACK = "no route over an active peering back to the function"


def reach_of_aws(network: Network, origin: Placement) -> AwsReach:
    """How a function gets to AWS APIs; one outside of any VPC has the public network."""
    if not origin.subnets:
        return AwsReach(everything=True, services=frozenset())
    if not _may_leave(network, origin, _HTTPS, (_ANYWHERE,), ()):
        return AwsReach(everything=False, services=frozenset())
    tables = [_table_of(network, subnet) for subnet in origin.subnets]
    return AwsReach(
        everything=all(_leads_to_internet(network, table) for table in tables),
        services=frozenset.intersection(*(_gateway_endpoints(network, table) for table in tables)),
    )


def gateway_endpoints(network: Network, origin: Placement, service: str) -> tuple[Described, ...]:
    """The gateway endpoints that a call to `service` ('s3', 'dynamodb') may take, from any of the subnets."""
    tables = [_table_of(network, subnet) for subnet in origin.subnets]
    return tuple(
        endpoint
        for endpoint in network.endpoints
        if _service_of(endpoint) == service
        and any(endpoint in _endpoints_of(network, table) for table in tables)
    )


def obstacle_to_database(
    here: Network, origin: Placement, there: Network, database: Placement, *, same_region: bool
) -> Obstacle | None:
    """Why a function cannot open a connection to a database, None when it can. Both sides have a say."""
    if not origin.subnets:
        return Obstacle.NO_VPC
    sources, targets = _blocks(here, origin), _blocks(there, database)
    named = database.security_groups if same_region else ()
    if not _may_leave(here, origin, _POSTGRES, targets, named):
        return Obstacle.NOT_LET_OUT
    if not _may_enter(there, database, _POSTGRES, sources, origin.security_groups if same_region else ()):
        return Obstacle.NOT_LET_IN
    if same_region:
        return None if _vpcs(here, origin) == _vpcs(there, database) else Obstacle.OTHER_VPC
    if not _peered(here, origin, targets):
        return Obstacle.NO_ROUTE
    if not _peered(there, database, sources):
        return Obstacle.NO_ROUTE_BACK
    return None


def _may_leave(
    network: Network, origin: Placement, port: int, targets: Iterable[IPv4Network], groups: Iterable[str]
) -> bool:
    return _allowed(network, origin.security_groups, "IpPermissionsEgress", port, targets, groups)


def _may_enter(
    network: Network, target: Placement, port: int, sources: Iterable[IPv4Network], groups: Iterable[str]
) -> bool:
    return _allowed(network, target.security_groups, "IpPermissions", port, sources, groups)


def _allowed(
    network: Network,
    own_groups: Iterable[str],
    direction: str,
    port: int,
    blocks: Iterable[IPv4Network],
    groups: Iterable[str],
) -> bool:
    """Security groups only allow: by a rule that names a group of the other side, or rules for its blocks."""
    own, others = set(own_groups), set(groups)
    rules = [
        rule
        for group in network.security_groups
        if group["GroupId"] in own
        for rule in group.get(direction, ())
        if _covers_port(rule, port)
    ]
    if any(pair.get("GroupId") in others for rule in rules for pair in rule.get("UserIdGroupPairs", ())):
        return True
    open_to = [ip_network(item["CidrIp"]) for rule in rules for item in rule.get("IpRanges", ())]
    return all(any(_within(block, wide) for wide in open_to) for block in blocks)


def _covers_port(rule: Described, port: int) -> bool:
    if str(rule.get("IpProtocol")) == "-1":
        return True
    is_tcp = rule.get("IpProtocol") in {"tcp", "6"}
    return is_tcp and int(rule.get("FromPort", -1)) <= port <= int(rule.get("ToPort", -1))


def _table_of(network: Network, subnet_id: str) -> Described | None:
    """The table associated with the subnet, else its VPC's main one."""
    vpc = _subnet(network, subnet_id)["VpcId"]
    of_vpc = [table for table in network.route_tables if table["VpcId"] == vpc]
    chosen = _first(of_vpc, lambda table: any(a.get("SubnetId") == subnet_id for a in table["Associations"]))
    return chosen or _first(of_vpc, lambda table: any(a.get("Main") for a in table["Associations"]))


def _leads_to_internet(network: Network, table: Described | None) -> bool:
    """A default route to a NAT gateway that is there, whose own subnet leads to an internet gateway."""
    route = _route(table, _ANYWHERE)
    nat = _first(
        network.nat_gateways, lambda n: bool(route) and n["NatGatewayId"] == route.get("NatGatewayId")
    )
    if nat is None or nat.get("State") != "available":
        return False
    onward = _route(_table_of(network, nat["SubnetId"]), _ANYWHERE)
    attached = {
        gateway["InternetGatewayId"]
        for gateway in network.internet_gateways
        if any(attachment["VpcId"] == nat["VpcId"] for attachment in gateway.get("Attachments", ()))
    }
    return onward.get("GatewayId") in attached


def _gateway_endpoints(network: Network, table: Described | None) -> frozenset[str]:
    return frozenset(_service_of(endpoint) for endpoint in _endpoints_of(network, table))


def _endpoints_of(network: Network, table: Described | None) -> tuple[Described, ...]:
    return tuple(
        endpoint
        for endpoint in network.endpoints
        if table is not None
        and endpoint.get("VpcEndpointType") == "Gateway"
        and endpoint.get("State", "").lower() == "available"
        and table["RouteTableId"] in endpoint.get("RouteTableIds", ())
    )


def _service_of(endpoint: Described) -> str:
    return str(endpoint["ServiceName"]).rpartition(".")[2]


def _peered(network: Network, origin: Placement, targets: Iterable[IPv4Network]) -> bool:
    active = {
        peering["VpcPeeringConnectionId"]
        for peering in network.peerings
        if peering.get("Status", {}).get("Code") == "active"
    }
    return all(
        _route(_table_of(network, subnet), target).get("VpcPeeringConnectionId") in active
        for subnet in origin.subnets
        for target in targets
    )


def _route(table: Described | None, target: IPv4Network) -> Described:
    """The most specific route that covers the target; empty when there is none."""
    routes = (table or {}).get("Routes", ())
    covering = [
        (ip_network(route["DestinationCidrBlock"]).prefixlen, index)
        for index, route in enumerate(routes)
        if route.get("DestinationCidrBlock") and _within(target, ip_network(route["DestinationCidrBlock"]))
    ]
    found: Described = routes[max(covering)[1]] if covering else {}
    return found


def _within(block: IPv4Network, wide: Any) -> bool:
    return isinstance(wide, IPv4Network) and block.subnet_of(wide)


def _blocks(network: Network, placement: Placement) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(_subnet(network, subnet)["CidrBlock"]) for subnet in placement.subnets)


def _vpcs(network: Network, placement: Placement) -> set[str]:
    return {str(_subnet(network, subnet)["VpcId"]) for subnet in placement.subnets}


def _subnet(network: Network, subnet_id: str) -> Described:
    found = _first(network.subnets, lambda subnet: subnet["SubnetId"] == subnet_id)
    if found is None:
        raise LookupError(f"EC2 describes no subnet {subnet_id}")
    return found


def _first(items: Iterable[Described], holds: Callable[[Described], bool]) -> Described | None:
    return next((item for item in items if holds(item)), None)
