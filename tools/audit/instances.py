"""Templates as they are deployed in one place: everything resolved that the place and the settings decide.

Rules read text better than intrinsic functions, and take what they cannot read for a fault. So whatever is
put together of several parts becomes text, with a made-up name for what only AWS knows; a reference alone
stays one.
"""

import re
from collections.abc import Mapping
from typing import Any

Template = dict[str, Any]

_ACCOUNT = "111122223333"
_ABSENT = object()
_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")
_NAMES = ("BucketName", "FunctionName", "LogGroupName", "RoleName", "TableName", "TopicName")
_ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}:*",
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
}


class Place:
    """One template in one region; `exports` is what the stacks before it there publish."""

    def __init__(self, template: Template, region: str, exports: Mapping[str, str]) -> None:
        self._template = template
        self._exports = exports
        self._names: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::AccountId": _ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": "stack",
            "AWS::NoValue": _ABSENT,
            **{name: _given(name, body) for name, body in template.get("Parameters", {}).items()},
        }

    def instance(self) -> Template:
        """Without outputs, and without what is not created there."""
        resources = {
            title: self._resolved({name: one for name, one in body.items() if name != "Condition"})
            for title, body in self._template["Resources"].items()
            if "Condition" not in body or self._holds(body["Condition"])
        }
        for body in resources.values():
            ordered = body.pop("DependsOn", [])
            before = [ordered] if isinstance(ordered, str) else ordered
            body["DependsOn"] = [title for title in before if title in resources]
        return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}

    def published(self) -> dict[str, str]:
        """The exports of the stack."""
        outputs = self._template.get("Outputs", {}).values()
        created = [
            output for output in outputs if "Condition" not in output or self._holds(output["Condition"])
        ]
        return {
            self._text(self._resolved(output["Export"]["Name"])): self._text(self._resolved(output["Value"]))
            for output in created
            if "Export" in output
        }

    def worded(self, value: Any) -> Any:
        """A resolved value in which references are text too."""
        match value:
            case {"Ref": _} | {"Fn::GetAtt": _}:
                return self._text(value)
            case dict():
                return {name: self.worded(one) for name, one in value.items()}
            case list():
                return [self.worded(one) for one in value]
        return value

    def _holds(self, condition: str) -> bool:
        return bool(self._resolved(self._template["Conditions"][condition]))

    def _resolved(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name), **rest} if not rest and name in self._names:
                return self._names[name]
            case {"Ref": str(title), **rest} if not rest and self._type(title) == "AWS::S3::Bucket":
                return self._named(title)  # rules look for a bucket's policy by the one or the other
            case {"Condition": str(name), **rest} if not rest:
                return self._holds(name)
            case {"Fn::If": [name, then, otherwise], **rest} if not rest:
                return self._resolved(then if self._holds(name) else otherwise)
            case dict():
                pairs = ((name, self._resolved(one)) for name, one in value.items())
                known = {name: one for name, one in pairs if one is not _ABSENT}
                return self._called(known) if len(known) == 1 else known
            case list():
                return [one for one in map(self._resolved, value) if one is not _ABSENT]
        return value

    def _called(self, call: Mapping[str, Any]) -> Any:
        """What an intrinsic function of known arguments comes to; anything else as it is."""
        match call:
            case {"Fn::Sub": str(text)}:
                return self._filled(text, {})
            case {"Fn::Sub": [str(text), dict(values)]}:
                return self._filled(text, values)
            case {"Fn::FindInMap": [str(mapping), str(first), str(second)]}:
                return self._template["Mappings"][mapping][first][second]
            case {"Fn::ImportValue": str(name)}:
                return self._exports.get(name, f"imported-{name}")
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(map(self._text, parts))
            case {"Fn::Split": [str(separator), str(text)]}:
                return text.split(separator)
            case {"Fn::Select": [(int() | str()) as number, list(choices)]}:
                return choices[int(number)]
            case {"Fn::GetAZs": str(region)}:
                return [f"{region or self._names['AWS::Region']}{letter}" for letter in "abc"]
            case {"Fn::Equals": [one, other]}:
                return one == other
            case {"Fn::And": list(conditions)}:
                return all(conditions)
            case {"Fn::Or": list(conditions)}:
                return any(conditions)
            case {"Fn::Not": [condition]}:
                return not condition
        return dict(call)

    def _filled(self, text: str, values: Mapping[str, Any]) -> str:
        def found(match: re.Match[str]) -> str:
            name = match[1]
            return self._text(values[name]) if name in values else self._named(name)

        return _REFERENCE.sub(found, text).replace("${!", "${")

    def _text(self, value: Any) -> str:
        match value:
            case {"Ref": str(title)}:
                return self._named(title)
            case {"Fn::GetAtt": [str(title), str(attribute)]}:
                return self._named(f"{title}.{attribute}")
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(map(self._text, parts))
        return str(value)

    def _type(self, title: str) -> str | None:
        kind: str | None = self._template["Resources"].get(title, {}).get("Type")
        return kind

    def _named(self, reference: str) -> str:
        """What the settings gave, the name or ARN of a resource in the template, or the reference itself."""
        if reference in self._names:
            return str(self._names[reference])
        title, _, attribute = reference.partition(".")
        properties = self._template["Resources"].get(title, {}).get("Properties", {})
        names = (self._resolved(properties[name]) for name in _NAMES if name in properties)
        name = next((name for name in names if isinstance(name, str)), title)
        kind = self._type(title)
        if kind in _ARNS and (attribute == "Arn" or kind == "AWS::SNS::Topic"):
            return _ARNS[kind].format(region=self._names["AWS::Region"], account=_ACCOUNT, name=name)
        return reference if attribute else name


def _given(name: str, parameter: Mapping[str, Any]) -> Any:
    choices = parameter.get("AllowedValues") or [f"given-{name}"]
    value = parameter.get("Default", choices[0])
    return value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
