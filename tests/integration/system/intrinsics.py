"""The intrinsic functions of a template, as a deployed stack answers them."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

NO_VALUE = object()
_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")
_SECRET = re.compile(r"\{\{resolve:secretsmanager:([^:}]+):SecretString:([^:}]+)\}\}")
_ARNS = {
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{id}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{id}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{id}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{id}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{id}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{id}",
    "AWS::DynamoDB::GlobalTable": "arn:aws:dynamodb:{region}:{account}:table/{id}",
    "AWS::Scheduler::ScheduleGroup": "arn:aws:scheduler:{region}:{account}:schedule-group/{id}",
    "AWS::RDS::DBCluster": "arn:aws:rds:{region}:{account}:cluster:{id}",
}


class Intrinsics:
    """`resolve` replaces them in a value. Raises LookupError for what a test has to learn first."""

    def __init__(
        self,
        *,
        clients: Callable[[str, str], Any],
        region: str,
        account: str,
        stack: Mapping[str, Any],
        template: Mapping[str, Any],
        resources: Mapping[str, tuple[str, str]],
    ) -> None:
        self._clients = clients
        self._region = region
        self._account = account
        self._template = template
        self._resources = resources
        self._names: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack["StackName"],
            "AWS::StackId": stack["StackId"],
            "AWS::NoValue": NO_VALUE,
            **{logical_id: physical_id for logical_id, (_, physical_id) in resources.items()},
        }
        given = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
        for name, parameter in template.get("Parameters", {}).items():
            value = given.get(name, parameter.get("Default"))
            self._names[name] = value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        self._exports: dict[str, str] | None = None

    def holds(self, condition: str) -> bool:
        return bool(self.resolve(self._template["Conditions"][condition]))

    def resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name), **rest} if not rest:
                return self._names[name]
            case {"Condition": str(name), **rest} if not rest:
                return self.holds(name)
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                ((function, argument),) = value.items()
                return self._call(function, argument)
            case dict():
                resolved = {name: self.resolve(one) for name, one in value.items()}
                return {name: one for name, one in resolved.items() if one is not NO_VALUE}
            case list():
                return [one for one in map(self.resolve, value) if one is not NO_VALUE]
            case str():
                return _SECRET.sub(self._secret, value)
        return value

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "Fn::If", [name, then, otherwise]:
                return self.resolve(then if self.holds(name) else otherwise)
            case "Fn::GetAtt", [logical_id, attribute]:
                return self._attribute(logical_id, attribute)
            case "Fn::Sub", str():
                return self._substitute(argument, {})
            case "Fn::Sub", [text, names]:
                return self._substitute(text, self.resolve(names))
        values = self.resolve(argument)
        match function, values:
            case "Fn::FindInMap", [mapping, first, second]:
                return self._template["Mappings"][mapping][first][second]
            case "Fn::ImportValue", str():
                return self._export(values)
            case "Fn::Join", [separator, parts]:
                return separator.join(parts)
            case "Fn::Split", [separator, text]:
                return text.split(separator)
            case "Fn::Select", [index, choices]:
                return choices[int(index)]
            case "Fn::GetAZs", _:
                zones = self._aws("ec2").describe_availability_zones()["AvailabilityZones"]
                return sorted(zone["ZoneName"] for zone in zones)
            case "Fn::Equals", [one, other]:
                return one == other
            case "Fn::And", list():
                return all(values)
            case "Fn::Or", list():
                return any(values)
            case "Fn::Not", [one]:
                return not one
        raise LookupError(f"no test knows {function}: {argument}")

    def _substitute(self, text: str, names: Mapping[str, Any]) -> str:
        def found(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(names[name])
            logical_id, _, attribute = name.partition(".")
            return str(self._attribute(logical_id, attribute) if attribute else self._names[name])

        return _REFERENCE.sub(found, text).replace("${!", "${")

    def _secret(self, match: re.Match[str]) -> str:
        value = self._aws("secretsmanager").get_secret_value(SecretId=match[1])["SecretString"]
        return str(json.loads(value)[match[2]])

    def _export(self, name: str) -> str:
        if self._exports is None:
            pages = self._aws("cloudformation").get_paginator("list_exports").paginate()
            self._exports = {one["Name"]: one["Value"] for page in pages for one in page["Exports"]}
        return self._exports[name]

    def _aws(self, service: str) -> Any:
        return self._clients(service, self._region)

    def _attribute(self, logical_id: str, attribute: str) -> Any:
        kind, physical_id = self._resources[logical_id]
        match kind, attribute:
            case _, "Arn" if kind in _ARNS:
                return _ARNS[kind].format(region=self._region, account=self._account, id=physical_id)
            case "AWS::EC2::EIP", "AllocationId":
                addresses = self._aws("ec2").describe_addresses()["Addresses"]
                return next(one["AllocationId"] for one in addresses if one["PublicIp"] == physical_id)
            case "AWS::SQS::Queue", "Arn":
                queue = physical_id.rpartition("/")[2]
                return f"arn:aws:sqs:{self._region}:{self._account}:{queue}"
            case "AWS::EC2::SecurityGroup", "GroupId":
                return physical_id
            case "AWS::ApiGateway::DomainName", _:
                domain = self._aws("apigateway").get_domain_name(domainName=physical_id)
                return domain[attribute[0].lower() + attribute[1:]]
            case "AWS::WAFv2::WebACL", "Arn":
                _, identity, scope = physical_id.split("|")
                acls = self._aws("wafv2").list_web_acls(Scope=scope)["WebACLs"]
                return next(acl["ARN"] for acl in acls if acl["Id"] == identity)
            case "Custom::StackSetOutputs", _:
                return self._stack_set_output(logical_id, attribute)
        raise LookupError(f"no test knows {attribute} of a {kind}")

    def _stack_set_output(self, logical_id: str, attribute: str) -> str:
        """`PrimaryVpcId` is VpcId of the StackSet's instance in the region called Primary."""
        properties = self.resolve(self._template["Resources"][logical_id]["Properties"])
        place = next(place for place in properties["Regions"] if attribute.startswith(place))
        region = properties["Regions"][place]
        instance = self._aws("cloudformation").describe_stack_instance(
            StackSetName=properties["StackSetName"],
            StackInstanceAccount=self._account,
            StackInstanceRegion=region,
        )["StackInstance"]
        stacks = self._clients("cloudformation", region).describe_stacks(StackName=instance["StackId"])
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks["Stacks"][0]["Outputs"]}
        return str(outputs[attribute.removeprefix(place)])
