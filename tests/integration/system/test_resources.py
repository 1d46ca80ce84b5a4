"""Every resource of every template is in its region as its template says: asked of its own service."""

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.integration.system.comparison import differences
from tests.integration.system.deployment import REPOSITORY, System
from tests.integration.system.proofs import databases, events, network, operations, requests, rollout, storage
from tests.integration.system.stacks import IN_DATA_REGIONS, Resource, Stack

_INSTANCES = [
    ("primary", "zone"),
    ("primary", "root"),
    *((place, kind) for kind in IN_DATA_REGIONS for place in ("primary", "secondary")),
    ("witness", "witness"),
]
_PROOFS: dict[str, Callable[[Resource], dict[str, Any]]] = {
    **databases.PROOFS,
    **events.PROOFS,
    **network.PROOFS,
    **operations.PROOFS,
    **requests.PROOFS,
    **rollout.PROOFS,
    **storage.PROOFS,
}
_LAB = REPOSITORY / "docs" / "lab.md"
_EXEMPT_HEADING = "## What is not proved of every resource"


def exemptions() -> dict[str, str]:
    """`Type.Property`, either with *, and why nobody can look at it: the table of the lab's documentation."""
    section = _LAB.read_text().partition(_EXEMPT_HEADING)[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE))


def _exempt(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in exemptions())


def _problems(resource: Resource) -> Iterator[str]:
    where = f"{resource.stack.where} {resource.logical_id} ({resource.type})"
    proof = _PROOFS.get(resource.type)
    if proof is None:
        if not _exempt(resource.type):
            yield f"{where}: nobody knows how to prove it"
        return
    try:
        found = proof(resource)
    except (ClientError, LookupError, psycopg.Error) as error:
        yield f"{where}: expected to exist, found {type(error).__name__}: {error}"
        return
    for name, expected in resource.properties.items():
        if _exempt(f"{resource.type}.{name}"):
            continue
        if name not in found:
            yield f"{where} {name}: nobody looks at it (expected {expected!r})"
        else:
            yield from (f"{where} {one}" for one in differences(expected, found[name], name))


@pytest.fixture
def stack(request: pytest.FixtureRequest, system: System) -> Stack:
    place, kind = request.param
    return Stack(system, system.plan.region_at(place).name, kind)


@pytest.mark.parametrize("stack", _INSTANCES, indirect=True, ids=" ".join)
def test_every_resource_is_there_as_its_template_says(stack: Stack) -> None:
    problems = sorted(problem for resource in stack.resources() for problem in _problems(resource))
    assert not problems, "\n".join(["", *problems])


@pytest.mark.parametrize("stack", _INSTANCES, indirect=True, ids=" ".join)
def test_cloudformation_lists_what_the_template_has_and_nothing_else(stack: Stack) -> None:
    listed = {logical_id: kind for logical_id, (kind, _) in stack.listed.items()}
    assert listed == stack.expected


def test_no_stack_is_left_out(system: System) -> None:
    """Neither a template nor an instance of a StackSet nor a stack of any region."""
    places = {system.primary: "primary", system.secondary: "secondary", system.witness: "witness"}
    assert {kind for _, kind in _INSTANCES} == {
        file.stem for file in (system.workspace / "dist").glob("*.json") if file.stem != "build"
    }
    assert {(places[region], kind) for region in places for kind in system.stacks(region)} == set(_INSTANCES)
    cloudformation = system.aws("cloudformation", system.primary)
    for stack_set in cloudformation.list_stack_sets(Status="ACTIVE")["Summaries"]:
        name = stack_set["StackSetName"]
        for instance in cloudformation.list_stack_instances(StackSetName=name)["Summaries"]:
            kind = name.split("-")[1]
            assert (places[instance["Region"]], kind) in _INSTANCES
            assert instance["StackId"] == system.stacks(instance["Region"])[kind]["StackId"]


def test_every_exemption_has_a_reason_and_is_needed(system: System) -> None:
    templates = [Stack(system, system.plan.region_at(place).name, kind) for place, kind in _INSTANCES]
    names = set()
    for stack in templates:
        for resource in stack.resources():
            names |= {resource.type} | {f"{resource.type}.{name}" for name in resource.properties}
    listed = exemptions()
    assert listed
    assert not [pattern for pattern in listed if not any(fnmatchcase(name, pattern) for name in names)]
    assert all(len(reason) > 20 for reason in listed.values())
