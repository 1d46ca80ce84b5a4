"""The AWS resource schemas that cfn-lint ships, as the lab's gate: what AWS would refuse, the lab refuses.

CloudFormation converts scalars before it checks them (a parameter is always a string), and reports every
violation as
`#/Property/Path: what is wrong`:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html The files are read
directly: importing cfn-lint costs more than a second, a schema and its validator a millisecond.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import regex
from jsonschema import Draft7Validator, validators
from jsonschema.exceptions import ValidationError

JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """One resource type, as the region's registry describes it."""

    type_name: str
    document: JsonSchema
    validator: Any

    @property
    def read_only(self) -> tuple[str, ...]:
        """Top-level properties only AWS sets."""
        return _top_level(self.document.get("readOnlyProperties", ()))

    @property
    def create_only(self) -> tuple[str, ...]:
        """Top-level properties whose change replaces the resource."""
        return _top_level(self.document.get("createOnlyProperties", ()))

    @property
    def tag_property(self) -> str | None:
        """Where stack tags go, for types that take them."""
        tagging = self.document.get("tagging") or {}
        if "Tags" not in self.document.get("properties", {}) and not tagging.get("tagProperty"):
            return None
        return str(tagging.get("tagProperty", "/properties/Tags")).rpartition("/")[2]


def resource_schema(type_name: str, region: str) -> ResourceSchema | None:
    """The schema of a type in a region; None for a type AWS does not have there."""
    digest = _types_of(region).get(type_name)
    return None if digest is None else _load(type_name, digest)


def problems(schema: ResourceSchema, properties: Mapping[str, Any]) -> list[str]:
    """Everything AWS would refuse, in its words; `properties` are resolved and converted."""
    found = [
        f"#: read-only property [{name}] is not permitted" for name in schema.read_only if name in properties
    ]
    for error in sorted(
        schema.validator.iter_errors(properties), key=lambda error: list(map(str, error.path))
    ):
        found.extend(_describe(error))
    return list(dict.fromkeys(found))


def converted(schema: ResourceSchema, properties: Mapping[str, Any]) -> dict[str, Any]:
    """`properties` with scalars turned into the types the schema names, as CloudFormation does."""
    return {
        name: _convert(value, schema.document.get("properties", {}).get(name, {}), schema.document)
        for name, value in properties.items()
    }


@cache
def _schemas_directory() -> Path:
    specification = find_spec("cfnlint")
    if specification is None or not specification.submodule_search_locations:
        raise RuntimeError("cfn-lint is not installed: the lab checks resources against the schemas it ships")
    return Path(specification.submodule_search_locations[0]) / "data" / "schemas"


@cache
def _types_of(region: str) -> dict[str, str]:
    types: dict[str, str] = json.loads((_schemas_directory() / "providers" / f"{region}.json").read_text())
    return types


@cache
def _load(type_name: str, digest: str) -> ResourceSchema:
    document = json.loads((_schemas_directory() / "resources" / f"{digest}.json").read_text())
    return ResourceSchema(type_name, document, _Validator(document))


def _top_level(pointers: Sequence[str]) -> tuple[str, ...]:
    paths = [pointer.removeprefix("/properties/").split("/") for pointer in pointers]
    return tuple(path[0] for path in paths if len(path) == 1)


# --- keywords that JSON Schema lacks or reads differently ---------------------------------------------------


@cache
def _compiled(pattern: str) -> "regex.Pattern[str] | None":
    try:
        return regex.compile(pattern)
    except regex.error:
        return None  # a Java expression with no Python equivalent: AWS itself will check it


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    expression = _compiled(pattern)
    if isinstance(value, str) and expression is not None and not expression.search(value):
        yield ValidationError(f"string [{value}] does not match pattern {pattern}")


def _required_xor(_: Any, names: Sequence[str], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict) and sum(name in value for name in names) != 1:
        yield ValidationError(f"exactly one of {sorted(names)} is required")


def _required_or(_: Any, names: Sequence[str], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, dict) and not any(name in value for name in names):
        yield ValidationError(f"one of {sorted(names)} is required")


def _dependent_required(_: Any, rules: JsonSchema, value: Any, __: Any) -> Iterator[ValidationError]:
    for name, needed in rules.items():
        for missing in [
            other for other in needed if isinstance(value, dict) and name in value and other not in value
        ]:
            yield ValidationError(f"property [{name}] needs property [{missing}]")


def _dependent_excluded(_: Any, rules: JsonSchema, value: Any, __: Any) -> Iterator[ValidationError]:
    for name, excluded in rules.items():
        for other in [
            other for other in excluded if isinstance(value, dict) and name in value and other in value
        ]:
            yield ValidationError(f"properties [{name}] and [{other}] exclude each other")


def _enum_any_case(_: Any, allowed: Sequence[str], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and value.lower() not in [item.lower() for item in allowed]:
        yield ValidationError(f"{value} is not a valid enum value {sorted(allowed)}")


def _unique_keys(_: Any, keys: Sequence[str], value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        seen = [tuple(item.get(key) for key in keys) for item in value]
        if len(set(map(str, seen))) != len(seen):
            yield ValidationError(f"items repeat their {list(keys)}")


_Validator = validators.extend(  # type: ignore[no-untyped-call]  # its stub lacks the types
    Draft7Validator,
    {
        "pattern": _pattern,
        "requiredXor": _required_xor,
        "requiredOr": _required_or,
        "dependentRequired": _dependent_required,
        "dependentExcluded": _dependent_excluded,
        "enumCaseInsensitive": _enum_any_case,
        "uniqueKeys": _unique_keys,
    },
)


def _describe(error: ValidationError) -> Iterator[str]:
    path = "#" + "".join(f"/{part}" for part in error.absolute_path)
    value: Any = error.instance
    match error.validator:
        case "additionalProperties" if isinstance(value, dict):
            schema = error.schema if isinstance(error.schema, dict) else {}
            for name in sorted(set(value) - set(schema.get("properties", {}))):
                yield f"{path}: extraneous key [{name}] is not permitted"
        case "required":
            yield f"{path}: required key [{error.message.split(chr(39))[1]}] not found"
        case "type":
            wanted: Any = error.validator_value
            names = wanted if isinstance(wanted, str) else " or ".join(wanted)
            yield f"{path}: expected type: {names.title()}, found: {_type_of(value)}"
        case "enum" | "const":
            yield f"{path}: {value} is not a valid enum value"
        case "anyOf" | "oneOf" if error.context:
            # The branch that came closest says most: the one whose first complaint lies deepest.
            nearest = max(error.context, key=lambda inner: len(inner.absolute_path))
            yield from _describe(nearest)
        case "oneOf":
            yield f"{path}: 2 subschemas matched instead of one"
        case _:
            yield f"{path}: {error.message}"


def _type_of(value: object) -> str:
    names = {
        str: "String",
        bool: "Boolean",
        int: "Integer",
        float: "Number",
        list: "JSONArray",
        dict: "JSONObject",
    }
    return names.get(type(value), type(value).__name__)


# --- conversion ---------------------------------------------------------------------------------------------


def _convert(value: Any, schema: Any, root: JsonSchema) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if "$ref" in schema:
        return _convert(value, _referenced(str(schema["$ref"]), root), root)
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        value = _convert(value, branch, root)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {name: _convert(item, known.get(name, {}), root) for name, item in value.items()}
    if isinstance(value, list):
        return [_convert(item, schema.get("items", {}), root) for item in value]
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    return _convert_scalar(value, kinds)


def _convert_scalar(value: Any, kinds: tuple[str, ...]) -> Any:
    if isinstance(value, bool):
        return str(value).lower() if kinds == ("string",) else value
    if isinstance(value, int | float):
        return str(value) if kinds == ("string",) else value
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "boolean" in kinds and value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind, number in (("integer", int), ("number", float)):
        if kind in kinds:
            try:
                return number(value)
            except ValueError:
                continue
    return value


def _referenced(pointer: str, root: JsonSchema) -> Any:
    node: Any = root
    for part in pointer.removeprefix("#/").split("/"):
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    return node
