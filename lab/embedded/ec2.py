"""Elastic IPs and NAT gateways, and the order in which parts of a network may go.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html has the errors;
https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html what a NAT gateway needs.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import ec2

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list

ADDRESSES_PER_REGION = 5
"""The default quota: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html"""


def register(handlers: Handlers) -> None:
    handlers["AWS::EC2::EIP"] = {
        "create": create_address,
        "update": update_address,
        "delete": release_address,
    }
    handlers["AWS::EC2::NatGateway"] = {"create": create_nat, "update": update_nat, "delete": delete_nat}
    for type_name, refusal in {
        "AWS::EC2::Subnet": _subnet_in_use,
        "AWS::EC2::RouteTable": _route_table_in_use,
        "AWS::EC2::InternetGateway": _internet_gateway_in_use,
        "AWS::EC2::VPCGatewayAttachment": _public_addresses_in_use,
    }.items():
        handlers[type_name]["delete"] = _unless(refusal, handlers[type_name]["delete"])
    ec2._ACTION_MAP["DescribeNatGateways"] = _with_addresses(ec2._ACTION_MAP["DescribeNatGateways"])


def create_address(logical_id: str, properties: Properties, stack_name: str) -> Created:
    if len(ec2._addresses) >= ADDRESSES_PER_REGION:
        raise ResourceError("The maximum number of addresses has been reached. (AddressLimitExceeded)")
    known = set(ec2._addresses)
    checked(ec2._allocate_address({"Domain": [properties.get("Domain", "vpc")]}))
    (allocation,) = set(ec2._addresses) - known
    _tag(allocation, properties)
    return _address(allocation)


def update_address(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    allocation = _allocation_of(physical_id)
    if allocation is None:
        raise ResourceError(f"Address {physical_id} not found (InvalidAddress.NotFound)")
    _tag(allocation, new)
    return _address(allocation)


def release_address(physical_id: str, properties: Properties) -> None:
    allocation = _allocation_of(physical_id)
    if allocation is None:
        return
    if ec2._addresses[allocation]["AssociationId"]:
        raise ResourceError(f"Address {physical_id} is in use. (InvalidIPAddress.InUse)")
    checked(ec2._release_address({"AllocationId": [allocation]}))


def _address(allocation: str) -> Created:
    record = ec2._addresses[allocation]
    # `Ref` is the address; the allocation is an attribute.
    return str(record["PublicIp"]), {"AllocationId": allocation, "PublicIp": record["PublicIp"]}


def _allocation_of(public_ip: str) -> str | None:
    return next((key for key, record in ec2._addresses.items() if record["PublicIp"] == public_ip), None)


def create_nat(logical_id: str, properties: Properties, stack_name: str) -> Created:
    subnet = ec2._subnets.get(properties.get("SubnetId"))
    if subnet is None:
        raise ResourceError(
            f"The subnet ID '{properties.get('SubnetId')}' does not exist (InvalidSubnetID.NotFound)"
        )
    public = properties.get("ConnectivityType", "public") == "public"
    address = _claimed_address(properties, subnet) if public else None
    known = set(ec2._nat_gateways)
    request = {
        "SubnetId": [properties["SubnetId"]],
        "AllocationId": [properties.get("AllocationId", "")],
        "ConnectivityType": [properties.get("ConnectivityType", "public")],
    }
    checked(ec2._create_nat_gateway(request))
    (identifier,) = set(ec2._nat_gateways) - known
    if address is not None:
        address["AssociationId"] = f"eipassoc-{new_uuid().replace('-', '')[:17]}"
        address["NetworkInterfaceId"] = f"eni-{new_uuid().replace('-', '')[:17]}"
    _tag(identifier, properties)
    return identifier, {"NatGatewayId": identifier}


def update_nat(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    _tag(physical_id, new)
    return physical_id, {"NatGatewayId": physical_id}


def delete_nat(physical_id: str, properties: Properties) -> None:
    record = ec2._nat_gateways.get(physical_id)
    if record is None or record["State"] == "deleted":
        return
    checked(ec2._delete_nat_gateway({"NatGatewayId": [physical_id]}))
    address = ec2._addresses.get(record["AllocationId"])
    if address is not None:
        address.update(AssociationId=None, NetworkInterfaceId=None)


def _claimed_address(properties: Properties, subnet: dict[str, Any]) -> dict[str, Any]:
    allocation = properties.get("AllocationId")
    address: dict[str, Any] | None = ec2._addresses.get(allocation)
    if address is None:
        raise ResourceError(f"The allocation ID '{allocation}' does not exist (InvalidAllocationID.NotFound)")
    if address["AssociationId"]:
        raise ResourceError(
            f"Elastic IP address [{allocation}] is already associated (Resource.AlreadyAssociated)"
        )
    if not any(_attached_to(gateway, subnet["VpcId"]) for gateway in ec2._internet_gateways.values()):
        raise ResourceError(
            f"Network {subnet['VpcId']} has no Internet gateway attached (Gateway.NotAttached)"
        )
    return address


def _attached_to(gateway: dict[str, Any], vpc: str) -> bool:
    return any(attachment["VpcId"] == vpc for attachment in gateway.get("Attachments", ()))


def live_nat_gateways() -> Iterable[dict[str, Any]]:
    return (record for record in ec2._nat_gateways.values() if record["State"] != "deleted")


def _tag(identifier: str, properties: Properties) -> None:
    ec2._tags[identifier] = tag_list(properties.get("Tags"))


# --- what may not go yet ----------------------------------------------------------------------------------


def _unless(
    refusal: Callable[[str, Properties], str | None], inherited: Callable[[str, Properties], None]
) -> Callable[[str, Properties], None]:
    def delete(physical_id: str, properties: Properties) -> None:
        reason = refusal(physical_id, properties)
        if reason is not None:
            raise ResourceError(f"{reason} (DependencyViolation)")
        inherited(physical_id, properties)

    return delete


def _subnet_in_use(subnet: str, _: Properties) -> str | None:
    used = any(record["SubnetId"] == subnet for record in live_nat_gateways())
    return f"The subnet '{subnet}' has dependencies and cannot be deleted." if used else None


def _route_table_in_use(table: str, _: Properties) -> str | None:
    associations = (ec2._route_tables.get(table) or {}).get("Associations", ())
    used = any(association.get("SubnetId") for association in associations)
    return f"The routeTable '{table}' has dependencies and cannot be deleted." if used else None


def _internet_gateway_in_use(gateway: str, _: Properties) -> str | None:
    used = (ec2._internet_gateways.get(gateway) or {}).get("Attachments")
    return f"The internetGateway '{gateway}' has dependencies and cannot be deleted." if used else None


def _public_addresses_in_use(_: str, properties: Properties) -> str | None:
    vpc = properties.get("VpcId")
    mapped = any(record["VpcId"] == vpc and record["AllocationId"] for record in live_nat_gateways())
    return (
        f"Network {vpc} has some mapped public address(es). Please unmap those public address(es) before "
        "detaching the gateway."
        if mapped
        else None
    )


def _with_addresses(inherited: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """DescribeNatGateways with the address each gateway holds, which MiniStack leaves out."""

    def describe(parameters: Any) -> Any:
        status, headers, body = inherited(parameters)
        text = body.decode() if isinstance(body, bytes) else body

        def filled(match: re.Match[str]) -> str:
            record = ec2._nat_gateways[match[1]]
            address = ec2._addresses.get(record["AllocationId"]) or {}
            held = (
                f"<item><allocationId>{record['AllocationId']}</allocationId>"
                f"<networkInterfaceId>{address.get('NetworkInterfaceId') or ''}</networkInterfaceId>"
                f"<publicIp>{address.get('PublicIp', '')}</publicIp></item>"
            )
            held = held if record["AllocationId"] and record["State"] != "deleted" else ""
            before = match[0].removesuffix("<natGatewayAddressSet/>")
            return f"{before}<natGatewayAddressSet>{held}</natGatewayAddressSet>"

        pattern = r"<natGatewayId>([^<]+)</natGatewayId>.*?<natGatewayAddressSet/>"
        return status, headers, re.sub(pattern, filled, text, flags=re.DOTALL).encode()

    return describe
