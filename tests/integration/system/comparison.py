"""What a template says against what a service says, in the template's vocabulary."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MORE_IS_FINE = ("Tags", "HostedZoneTags", "HealthCheckTags")  # AWS adds the stack's own


@dataclass(frozen=True, slots=True)
class Seen:
    """A value for which the service has words of its own: what the template says is put into those first."""

    value: Any
    said: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected!r}, found {self.found!r}"


def differences(expected: Any, found: Any, path: str = "") -> Iterator[Difference]:
    """A mapping may have more than was asked for, a list may not, but its order is free."""
    if isinstance(found, Seen):
        yield from differences(found.said(expected), found.value, path)
    elif isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name, value in expected.items():
            inner = f"{path}.{name}" if path else name
            if name in found:
                yield from differences(value, found[name], inner)
            else:
                yield Difference(inner, value, None)
    elif isinstance(expected, list) and isinstance(found, list):
        yield from _list_differences(expected, found, path)
    elif expected != found or isinstance(expected, bool) is not isinstance(found, bool):
        yield Difference(path, expected, found)


def _list_differences(expected: list[Any], found: list[Any], path: str) -> Iterator[Difference]:
    left = list(found)
    missing = []
    for value in expected:
        match = next((one for one in left if not any(differences(value, one))), None)
        if match is None:
            missing.append(value)
        else:
            left.remove(match)
    if len(missing) == len(left):  # in the order of the template they most likely belong together
        for number, (value, one) in enumerate(zip(missing, left, strict=True)):
            yield from differences(value, one, f"{path}[{number}]")
    elif missing or not path.endswith(_MORE_IS_FINE):
        yield Difference(path, missing or "nothing else", left)


def only(found: list[Any]) -> Any:
    """Raises LookupError unless there is exactly one."""
    if len(found) != 1:
        raise LookupError(f"expected one, found {len(found)}")
    return found[0]
