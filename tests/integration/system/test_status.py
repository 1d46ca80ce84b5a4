"""`python -m ops status` against the deployed system, with every region that may be out of reach."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from typing import Any

import pytest

from lab import environment
from ops.surroundings import DOORS, ENDPOINTS
from tests.integration.system.deployment import Client, System, eventually

_NOBODY_LISTENS = 9


def status(system: System, *, lost: Collection[str] = ()) -> tuple[int, dict[str, Any]]:
    """As somebody sees it who gets no answer from these regions, of neither AWS nor the public endpoint."""
    variables = environment.for_child(system.plan, os.environ)
    endpoints, doors = json.loads(variables[ENDPOINTS]), json.loads(variables[DOORS])
    for region in lost:
        plan = system.plan.regions[region]
        endpoints[region] = f"http://{plan.address}:{_NOBODY_LISTENS}"
        doors[plan.public_address] = [plan.address, _NOBODY_LISTENS]
    variables |= {ENDPOINTS: json.dumps(endpoints), DOORS: json.dumps(doors)}
    done = subprocess.run(
        [sys.executable, "-m", "ops", "--environment", "lab", "status", "--json"],
        cwd=system.workspace,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_deployed_system_answers_everything(system: System, client: Client) -> None:
    assert client.pay().status_code == 201

    def known() -> dict[str, Any] | None:
        """The lab measures how far the copy is behind every half minute, and a health check that began before
        there was anything to answer it needs as long to turn green.
        """
        code, seen = status(system)
        assert code == (0 if seen["healthy"] else 1)
        led = seen["dns"].get("region") == system.primary
        return seen if led and all(one["kind"] != "unknown" for one in seen["findings"]) else None

    seen = eventually(known, "a status without anything unknown", patience=90)

    control = seen["control"]
    assert (control["active"], control["epoch"], control["phase"]) == (system.primary, 1, "steady")
    assert seen["writer"] == system.primary
    here, there = (seen["regions"][region] for region in system.regions)
    assert (here["role"], there["role"]) == ("active", "standby")
    assert (here["health"], there["health"]) == (
        {"status": 200, "lease": True},
        {"status": 503, "lease": False},
    )
    first = system.plan.regions[system.primary]
    assert seen["dns"] == {"addresses": [first.public_address], "region": first.name, "ttl_seconds": 60}
    assert here["answered"] == there["answered"] == "everything"
    assert here["control"] == there["control"] == control
    assert here["ledger"] == there["ledger"]
    assert [member["connected"] for member in there["ledger"]["members"]] == [True, True]
    assert there["lag_ms"] >= 0
    assert here["open"]["count"] >= 0
    assert {one["what"].split()[0] for one in seen["findings"]} <= {"alarm"}  # others' doings may ring some


@pytest.mark.parametrize("lost", [("primary",), ("secondary",), ("primary", "secondary")])
def test_a_region_out_of_reach_is_unknown_and_hides_nothing_of_the_other(
    system: System, lost: tuple[str, ...]
) -> None:
    regions = [system.plan.region_at(place).name for place in lost]
    code, seen = status(system, lost=regions)
    assert code == 1
    for region in system.regions:
        shown = seen["regions"][region]
        assert shown["answered"] == ("nothing" if region in regions else "everything")
        assert ("unknown" in shown["health"]) == (region in regions)
    assert seen["dns"]["region"] == system.primary  # which is no region's to say
    told = {one["region"] for one in seen["findings"] if one["kind"] == "unknown"}
    assert told >= set(regions)
    if len(regions) < 2:
        assert (seen["control"]["active"], seen["writer"]) == (system.primary, system.primary)
    else:
        assert "unknown" in seen["control"]
        assert "unknown" in seen["writer"]
