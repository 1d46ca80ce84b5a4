"""Security group rules as resources of their own, and groups that cannot go while a rule names them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroupingress.html
"""

from functools import partial
from typing import Any

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError


def register(handlers: Handlers) -> None:
    for direction, egress in (("Ingress", False), ("Egress", True)):
        handlers[f"AWS::EC2::SecurityGroup{direction}"] = {
            "create": partial(create_rule, egress=egress),
            "update": partial(update_rule, egress=egress),
            "delete": partial(delete_rule, egress=egress),
        }
    group = handlers["AWS::EC2::SecurityGroup"]
    inherited = group["delete"]

    def delete_group(physical_id: str, properties: Properties) -> None:
        if _named_by_others(physical_id):
            raise ResourceError(f"resource {physical_id} has a dependent object (DependencyViolation)")
        inherited(physical_id, properties)

    group["delete"] = delete_group


def create_rule(logical_id: str, properties: Properties, stack_name: str, *, egress: bool) -> Created:
    group = _group(properties.get("GroupId"))
    for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if name in properties:
            _group(properties[name])
    (rule,) = provisioners._ec2_sg_permissions([properties])
    identifier = str(ec2._sg_rule_id(properties["GroupId"], egress, rule))
    rules = _rules(group, egress)
    if any(ec2._strip_descriptions(known) == ec2._strip_descriptions(rule) for known in rules):
        raise ResourceError(
            f"the specified rule {_in_words(rule)} already exists (InvalidPermission.Duplicate)"
        )
    rule["SecurityGroupRuleId"] = identifier
    rules.append(rule)
    return identifier, {"Id": identifier}


def update_rule(
    physical_id: str, old: Properties, new: Properties, stack_name: str, *, egress: bool
) -> Created:
    """Only the description changes in place."""
    (described,) = provisioners._ec2_sg_permissions([new])
    rules = _rules(_group(new.get("GroupId")), egress)
    for position, rule in enumerate(rules):
        if rule.get("SecurityGroupRuleId") == physical_id:
            rules[position] = {**described, "SecurityGroupRuleId": physical_id}
    return physical_id, {"Id": physical_id}


def delete_rule(physical_id: str, properties: Properties, *, egress: bool) -> None:
    group = ec2._security_groups.get(properties.get("GroupId"))
    if group is not None:
        rules = _rules(group, egress)
        rules[:] = [rule for rule in rules if rule.get("SecurityGroupRuleId") != physical_id]


def _group(identifier: object) -> dict[str, Any]:
    group: dict[str, Any] | None = ec2._security_groups.get(identifier)
    if group is None:
        raise ResourceError(f"The security group '{identifier}' does not exist (InvalidGroup.NotFound)")
    return group


def _rules(group: dict[str, Any], egress: bool) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = group["IpPermissionsEgress" if egress else "IpPermissions"]
    return rules


def _named_by_others(identifier: str) -> bool:
    return any(
        pair.get("GroupId") == identifier
        for other, group in ec2._security_groups.items()
        if other != identifier
        for rule in (*_rules(group, egress=False), *_rules(group, egress=True))
        for pair in rule.get("UserIdGroupPairs", ())
    )


def _in_words(rule: dict[str, Any]) -> str:
    peers = [item.get("CidrIp") for item in rule["IpRanges"]]
    peers += [pair.get("GroupId") for pair in rule["UserIdGroupPairs"]]
    return (
        f'"peer: {", ".join(map(str, peers))}, {str(rule["IpProtocol"]).upper()}, '
        f'from port: {rule.get("FromPort")}, to port: {rule.get("ToPort")}, ALLOW"'
    )
