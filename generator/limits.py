"""What CloudFormation refuses because it is too much, found here instead of half-way through a deployment."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from generator.problems import Problem

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MOST = {"Resources": 500, "Outputs": 200, "Parameters": 200, "Mappings": 200}
MAPPING_ATTRIBUTES = 200
TITLE_CHARACTERS = 255
DESCRIPTION_BYTES = 1024
TEMPLATE_BYTES = 1_000_000
INLINE_BYTES = 51_200
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
FUNCTION_ENVIRONMENT_BYTES = 4096
# A text in a template is for reading, too: what is longer belongs into a package.
INLINE_CODE_CHARACTERS = 4096
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
ALARM_METRICS = 10
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; IAM does not count white space.
ROLE_POLICY_CHARACTERS = 10_240
MANAGED_POLICY_CHARACTERS = 6_144
TRUST_POLICY_CHARACTERS = 2_048


def exceeded(name: str, text: str, template: Mapping[str, Any]) -> Iterator[Problem]:
    """Every limit the template passes."""
    file = f"{name}.json"
    yield from _more_than(
        TEMPLATE_BYTES, len(text.encode()), file, "bytes", "move resources to another template"
    )
    for section, most in MOST.items():
        yield from _more_than(
            most, len(template.get(section, {})), file, section.lower(), "move some to another template"
        )
        for title in template.get(section, {}):
            yield from _more_than(
                TITLE_CHARACTERS, len(title), f"{file}: {section}.{title}", "characters", "shorten the title"
            )
    yield from _descriptions(file, template)
    for title, mapping in template.get("Mappings", {}).items():
        for key, attributes in mapping.items():
            yield from _more_than(
                MAPPING_ATTRIBUTES,
                len(attributes),
                f"{file}: Mappings.{title}.{key}",
                "attributes",
                "split the mapping",
            )
    for title, resource in template["Resources"].items():
        yield from _resource(f"{file}: Resources.{title}", resource["Type"], resource.get("Properties", {}))


def notes(name: str, text: str) -> Iterator[str]:
    """What is no mistake but good to know."""
    if len(text.encode()) > INLINE_BYTES:
        yield f"{name}.json: {len(text.encode())} bytes, more than the {INLINE_BYTES} that can be sent inline"


def _descriptions(file: str, template: Mapping[str, Any]) -> Iterator[Problem]:
    described = {file: template.get("Description", "")}
    for section in ("Outputs", "Parameters"):
        for title, entry in template.get(section, {}).items():
            described[f"{file}: {section}.{title}"] = entry.get("Description", "")
    for where, description in described.items():
        yield from _more_than(
            DESCRIPTION_BYTES, len(description.encode()), where, "bytes of description", "say it shorter"
        )


def _resource(where: str, kind: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    if kind == "AWS::Lambda::Function":
        variables = properties.get("Environment", {}).get("Variables", {})
        yield from _more_than(
            FUNCTION_ENVIRONMENT_BYTES,
            _characters(variables),
            where,
            "bytes of environment",
            "let the function compute some of it",
        )
        yield from _more_than(
            INLINE_CODE_CHARACTERS,
            len(_inline(properties.get("Code"))),
            where,
            "characters of inline code",
            "shorten the text",
        )
    if kind == "AWS::CloudWatch::Alarm":
        watched = [query for query in properties.get("Metrics", []) if "MetricStat" in query]
        yield from _more_than(
            ALARM_METRICS, len(watched), where, "metrics in one alarm", "watch some by another alarm"
        )
    if kind == "AWS::IAM::Role":
        policies = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        yield from _more_than(
            ROLE_POLICY_CHARACTERS,
            sum(map(_characters, policies)),
            where,
            "characters of policies",
            "move statements to a managed policy",
        )
        yield from _more_than(
            TRUST_POLICY_CHARACTERS,
            _characters(properties["AssumeRolePolicyDocument"]),
            where,
            "characters of trust policy",
            "trust fewer principals",
        )
    if kind == "AWS::IAM::ManagedPolicy":
        yield from _more_than(
            MANAGED_POLICY_CHARACTERS,
            _characters(properties["PolicyDocument"]),
            where,
            "characters of policy",
            "split the policy",
        )


def _inline(code: object) -> str:
    """A package is named by its path, or by its bucket and key."""
    return str(code.get("ZipFile", "")) if isinstance(code, Mapping) else ""


def _characters(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _more_than(most: int, found: int, where: str, what: str, todo: str) -> Iterator[Problem]:
    if found > most:
        yield Problem(where, f"{found} {what}, AWS takes {most}", todo)
