"""How the world is changed: in a lab by its switches, on AWS by experiments of Fault Injection Service."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from ops.drill.steps import (
    Delay,
    Freeze,
    Heal,
    Kill,
    KillFunction,
    KillLedger,
    Partition,
    Restore,
    Step,
    Who,
    World,
    WorldError,
)

_SWITCH_SECONDS: Final = 180.0  # a killed region's database may have to be copied anew
_SAID: Final = 500  # characters of what a program said


def apply(step: Step, world: World, regions: Mapping[Who, str]) -> None:
    """A step that changes the world; of any other kind nothing comes."""
    match step:
        case Kill(who):
            world.kill(regions[who])
        case KillLedger(who):
            world.kill_ledger(regions[who])
        case KillFunction(who, component):
            world.kill_function(regions[who], component)
        case Partition(who):
            world.partition(regions[who])
        case Freeze(who):
            world.freeze(regions[who])
        case Delay(who, seconds):
            world.delay(regions[who], seconds)
        case Restore(who):
            world.restore(regions[who])
        case Heal():
            world.heal()


@dataclass(slots=True)
class Undoing:
    """A world that remembers what would put it back as it was, whatever came of a step."""

    world: World
    down: list[str] = field(default_factory=list)
    disturbed: bool = False

    def kill(self, region: str) -> None:
        self._breaks(region)
        self.world.kill(region)

    def kill_ledger(self, region: str) -> None:
        self._breaks(region)
        self.world.kill_ledger(region)

    def kill_function(self, region: str, component: str) -> None:
        self.world.kill_function(region, component)

    def partition(self, region: str) -> None:
        self.disturbed = True
        self.world.partition(region)

    def freeze(self, region: str) -> None:
        self.disturbed = True
        self.world.freeze(region)

    def delay(self, region: str, seconds: float) -> None:
        self.disturbed = True
        self.world.delay(region, seconds)

    def restore(self, region: str) -> None:
        self.world.restore(region)
        self.down = [one for one in self.down if one != region]

    def heal(self) -> None:
        self.world.heal()
        self.disturbed = False

    def undo(self) -> list[str]:
        """Everything; what could not be undone is told, and does not keep the rest from being undone."""
        left = []
        tasks: list[tuple[str, Callable[[], None]]] = [("heal", self.heal)] if self.disturbed else []
        tasks += [(f"restore {region}", partial(self.restore, region)) for region in self.down]
        for what, task in tasks:
            try:
                task()
            except WorldError as error:
                left.append(f"{what} failed: {error}")
        return left

    def _breaks(self, region: str) -> None:
        if region not in self.down:
            self.down.append(region)


@dataclass(frozen=True, slots=True)
class LabWorld:
    """By `python -m lab`, as a person would."""

    directory: str

    def kill(self, region: str) -> None:
        self._switch("kill", region)

    def kill_ledger(self, region: str) -> None:
        self._switch("kill", region, "--ledger")

    def kill_function(self, region: str, component: str) -> None:
        self._switch("kill", region, "--functions", component)

    def partition(self, region: str) -> None:
        self._switch("partition", region)

    def freeze(self, region: str) -> None:
        self._switch("freeze", region)

    def delay(self, region: str, seconds: float) -> None:
        self._switch("delay", region, f"{seconds:g}")

    def restore(self, region: str) -> None:
        self._switch("restore", region)

    def heal(self) -> None:
        self._switch("heal")

    def _switch(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "lab", *arguments, "--directory", self.directory]
        said = " ".join(arguments)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SWITCH_SECONDS, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise WorldError(f"lab: {said}: {error}; is it up? `python -m lab status`") from error
        if done.returncode:
            raise WorldError(f"lab: {said}: {(done.stderr or done.stdout).strip()[-_SAID:]}")


@dataclass(slots=True)
class FaultInjection:
    """By the experiment template that is named for the scenario, in each region that is disturbed.

    What a template does, and to which resources alone, it says itself; so does what stops it.
    """

    client: Callable[[str], Any]
    template: Callable[[str], str]  # its name in a region
    _running: dict[str, str] = field(default_factory=dict)

    def kill(self, region: str) -> None:
        self._begin(region)

    def kill_ledger(self, region: str) -> None:
        self._begin(region)

    def kill_function(self, region: str, component: str) -> None:
        raise WorldError(f"function {component} in {region}: only a lab can kill what a function is at")

    def partition(self, region: str) -> None:
        self._begin(region)

    def freeze(self, region: str) -> None:
        self._begin(region)

    def delay(self, region: str, seconds: float) -> None:
        raise WorldError(f"replication to {region}: only a lab can delay it")

    def restore(self, region: str) -> None:
        self._end(region)

    def heal(self) -> None:
        for region in tuple(self._running):
            self._end(region)

    def find(self, region: str) -> str:
        """The id of the region's template. Raises WorldError."""
        wanted = self.template(region)
        with _told(f"FIS in {region}"):
            pages = self.client(region).get_paginator("list_experiment_templates").paginate()
            found = [
                one["id"]
                for page in pages
                for one in page["experimentTemplates"]
                if one.get("tags", {}).get("Name") == wanted
            ]
        if len(found) != 1:
            todo = "deploy the release that has it, or drill another scenario"
            raise WorldError(f"FIS in {region}: {len(found)} experiment templates are named {wanted}; {todo}")
        return str(found[0])

    def _begin(self, region: str) -> None:
        template = self.find(region)
        with _told(f"FIS in {region}"):
            answer = self.client(region).start_experiment(experimentTemplateId=template)
        self._running[region] = answer["experiment"]["id"]

    def _end(self, region: str) -> None:
        """One that has ended by itself is as good."""
        experiment = self._running.get(region)
        if experiment is None:
            return
        with _told(f"FIS in {region}"):
            client = self.client(region)
            state = client.get_experiment(id=experiment)["experiment"]["state"]["status"]
            if state in _UNDER_WAY:
                client.stop_experiment(id=experiment)
        del self._running[region]


_UNDER_WAY: Final = frozenset({"pending", "initiating", "running"})


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What AWS refuses, or does not answer, is told as the world's error."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise WorldError(f"{where}: {error}; nothing is known to have been done") from error


def lab_only(steps: Sequence[Step]) -> list[str]:
    """The steps that nothing on AWS can take."""
    return [str(step) for step in steps if isinstance(step, KillFunction | Delay)]
