"""How laws read a template: its references, its statements, and what it becomes in one region."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")

Path = tuple[str, ...]


def walk(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value with the way to it, the outermost first."""
    yield path, node
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from walk(child, (*path, str(key)))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from walk(child, (*path, str(index)))


def strings(node: Any) -> Iterator[tuple[Path, str]]:
    return ((path, value) for path, value in walk(node) if isinstance(value, str))


def references(node: Any) -> Iterator[str]:
    """Titles that the node refers to, of resources and parameters; pseudo parameters are left out."""
    for _, value in walk(node):
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        if "Fn::Sub" in value:
            yield from _substituted(value["Fn::Sub"])
        depends = value.get("DependsOn", [])
        yield from [depends] if isinstance(depends, str) else depends


def _substituted(sub: Any) -> Iterator[str]:
    text, given = (sub, {}) if isinstance(sub, str) else sub
    for name in _VARIABLE.findall(text):
        if name not in given:
            yield name.split(".")[0]


def statements(node: Any) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for path, value in walk(node):
        if isinstance(value, Mapping) and "Effect" in value and "Action" in value:
            yield path, value


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def of_type(template: Mapping[str, Any], *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for title, resource in template["Resources"].items():
        if resource["Type"] in types:
            yield title, resource["Properties"]


def in_region(template: Mapping[str, Any], region: str) -> dict[str, Any]:
    """The template as that region reads it: conditions decided, tables looked up, absent resources gone."""
    given = template.get("Conditions", {})
    conditions = {name: _holds(condition, region, given) for name, condition in given.items()}
    resources = {
        title: resource
        for title, resource in template["Resources"].items()
        if "Condition" not in resource or conditions[resource["Condition"]]
    }
    kept = {"Resources": resources, "Outputs": template.get("Outputs", {})}
    decided: dict[str, Any] = _decided(kept, region, conditions, template.get("Mappings", {}))
    return decided | {"Parameters": template.get("Parameters", {})}


class _Absent:
    """What AWS::NoValue leaves behind."""


def _holds(condition: Any, region: str, conditions: Mapping[str, Any]) -> bool:
    if "Condition" in condition:
        return _holds(conditions[condition["Condition"]], region, conditions)
    if "Fn::And" in condition:
        return all(_holds(part, region, conditions) for part in condition["Fn::And"])
    first, second = (
        {"AWS::Region": region}[v["Ref"]] if isinstance(v, dict) else v for v in condition["Fn::Equals"]
    )
    return bool(first == second)


def _decided(node: Any, region: str, conditions: Mapping[str, bool], mappings: Mapping[str, Any]) -> Any:
    def decide(child: Any) -> Any:
        return _decided(child, region, conditions, mappings)

    if isinstance(node, list):
        return [value for value in map(decide, node) if value is not _Absent]
    if isinstance(node, str):
        return node.replace("${AWS::Region}", region)
    if not isinstance(node, Mapping):
        return node
    if node == {"Ref": "AWS::Region"}:
        return region
    if node == {"Ref": "AWS::NoValue"}:
        return _Absent
    if "Fn::If" in node:
        condition, then, otherwise = node["Fn::If"]
        return decide(then if conditions[condition] else otherwise)
    if "Fn::FindInMap" in node:
        table, row, column = map(decide, node["Fn::FindInMap"])
        return mappings[table][row][column]
    if "Fn::Sub" in node:
        return _filled(decide(node["Fn::Sub"]))
    pairs = ((key, decide(child)) for key, child in node.items())
    return {key: value for key, value in pairs if value is not _Absent}


def _filled(sub: Any) -> Any:
    """Fills in what is known; text when nothing unknown is left but pseudo parameters."""
    if isinstance(sub, str):
        return {"Fn::Sub": sub} if "${" in sub else sub
    text, given = sub
    for name, value in given.items():
        if isinstance(value, str):
            text = text.replace(f"${{{name}}}", value)
    unknown = {name: value for name, value in given.items() if not isinstance(value, str)}
    if unknown:
        return {"Fn::Sub": [text, unknown]}
    return {"Fn::Sub": text} if "${" in text else text
