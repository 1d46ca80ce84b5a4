"""`python -m ops diff` against the deployed system: nothing, a harmful change, a region out of reach."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import environment
from ops.surroundings import ENDPOINTS
from tests.integration.system.deployment import System

_NOBODY_LISTENS = 9


def diff(system: System, *options: str, lost: str | None = None) -> tuple[int, dict[str, Any]]:
    variables = environment.for_child(system.plan, os.environ)
    if lost is not None:
        endpoints = json.loads(variables[ENDPOINTS])
        endpoints[lost] = f"http://{system.plan.regions[lost].address}:{_NOBODY_LISTENS}"
        variables[ENDPOINTS] = json.dumps(endpoints)
    done = subprocess.run(
        [sys.executable, "-m", "ops", "--environment", "lab", "diff", "--json", *options],
        cwd=system.workspace,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def stacks(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["stack"], one["region"]): one for one in document["stacks"]}


@pytest.fixture
def built(system: System) -> Path:
    """A build to spoil; another test may have changed what is deployed, so it is made anew."""
    system.build()
    system.deploy("lab")
    spoiled = system.workspace / "spoiled"
    shutil.rmtree(spoiled, ignore_errors=True)
    shutil.copytree(system.workspace / "dist", spoiled)
    return spoiled


def _spoil(built: Path, template: str, resource: str, name: str, value: Any) -> None:
    file = built / f"{template}.json"
    document = json.loads(file.read_text())
    document["Resources"][resource]["Properties"][name] = value
    file.write_text(json.dumps(document))


def test_what_is_deployed_differs_in_nothing(system: System, built: Path) -> None:
    code, seen = diff(system, "--exit-code")
    assert (code, seen["differs"], seen["drift_unknown"]) == (0, False, {})
    there = {(title, region) for title in ("foundation", "data", "service") for region in system.regions}
    assert stacks(seen).keys() >= there | {("root", system.primary), ("zone", system.primary)}


def test_what_would_be_lost_is_shown_and_nothing_is_left_behind(system: System, built: Path) -> None:
    cloudformation = system.aws("cloudformation", system.primary)
    before = cloudformation.list_change_sets(StackName="payments-lab")["Summaries"]
    _spoil(built, "data", "Cluster", "DBClusterIdentifier", "another")
    _spoil(built, "root", "JournalTable", "TableName", "another")

    code, seen = diff(system, "--dist", str(built))

    assert (code, seen["differs"]) == (1, True)
    found = stacks(seen)
    for region in system.regions:
        cluster = next(one for one in found["data", region]["changes"] if one["resource"] == "Cluster")
        assert (cluster["action"], cluster["effect"]) == ("replace", "loses")
    root = {one["resource"]: one for one in found["root", system.primary]["changes"]}
    assert root["JournalTable"]["effect"] == "loses"
    assert root["DataStackSet"]["effect"] is None
    assert found["service", system.primary]["changes"] == []
    assert cloudformation.list_change_sets(StackName="payments-lab")["Summaries"] == before


def test_a_region_out_of_reach_is_unknown_and_hides_nothing_of_the_other(system: System, built: Path) -> None:
    code, seen = diff(system, lost=system.primary)
    assert code == 1
    found = stacks(seen)
    assert "unknown" in found["root", system.primary]
    assert "unknown" in found["data", system.primary]
    assert found["data", system.secondary]["changes"] == []
    assert system.primary in seen["drift_unknown"]
