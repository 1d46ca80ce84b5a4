"""Releases after a failover, in a lab of their own: what they change, in which order, with a region gone."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.system.deployment import Client, System, copy_repository, deployed, eventually, run_lab
from tests.integration.system.test_deployment import _STATEFUL, _code, _events
from tests.integration.system.test_failover import Flow, assert_posted, operate, status, steady

_BACK_SECONDS = 180.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """From a copy of its own, which the tests change, and with the secondary region active."""
    workspace = tmp_path_factory.mktemp("releases")
    copy_repository(workspace)
    with deployed(workspace, tmp_path_factory.mktemp("release")) as system:
        yield system


def build(system: System, marker: str) -> None:
    """Of code that changes nothing but the package."""
    source = system.workspace / "src" / "handlers" / "api.py"
    source.write_text(f"{source.read_text()}\n# {marker}\n")
    system.build()


def fresh(system: System, before: dict[tuple[str, str, str], dict[str, Any]]) -> dict[str, list[Any]]:
    """The events since then, by region, in order of time."""
    found: dict[str, list[Any]] = {region: [] for region in system.regions}
    for key, event in _events(system).items():
        if key not in before:
            found[key[0]].append(event)
    return {region: sorted(events, key=lambda one: one["Timestamp"]) for region, events in found.items()}


def touched(events: dict[str, list[Any]]) -> set[str]:
    return {event["ResourceType"] for found in events.values() for event in found}


def api_code(system: System, region: str) -> str:
    place = system.plan.regions[region].place
    return _code(system)[region, f"payments-api-{place}-lab"]


def where(system: System) -> dict[str, Any]:
    """Who is active under which epoch, who writes, and where clients are led."""
    seen = status(system)
    return {"control": seen["control"], "writer": seen["writer"], "dns": seen["dns"].get("region")}


def led(system: System, region: str) -> dict[str, Any]:
    """Once DNS has followed the control record."""

    def found() -> dict[str, Any] | None:
        seen = where(system)
        return seen if seen["dns"] == region else None

    return eventually(found, f"DNS leads to {region}", _BACK_SECONDS)


def test_after_a_failover_a_deployment_changes_nothing_stateful_and_moves_no_traffic(system: System) -> None:
    here, there = system.regions
    steady(system, here)
    with Flow(system).running() as flow:
        code, out, errors = operate(system, "failover", "--to", there, "--yes", "--reason", "drill")
        assert code == 0, out + errors
        before, events, old = led(system, there), _events(system), api_code(system, there)

        build(system, "after the failover")
        system.deploy("lab")

        after = fresh(system, events)
        assert where(system) == before
    assert not flow.refused
    assert "AWS::Lambda::Function" in touched(after)
    assert not touched(after) & _STATEFUL
    assert api_code(system, here) == api_code(system, there) != old
    assert_posted(system, there, flow.acknowledged)
    steady(system, there)


def test_a_release_reaches_the_standby_first_whichever_region_that_is(system: System) -> None:
    here, there = system.regions
    before, events = steady(system, there)["control"], _events(system)
    build(system, "the standby first")
    code, out, errors = operate(system, "release", "--dry-run", "--json")
    assert (code, json.loads(out)["regions"]) == (0, [here, there]), errors
    assert not any(fresh(system, events).values())

    code, out, errors = operate(system, "release", "--yes")

    assert code == 0, out + errors
    updates = {
        region: [
            event["Timestamp"]
            for event in found
            if event["ResourceType"] == "AWS::Lambda::Function"
            and "payments-api-" in event["PhysicalResourceId"]
        ]
        for region, found in fresh(system, events).items()
    }
    assert max(updates[here]) <= min(updates[there])
    assert api_code(system, here) == api_code(system, there)
    assert steady(system, there)["control"] == before
    code, out, errors = operate(system, "release", "--yes", "--json")
    assert (code, json.loads(out)["changed"]) == (0, False), errors


def test_with_the_region_of_root_gone_the_other_one_is_released_and_root_follows_later(
    system: System,
) -> None:
    here, there = system.regions
    before, old = steady(system, there)["control"], api_code(system, there)
    build(system, "while a region is gone")
    code, _, errors = operate(system, "release", "--only", there, "--yes")
    assert (code, "answers" in errors) == (1, True), errors
    payments = Flow(system, (there,))
    run_lab("kill", system.directory, here)
    try:
        code, _, errors = operate(system, "release", "--yes")
        assert (code, f"--only {there}" in errors) == (1, True), errors
        with payments.running() as flow:
            code, out, errors = operate(system, "release", "--only", there, "--yes")
            assert code == 0, out + errors
        assert not flow.refused
        new = api_code(system, there)
        assert new != old
        code, out, errors = operate(system, "release", "--only", there, "--yes")
        assert (code, out.splitlines()[-1]) == (0, "nothing was done"), errors
    finally:
        run_lab("restore", system.directory, here)
    assert steady(system, there)["control"] == before
    assert api_code(system, here) == old
    events = _events(system)

    code, out, errors = operate(system, "release", "--yes")

    assert code == 0, out + errors
    assert api_code(system, here) == api_code(system, there) == new
    after = fresh(system, events)
    assert not touched(after) & _STATEFUL
    functions = [one for one in after[there] if one["ResourceType"] == "AWS::Lambda::Function"]
    assert not functions  # it was as it is to be
    with Client(system, there) as client:
        client.sign_in()
        assert client.pay().status_code == 201
