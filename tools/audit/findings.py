"""What rule packs find, held against the list of what was looked at and is as it should be."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


class ListError(Exception):
    """The list cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`rule` may end in the particular in brackets: ``AwsSolutions-IAM5[Resource::*]``."""

    rule: str
    resource: str  # TEMPLATE.TITLE
    environment: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.resource}: {self.rule} (in {self.environment}): {self.message}"


@dataclass(frozen=True, slots=True, order=True)
class Accepted:
    """One rule at one resource, or at all a pattern fits: in one environment, or wherever it is found."""

    rule: str
    resource: str
    environment: str | None
    reason: str

    def covers(self, finding: Finding) -> bool:
        return (
            self.rule in (finding.rule, finding.rule.partition("[")[0])
            and fnmatchcase(finding.resource, self.resource)
            and self.environment in (None, finding.environment)
        )


def read(path: Path) -> tuple[Accepted, ...]:
    """Every entry gives a reason for each of its rules at each of its resources. Raises ListError."""
    found: list[Accepted] = []
    for number, entry in enumerate(tomllib.loads(path.read_text("utf-8")).get("accepted", []), 1):
        unknown = entry.keys() - {"rules", "resources", "environment", "reason"}
        if unknown or not all(entry.get(key) for key in ("rules", "resources", "reason")):
            raise ListError(
                f"{path}: entry {number}: needs rules, resources and a reason; may have an environment"
            )
        found += [
            Accepted(rule, resource, entry.get("environment"), entry["reason"])
            for rule in entry["rules"]
            for resource in entry["resources"]
        ]
    return tuple(found)


def not_accepted(findings: Iterable[Finding], accepted: Iterable[Accepted]) -> list[Finding]:
    known = tuple(accepted)
    return sorted({one for one in findings if not any(entry.covers(one) for entry in known)})


def stale(findings: Iterable[Finding], accepted: Iterable[Accepted]) -> list[Accepted]:
    """Entries that nothing matches any more."""
    found = tuple(findings)
    return sorted(entry for entry in accepted if not any(entry.covers(one) for one in found))
