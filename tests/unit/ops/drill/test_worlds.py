"""What was done to the world is undone, and what AWS is asked for."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ops.drill.scenarios import scenario
from ops.drill.steps import Heal, Kill, Partition, Restore, Who, WorldError
from ops.drill.worlds import FaultInjection, Undoing, apply, lab_only

REGIONS = {Who.TARGET: "us-east-1", Who.PEER: "us-east-2", Who.WITNESS: "us-west-2"}


class Told:
    """A world that only remembers, and may refuse something."""

    def __init__(self, refuses: str = "") -> None:
        self.done: list[str] = []
        self._refuses = refuses

    def _do(self, what: str) -> None:
        if what == self._refuses:
            raise WorldError(f"{what}: refused")
        self.done.append(what)

    def kill(self, region: str) -> None:
        self._do(f"kill {region}")

    def kill_ledger(self, region: str) -> None:
        self._do(f"kill-ledger {region}")

    def kill_function(self, region: str, component: str) -> None:
        self._do(f"kill-function {region} {component}")

    def partition(self, region: str) -> None:
        self._do(f"partition {region}")

    def freeze(self, region: str) -> None:
        self._do(f"freeze {region}")

    def delay(self, region: str, seconds: float) -> None:
        self._do(f"delay {region} {seconds}")

    def restore(self, region: str) -> None:
        self._do(f"restore {region}")

    def heal(self) -> None:
        self._do("heal")


def test_what_still_stands_is_undone_and_nothing_else() -> None:
    told = Told()
    world = Undoing(told)
    for step in (Kill(Who.TARGET), Restore(Who.TARGET), Kill(Who.PEER), Partition(Who.TARGET)):
        apply(step, world, REGIONS)
    told.done.clear()
    assert world.undo() == []
    assert told.done == ["heal", "restore us-east-2"]
    told.done.clear()
    assert world.undo() == []
    assert told.done == []


def test_a_step_that_failed_is_undone_too() -> None:
    """Nobody knows what came of it."""
    told = Told(refuses="kill us-east-1")
    world = Undoing(told)
    with pytest.raises(WorldError):
        apply(Kill(Who.TARGET), world, REGIONS)
    world.undo()
    assert told.done == ["restore us-east-1"]


def test_what_cannot_be_undone_is_told_and_the_rest_is_undone() -> None:
    told = Told(refuses="heal")
    world = Undoing(told)
    apply(Partition(Who.TARGET), world, REGIONS)
    apply(Kill(Who.WITNESS), world, REGIONS)
    (left,) = world.undo()
    assert "heal: refused" in left
    assert told.done[-1] == "restore us-west-2"


def test_what_nothing_on_aws_can_do_is_known_before_anything_is_done() -> None:
    assert lab_only(scenario("region-loss").steps) == []
    assert lab_only(scenario("step-killed-halfway").steps)


@pytest.fixture
def fis() -> Any:
    return boto3.client("fis", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def injection(client: Any) -> FaultInjection:
    return FaultInjection(
        client=lambda _: client, template=lambda _: "payments-drill-region-loss-primary-prod"
    )


def test_the_template_named_for_the_scenario_is_started_and_stopped(fis: Any) -> None:
    templates = [
        {"id": "EXT1", "tags": {"Name": "somebody-else"}},
        {"id": "EXT2", "tags": {"Name": "payments-drill-region-loss-primary-prod"}},
    ]
    with Stubber(fis) as stub:
        stub.add_response("list_experiment_templates", {"experimentTemplates": templates})
        stub.add_response(
            "start_experiment", {"experiment": {"id": "EXP1"}}, {"experimentTemplateId": "EXT2"}
        )
        stub.add_response(
            "get_experiment", {"experiment": {"id": "EXP1", "state": {"status": "running"}}}, {"id": "EXP1"}
        )
        stub.add_response("stop_experiment", {"experiment": {"id": "EXP1"}}, {"id": "EXP1"})
        world = injection(fis)
        apply(Kill(Who.TARGET), world, REGIONS)
        apply(Heal(), world, REGIONS)
        world.heal()
        stub.assert_no_pending_responses()


def test_without_its_template_nothing_is_started(fis: Any) -> None:
    with Stubber(fis) as stub:
        stub.add_response("list_experiment_templates", {"experimentTemplates": []})
        with pytest.raises(WorldError, match="0 experiment templates are named payments-drill"):
            injection(fis).kill("us-east-1")


def test_what_aws_refuses_is_told(fis: Any) -> None:
    with Stubber(fis) as stub:
        stub.add_client_error("list_experiment_templates", "AccessDeniedException")
        with pytest.raises(WorldError, match="FIS in us-east-1"):
            injection(fis).partition("us-east-1")
