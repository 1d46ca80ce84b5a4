"""Reads a table from TOML into what msgspec structs declare, and tells every problem instead of the first."""

import json
from collections.abc import Iterator, Mapping, Set
from ipaddress import IPv4Network
from typing import Any, NamedTuple, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert
from msgspec.structs import FieldInfo, fields


class Problem(NamedTuple):
    """What is wrong with one key, and what would not be."""

    key: str
    found: str
    allowed: str


class Reading(NamedTuple):
    """The right values by dotted key, the keys that were there at all, and what is wrong."""

    values: dict[str, Any]
    seen: set[str]
    problems: list[Problem]


def leaves(schema: type[Struct], under: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting of a schema, however deep, by its dotted key."""
    for field in fields(schema):
        if section := _section(field):
            yield from leaves(section, f"{under}{field.name}.")
        else:
            yield under + field.name, field


def read(
    table: Mapping[str, Any], schema: type[Struct], under: str = "", without: Set[str] = frozenset()
) -> Reading:
    """What the table says; a key that is missing is not a problem here, because another table may have it."""
    known = {field.name: field for field in fields(schema) if field.name not in without}
    reading = Reading({}, set(), [])
    for name, value in table.items():
        key = under + name
        if name not in known:
            reading.problems.append(Problem(key, "an unknown key", ", ".join(known)))
        elif section := _section(known[name]):
            if isinstance(value, dict):
                inner = read(value, section, f"{key}.")
                reading.values.update(inner.values)
                reading.seen.update(inner.seen)
                reading.problems.extend(inner.problems)
            else:
                reading.seen.update(leaf for leaf, _ in leaves(section, f"{key}."))
                reading.problems.append(Problem(key, shown(value), f"a table with {_names(section)}"))
        else:
            reading.seen.add(key)
            try:
                reading.values[key] = convert(value, known[name].type, dec_hook=_network)
            except ValidationError:
                reading.problems.append(_wrong(key, value, known[name].type))
    return reading


def build(values: Mapping[str, Any], schema: type[Struct], under: str = "") -> Any:
    """The struct, from values by dotted key that are known to be complete and right."""
    return schema(
        **{
            field.name: build(values, section, f"{under}{field.name}.")
            if (section := _section(field))
            else values[under + field.name]
            for field in fields(schema)
        }
    )


def _wrong(key: str, value: object, kind: Any) -> Problem:
    """The problem with a value of one kind; in a list, with the first element that is wrong."""
    if isinstance(value, list) and get_origin(_bare(kind)) is tuple:
        element = get_args(_bare(kind))[0]
        for index, item in enumerate(value):
            try:
                convert(item, element)
            except ValidationError:
                return Problem(f"{key}[{index}]", shown(item), allowed(element))
    return Problem(key, shown(value), allowed(kind))


def allowed(kind: Any) -> str:
    """The description a setting's type carries."""
    if get_origin(kind) is Union:  # with None, for a setting that may be missing
        kind = get_args(kind)[0]
    return str(next(meta.description for meta in kind.__metadata__ if isinstance(meta, Meta)))


def optional(field: FieldInfo) -> bool:
    return field.default is not NODEFAULT


def shown(value: object) -> str:
    """A value as it stands in the file, or nearly."""
    return "a table" if isinstance(value, dict) else json.dumps(value, default=str, ensure_ascii=False)


def _section(field: FieldInfo) -> type[Struct] | None:
    kind = field.type
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None


def _names(section: type[Struct]) -> str:
    return ", ".join(field.name for field in fields(section))


def _bare(kind: Any) -> Any:
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


def _network(kind: type, value: object) -> object:
    if kind is IPv4Network and isinstance(value, str) and "/" in value:
        return IPv4Network(value)
    raise ValueError("not a network")
