"""EC2's own words about a network."""

import json
from typing import Any

from tests.integration.system.comparison import only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _vpc(vpc: Resource) -> Found:
    ec2, vpc_id = vpc.aws("ec2"), vpc.physical_id

    def attribute(name: str) -> bool:
        answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name[0].lower() + name[1:])
        return bool(answer[name]["Value"])

    found: Found = only(ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"])
    return found | {name: attribute(name) for name in ("EnableDnsSupport", "EnableDnsHostnames")}


def _subnet(subnet: Resource) -> Found:
    found: Found = only(subnet.aws("ec2").describe_subnets(SubnetIds=[subnet.physical_id])["Subnets"])
    return found


def _internet_gateway(gateway: Resource) -> Found:
    answer = gateway.aws("ec2").describe_internet_gateways(InternetGatewayIds=[gateway.physical_id])
    found: Found = only(answer["InternetGateways"])
    return found


def _gateway_attachment(attachment: Resource) -> Found:
    gateway_id = attachment.properties["InternetGatewayId"]
    answer = attachment.aws("ec2").describe_internet_gateways(InternetGatewayIds=[gateway_id])
    attached: Found = only(only(answer["InternetGateways"])["Attachments"])
    return attached | {"InternetGatewayId": gateway_id}


def _address(address: Resource) -> Found:
    addresses = address.aws("ec2").describe_addresses()["Addresses"]
    found: Found = only([one for one in addresses if one["PublicIp"] == address.physical_id])
    return found


def _nat_gateway(gateway: Resource) -> Found:
    answer = gateway.aws("ec2").describe_nat_gateways(NatGatewayIds=[gateway.physical_id])
    found: Found = only([one for one in answer["NatGateways"] if one["State"] == "available"])
    return found | {"AllocationId": only(found["NatGatewayAddresses"])["AllocationId"]}


def _route_table(table: Resource) -> Found:
    found: Found = only(_tables(table, RouteTableIds=[table.physical_id]))
    return found


def _association(association: Resource) -> Found:
    name, value = "association.route-table-association-id", association.physical_id
    tables = _tables(association, Filters=[{"Name": name, "Values": [value]}])
    found: Found = only(
        [one for one in only(tables)["Associations"] if one["RouteTableAssociationId"] == value]
    )
    return found


def _route(route: Resource) -> Found:
    table_id, cidr = (route.properties[name] for name in ("RouteTableId", "DestinationCidrBlock"))
    routes = only(_tables(route, RouteTableIds=[table_id]))["Routes"]
    active = [one for one in routes if one.get("DestinationCidrBlock") == cidr and one["State"] == "active"]
    found: Found = only(active)
    return found | {"RouteTableId": table_id}


def _tables(resource: Resource, **arguments: Any) -> list[Any]:
    tables: list[Any] = resource.aws("ec2").describe_route_tables(**arguments)["RouteTables"]
    return tables


def _endpoint(endpoint: Resource) -> Found:
    answer = endpoint.aws("ec2").describe_vpc_endpoints(VpcEndpointIds=[endpoint.physical_id])
    found: Found = only([one for one in answer["VpcEndpoints"] if one["State"].lower() == "available"])
    return found | {"PolicyDocument": json.loads(found["PolicyDocument"])}


def _flow_log(log: Resource) -> Found:
    answer = log.aws("ec2").describe_flow_logs(FlowLogIds=[log.physical_id])
    found: Found = only([one for one in answer["FlowLogs"] if one["FlowLogStatus"] == "ACTIVE"])
    return found | {"ResourceType": found["ResourceId"].partition("-")[0].upper()}


def _peering(peering: Resource) -> Found:
    """Active in both regions."""
    found: Found = {}
    for region in peering.system.regions:
        answer = peering.aws("ec2", region).describe_vpc_peering_connections(
            VpcPeeringConnectionIds=[peering.physical_id]
        )
        found = only([one for one in answer["VpcPeeringConnections"] if one["Status"]["Code"] == "active"])
    requester, accepter = found["RequesterVpcInfo"], found["AccepterVpcInfo"]
    here = peering.aws("ec2").describe_vpc_peering_connections(VpcPeeringConnectionIds=[peering.physical_id])
    return {
        "VpcId": requester["VpcId"],
        "PeerVpcId": accepter["VpcId"],
        "PeerRegion": accepter["Region"],
        "Tags": only(here["VpcPeeringConnections"])["Tags"],
    }


def _security_group(group: Resource) -> Found:
    """Its own rules are those that no resource of their own made."""
    found: Found = only(
        group.aws("ec2").describe_security_groups(GroupIds=[group.physical_id])["SecurityGroups"]
    )
    elsewhere = {
        physical_id
        for kind, physical_id in group.stack.listed.values()
        if kind in ("AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress")
    }
    rules = [one for one in _rules(group, group.physical_id) if one["SecurityGroupRuleId"] not in elsewhere]
    return found | {
        "GroupDescription": found["Description"],
        "SecurityGroupEgress": [_rule_words(one) for one in rules if one["IsEgress"]],
        "SecurityGroupIngress": [_rule_words(one) for one in rules if not one["IsEgress"]],
    }


def _egress(rule: Resource) -> Found:
    return _rule(rule, "DestinationSecurityGroupId", egress=True)


def _ingress(rule: Resource) -> Found:
    return _rule(rule, "SourceSecurityGroupId", egress=False)


def _rule(rule: Resource, other: str, *, egress: bool) -> Found:
    rules = _rules(rule, rule.properties["GroupId"])
    found: Found = only([one for one in rules if one["SecurityGroupRuleId"] == rule.physical_id])
    if found["IsEgress"] is not egress:
        raise LookupError("it points the wrong way")
    return _rule_words(found) | {other: found.get("ReferencedGroupInfo", {}).get("GroupId")}


def _rules(resource: Resource, group_id: str) -> list[Any]:
    answer = resource.aws("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group_id]}]
    )
    rules: list[Any] = answer["SecurityGroupRules"]
    return rules


def _rule_words(rule: Found) -> Found:
    return rule | {"CidrIp": rule.get("CidrIpv4")}


PROOFS = {
    "AWS::EC2::EIP": _address,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::EC2::InternetGateway": _internet_gateway,
    "AWS::EC2::NatGateway": _nat_gateway,
    "AWS::EC2::Route": _route,
    "AWS::EC2::RouteTable": _route_table,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::EC2::SecurityGroupEgress": _egress,
    "AWS::EC2::SecurityGroupIngress": _ingress,
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::SubnetRouteTableAssociation": _association,
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::EC2::VPCGatewayAttachment": _gateway_attachment,
    "AWS::EC2::VPCPeeringConnection": _peering,
}
