"""The project's own laws about templates: each rule reads one rendered template and yields what breaks it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator.problems import Problem

STATEFUL = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::DynamoDB::GlobalTable",
        "AWS::DynamoDB::Table",
        "AWS::KMS::Key",
        "AWS::KMS::ReplicaKey",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::RDS::GlobalCluster",
        "AWS::Route53::HostedZone",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
)
REGIONAL = frozenset({"foundation", "data", "service", "witness"})

_SECRET_PROPERTY = re.compile(
    r"(password|secretstring|authtoken|secretaccesskey|privatekey)\Z", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----")

Template = Mapping[str, Any]


def broken(name: str, template: Template, *, disposable: bool) -> Iterator[Problem]:
    """Every law the template breaks; `disposable` where nothing needs to outlive its stack."""
    file = f"{name}.json"
    yield from undescribed_outputs(file, template)
    yield from unprotected_state(file, template, disposable=disposable)
    yield from literal_credentials(file, template)
    yield from unexplained_wildcards(file, template)
    if name in REGIONAL:
        yield from transforms(file, template)


def undescribed_outputs(file: str, template: Template) -> Iterator[Problem]:
    for title, output in template.get("Outputs", {}).items():
        if not output.get("Description"):
            yield Problem(
                f"{file}: Outputs.{title}", "has no description", "say what it is, to whoever reads the stack"
            )


def unprotected_state(file: str, template: Template, *, disposable: bool) -> Iterator[Problem]:
    """What happens to data is decided, never left to CloudFormation's default, which is to delete it."""
    for title, resource in template["Resources"].items():
        if resource["Type"] in STATEFUL:
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                found = resource.get(policy)
                if found is None or (found == "Delete" and not disposable):
                    yield Problem(
                        f"{file}: Resources.{title}",
                        f"a {resource['Type']} with {policy} {found or 'missing'}",
                        "pass it through templates.lifetime.keep",
                    )


def literal_credentials(file: str, template: Template) -> Iterator[Problem]:
    for path, value in _strings(template):
        named = _SECRET_PROPERTY.search(path[-1]) and path[0] == "Resources" and "{{resolve:" not in value
        if named or _SECRET_VALUE.search(value):
            yield Problem(
                f"{file}: {'.'.join(path)}",
                "holds a credential in the clear",
                "generate it in Secrets Manager and refer to it with {{resolve:secretsmanager:...}}",
            )


def unexplained_wildcards(file: str, template: Template) -> Iterator[Problem]:
    """JSON has no comments: a wildcard is explained where its statement is made, and named here by a Sid."""
    for path, statement in _statements(template):
        where = f"{file}: {'.'.join(path)}"
        if statement.get("Effect") != "Allow":
            continue
        for inverted in ("NotAction", "NotResource", "NotPrincipal"):
            if inverted in statement:
                yield Problem(where, f"allows by {inverted}", "name what is allowed instead")
        if _anyone(statement.get("Principal")) and "Condition" not in statement:
            yield Problem(where, "allows everybody, without a condition", "name the principal")
        wild = [action for action in _list(statement.get("Action")) if str(action).split(":")[-1] == "*"]
        wild += [resource for resource in _list(statement.get("Resource")) if resource == "*"]
        if wild and not statement.get("Sid"):
            yield Problem(
                where, f"has the wildcard {wild[0]!r} without a Sid", "narrow it, or name why in a Sid"
            )


def transforms(file: str, template: Template) -> Iterator[Problem]:
    """Nothing packages what is inside a StackSet's template, and service-managed StackSets refuse these."""
    if "Transform" in template or any("Fn::Transform" in path for path, _ in _strings(template)):
        yield Problem(file, "uses a transform", "render what the transform would have made")
    for title, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack" or resource["Type"].startswith(
            "AWS::Serverless::"
        ):
            yield Problem(
                f"{file}: Resources.{title}",
                f"a {resource['Type']}, which a regional template cannot hold",
                "declare what it consists of",
            )


Path = tuple[str, ...]


def _strings(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and path:
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _strings(inner, (*path, str(index)))


def _statements(value: object, path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "Effect" in value and ("Action" in value or "NotAction" in value):
            yield path, value
            return
        for key, inner in value.items():
            yield from _statements(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _statements(inner, (*path, str(index)))


def _anyone(principal: object) -> bool:
    if isinstance(principal, Mapping):
        return any("*" in _list(value) for value in principal.values())
    return principal == "*"


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
