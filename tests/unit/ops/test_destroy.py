"""Tearing down: the order, what is refused, and going on after an interruption."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from ops import destroy
from ops.destroy import (
    Await,
    DeleteInstances,
    DeleteLogs,
    DeleteStack,
    DeleteStackSet,
    Empty,
    Lift,
    Remains,
    StackSetSeen,
    Step,
    next_step,
    torn_down,
)
from ops.directory import Rejected
from ops.inventory import Named
from templates.config import load
from tests.unit.ops.test_failover import Clock

HERE, THERE, WITNESS = "us-east-1", "us-east-2", "us-west-2"
TABLE = Named(HERE, "AWS::DynamoDB::GlobalTable", "payments-journal-lab")
BUCKET = Named(HERE, "AWS::S3::Bucket", "payments-code")
LOGS = Named(WITNESS, "AWS::Logs::LogGroup", "/aws/lambda/probe")
EVERYTHING = Remains(
    root="UPDATE_COMPLETE",
    zone="CREATE_COMPLETE",
    stack_sets=(
        StackSetSeen("data", "payments-data-lab", (HERE, THERE)),
        StackSetSeen("foundation", "payments-foundation-lab", (HERE, THERE)),
        StackSetSeen("service", "payments-service-lab", (HERE, THERE)),
        StackSetSeen("witness", "payments-witness-lab", (WITNESS,)),
    ),
    writer=HERE,
    protected=(),
    filled=(BUCKET,),
    logs=(),
)


class Interrupted(Exception):  # noqa: N818 - as a person does it
    pass


@dataclass
class World:
    """An environment that loses what is deleted; `dies_after` so many steps were begun, the operator does."""

    left: Remains = EVERYTHING
    did: list[Step] = field(default_factory=list)
    dies_after: int = 1000

    def remains(self) -> Remains:
        return self.left

    def begin(self, step: Step) -> Callable[[], bool]:
        self.did.append(step)
        self.left = self._after(step)
        if len(self.did) > self.dies_after:
            raise Interrupted
        return lambda: True

    def _after(self, step: Step) -> Remains:
        now = self.left
        match step:
            case Lift(thing):
                return replace(now, protected=tuple(one for one in now.protected if one != thing))
            case Await(seen):
                return self._with(replace(seen, running=None))
            case DeleteInstances(seen, regions):
                rest = tuple(region for region in seen.regions if region not in regions)
                assert "service" not in self._deployed() or seen.title in ("service", "witness")
                assert seen.title != "data" or now.writer not in regions or not rest
                assert not now.filled or seen.title != "data"
                return self._with(replace(seen, regions=rest))
            case Empty():
                return replace(now, filled=())
            case DeleteStack("root"):
                assert not self._deployed() & {"data", "service", "witness"}
                return replace(now, root=None, stack_sets=(), writer=None, logs=(LOGS,))
            case DeleteStack():
                return replace(now, zone=None)
            case DeleteStackSet(seen):
                return replace(now, stack_sets=tuple(one for one in now.stack_sets if one.name != seen.name))
            case DeleteLogs():
                return replace(now, logs=())

    def _deployed(self) -> set[str]:
        return {seen.title for seen in self.left.stack_sets if seen.regions}

    def _with(self, changed: StackSetSeen) -> Remains:
        sets = tuple(changed if one.name == changed.name else one for one in self.left.stack_sets)
        return replace(self.left, stack_sets=sets)


def run(world: World, *, zone: bool = True, patience: float = 60) -> list[str]:
    said: list[str] = []
    torn_down(world, Clock(), said.append, zone=zone, patience=patience)
    return said


def test_what_uses_something_goes_before_it() -> None:
    assert run(World()) == [
        "delete witness in us-west-2 ...",
        "delete service in us-east-1 and us-east-2 ...",
        "empty bucket payments-code in us-east-1 ...",
        "delete data in us-east-2 ...",
        "delete data in us-east-1 ...",
        "delete root ...",
        "delete zone ...",
        "delete log group /aws/lambda/probe in us-west-2 ...",
    ]


@pytest.mark.parametrize(("writer", "last"), [(HERE, HERE), (THERE, THERE), (None, THERE)])
def test_the_writer_goes_last_wherever_it_is(writer: str | None, last: str) -> None:
    world = World(replace(EVERYTHING, writer=writer))
    run(world)
    data = [
        step.regions
        for step in world.did
        if isinstance(step, DeleteInstances) and step.stack_set.title == "data"
    ]
    assert data[-1] == (last,)


@pytest.mark.parametrize("steps", range(8))
def test_a_run_that_was_broken_off_anywhere_is_gone_on_with(steps: int) -> None:
    world = World(dies_after=steps)
    with pytest.raises(Interrupted):
        run(world)
    world.dies_after = 1000
    run(world)
    assert world.left == Remains(
        root=None, zone=None, stack_sets=(), writer=None, protected=(), filled=(), logs=()
    )


def test_an_operation_under_way_is_waited_for() -> None:
    busy = replace(EVERYTHING.stack_sets[2], running="op")
    world = World(replace(EVERYTHING, stack_sets=(*EVERYTHING.stack_sets[:2], busy)))
    run(world)
    assert world.did[0] == Await(busy)


def test_the_zone_stays_unless_it_is_asked_for() -> None:
    world = World()
    run(world, zone=False)
    assert DeleteStack("zone") not in world.did
    assert world.left.zone == "CREATE_COMPLETE"


def test_without_a_root_the_stack_sets_go_one_by_one() -> None:
    """As a first deployment leaves them whose root was deleted by hand."""
    alone = replace(EVERYTHING, root=None, stack_sets=(StackSetSeen("foundation", "f", (HERE,)),), filled=())
    world = World(alone)
    run(world)
    assert [type(step) for step in world.did[:2]] == [DeleteInstances, DeleteStackSet]


def test_what_fills_again_is_for_the_next_run() -> None:
    emptied = frozenset({BUCKET})
    data = replace(EVERYTHING, stack_sets=EVERYTHING.stack_sets[:2])
    assert isinstance(next_step(data, zone=True), Empty)
    assert isinstance(next_step(data, zone=True, emptied=emptied), DeleteInstances)


class Stuck(World):
    def _after(self, step: Step) -> Remains:
        return self.left


def test_what_says_it_is_done_and_is_not_ends_the_run() -> None:
    with pytest.raises(Rejected, match="AWS says that it is done, and it is not"):
        run(Stuck())


class Slow(World):
    def begin(self, step: Step) -> Callable[[], bool]:
        return lambda: False


def test_a_step_has_a_deadline() -> None:
    with pytest.raises(Rejected, match="delete witness in us-west-2: not within 10 s; run this again"):
        run(Slow(), patience=10)


def test_protection_is_lifted_only_when_somebody_says_so() -> None:
    protected = replace(EVERYTHING, protected=(TABLE,))
    refused = destroy.objection(protected, lift=False)
    assert refused is not None
    assert "table payments-journal-lab in us-east-1; make sure that nobody needs them" in str(refused)
    assert destroy.objection(protected, lift=True) is None
    assert destroy.objection(EVERYTHING, lift=False) is None
    assert next_step(protected, zone=True) == Lift(TABLE)


def test_only_a_test_environment_is_torn_down() -> None:
    settings = load(Path(__file__).parents[3] / "deployment.toml", "prod", {})
    refused = destroy.refusal(settings)
    assert refused is not None
    assert (refused.exit_code, "test_environment = false" in str(refused)) == (1, True)
    assert destroy.refusal(changed(settings, test_environment=True)) is None


def test_what_is_left_is_said() -> None:
    left = [destroy.Left("key k in us-east-1", "KMS deletes it on 2026-12-01")]
    assert destroy.text("lab", left).splitlines()[1] == "  key k in us-east-1: KMS deletes it on 2026-12-01"
    assert destroy.text("lab", []) == "lab is gone"
    assert destroy.document("lab", left)["left"][0]["what"] == "key k in us-east-1"
