"""What a change of a property means for the resource, by the AWS resource schemas that cfn-lint ships.

The files are read directly: importing cfn-lint costs more than a second.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final


class Replaced(StrEnum):
    NO = "no"
    PERHAPS = "perhaps"
    YES = "yes"


# What CloudFormation's reference calls "some interruptions", of resources that payments wait for; the schemas
# do not say it.
_INTERRUPTS: Final = frozenset(
    {
        ("AWS::RDS::DBCluster", "EngineVersion"),
        ("AWS::RDS::DBCluster", "Port"),
        ("AWS::RDS::DBInstance", "DBInstanceClass"),
        ("AWS::RDS::DBInstance", "EngineVersion"),
        ("AWS::RDS::GlobalCluster", "EngineVersion"),
    }
)
STATEFUL: Final = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::CloudFormation::StackSet",  # with it goes everything it rolled out
        "AWS::DynamoDB::GlobalTable",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::RDS::GlobalCluster",
        "AWS::Route53::HostedZone",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
        "AWS::SQS::Queue",
    }
)


def interrupts(type_name: str, name: str) -> bool:
    return (type_name, name) in _INTERRUPTS


def replaced(type_name: str, region: str, name: str, old: Any, new: Any) -> Replaced:
    """By a change of this property from `old` to `new`; of a type without a schema nothing is."""
    document = _schema(type_name, region)
    if _touches(document.get("createOnlyProperties", ()), name, old, new):
        return Replaced.YES
    if _touches(document.get("conditionalCreateOnlyProperties", ()), name, old, new):
        return Replaced.PERHAPS
    return Replaced.NO


def _touches(pointers: Any, name: str, old: Any, new: Any) -> bool:
    paths = [pointer.removeprefix("/properties/").split("/") for pointer in pointers]
    return any(path[0] == name and _at(old, path[1:]) != _at(new, path[1:]) for path in paths)


def _at(value: Any, path: list[str]) -> Any:
    """What is at the path; all of a list, or of what cannot be looked into, because any of it may differ."""
    for name in path:
        if not isinstance(value, Mapping) or name == "*" or _is_function(value):
            return value
        value = value.get(name)
    return value


def _is_function(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::"))


@cache
def _schema(type_name: str, region: str) -> Mapping[str, Any]:
    specification = find_spec("cfnlint")
    if specification is None or not specification.submodule_search_locations:
        raise ModuleNotFoundError("cfn-lint is not installed; run `make setup`")
    schemas = Path(specification.submodule_search_locations[0]) / "data" / "schemas"
    digest = json.loads((schemas / "providers" / f"{region}.json").read_text()).get(type_name)
    if digest is None:
        return {}
    document: Mapping[str, Any] = json.loads((schemas / "resources" / f"{digest}.json").read_text())
    return document
