"""The AWS Query protocol, both ways: flat parameters in, XML out."""

from collections.abc import Mapping
from html import escape
from typing import Any


def parsed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`A.member.1.B=x` as `{"A": [{"B": "x"}]}`; an empty list arrives as `A=`, an empty string here."""
    tree: dict[str, Any] = {}
    for name, values in parameters.items():
        node = tree
        parts = [part for part in name.split(".") if part != "member"]
        for part in parts[:-1]:
            deeper = node.setdefault(part, {})
            node = deeper if isinstance(deeper, dict) else {}
        node[parts[-1]] = values[0] if isinstance(values, list) else values
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(item) for key, item in value.items()}


def rendered(value: Any) -> str:
    """The inside of an XML element: mappings nest, lists have members, None is left out."""
    if isinstance(value, Mapping):
        return "".join(
            f"<{name}>{rendered(item)}</{name}>" for name, item in value.items() if item is not None
        )
    if isinstance(value, list | tuple):
        return "".join(f"<member>{rendered(item)}</member>" for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return escape(str(value))
