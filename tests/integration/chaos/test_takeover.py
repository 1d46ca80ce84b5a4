"""A plan of Region switch, started as a person or the standby would: under payments, there and back."""

import asyncio
import time

import pytest

from failover.control import Phase
from tests.integration.chaos.traffic import Shop
from tests.integration.system.deployment import eventually

pytestmark = pytest.mark.lab
# Seconds: a step that fails is tried again after a minute, who lost the writer is back after half.
_PATIENCE = 240.0


def test_a_region_taken_over_ungracefully_and_given_back_gracefully_loses_nothing(shop: Shop) -> None:
    before = _record(shop)
    assert (before["active"], before["phase"]) == (shop.system.primary, Phase.STEADY)

    _take_over(shop, shop.system.secondary, "ungraceful", seed=1)
    eventually(lambda: _writer_and_connected(shop) == (shop.system.secondary, 2) or None, "", _PATIENCE)
    _take_over(shop, shop.system.primary, "graceful", seed=2)

    assert int(_record(shop)["epoch"]) == int(before["epoch"]) + 2


def _take_over(shop: Shop, region: str, mode: str, *, seed: int) -> None:
    """Whoever pays meanwhile goes on asking the primary region, which hands on what is not its own."""
    wanted = shop.orders(f"takeover-{mode}", rate=4.0, seconds=15.0, seed=seed)
    sent = shop.send(wanted, meanwhile=asyncio.to_thread(_execute, shop, region, mode))

    record = _record(shop)
    assert (record["active"], record["phase"]) == (region, Phase.STEADY)
    assert _writer_and_connected(shop)[0] == region
    assert not [one for one in sent if not one.acknowledged]
    shop.ask_again(sent)
    found = eventually(lambda: shop.findings(region) == [] or None, f"all is in {region}'s ledger", _PATIENCE)
    assert found, shop.findings(region)


def _execute(shop: Shop, region: str, mode: str) -> None:
    """To its end, from the region that is to be active."""
    switch = shop.system.aws("arc-region-switch", region)
    name = shop.system.plan.directory_table.replace("directory", "failover")
    (plan,) = [one["arn"] for one in switch.list_plans_in_region()["plans"] if one["name"] == name]
    execution = switch.start_plan_execution(planArn=plan, targetRegion=region, action="activate", mode=mode)
    asked = {"planArn": plan, "executionId": execution["executionId"]}

    def told() -> list[str]:
        events = switch.list_plan_execution_events(**asked)["items"]
        return [f"{one['type']} {one.get('stepName', '')} {one.get('error', '')}" for one in events]

    deadline = time.monotonic() + _PATIENCE
    while (found := switch.get_plan_execution(**asked))["executionState"] == "inProgress":
        assert time.monotonic() < deadline, "\n".join(told())
        time.sleep(0.2)
    assert found["executionState"] == "completed", "\n".join(told())
    assert [step["status"] for step in found["stepStates"]] == ["completed"] * 3


def _record(shop: Shop) -> dict[str, str]:
    answer = shop.system.aws("dynamodb", shop.system.secondary).get_item(
        TableName=shop.tables.control, Key={"id": {"S": "control"}}, ConsistentRead=True
    )
    return {name: next(iter(value.values())) for name, value in answer["Item"].items()}


def _writer_and_connected(shop: Shop) -> tuple[str, int]:
    """The writer's region, and how many of the members are up to date or on their way."""
    (found,) = shop.system.aws("rds", shop.system.secondary).describe_global_clusters()["GlobalClusters"]
    members = found["GlobalClusterMembers"]
    (writer,) = [one["DBClusterArn"].split(":")[3] for one in members if one["IsWriter"]]
    return writer, sum(one["SynchronizationStatus"] == "connected" for one in members)
