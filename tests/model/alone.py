"""One process after the other, undisturbed: how scenarios begin, and how every state has to end."""

from collections.abc import Callable
from typing import Any, Final

from tests.model.replay import Processes, Script
from tests.model.services import Services
from tests.model.world import World, with_database

PAUSE: Final = "process.pause"  # whatever comes next begins when this process is run again, and not before
DONE: Final = "process.done"  # never answered: it is not started again


class Alone:
    """Runs one process after the other, each to its end, without a fault; time passes where one waits."""

    def __init__(self, services: Services, processes: Processes) -> None:
        self._services = services
        self._processes = processes
        self._roots: dict[Script, int] = {}

    def run(self, script: Script, world: World, before: str = "") -> World:
        """Until its end, or `before` a call."""
        if script not in self._roots:
            self._roots[script] = self._processes.start(script)
        return self.reach(self._roots[script], world, before)[1]

    def reach(self, at: int, world: World, before: str = "") -> tuple[int, World]:
        """Where a process gets to, until its end or `before` a call, and what it does to the world."""
        while (call := self._processes.nodes[at].call) is not None and call.to not in (DONE, before):
            answer: Any = None
            if call.to != PAUSE:
                effect = self._services.apply(world, call)
                if effect is None:
                    world = world._replace(now=world.now + 1)
                    continue
                world, answer, _ = effect
            at = self._processes.after(at, answer)
        return at, world


# What is left to run, by schedules and rule 7, once faults stop; None where nothing is promised.
Ending = Callable[[Alone, World], World | None]


def attached(world: World) -> World:
    """After a lossy promotion the old writer's cluster is built anew, as a copy of the new one's."""
    if world.attached:
        return world
    return replicated(world)._replace(attached=True)


def replicated(world: World) -> World:
    return with_database(world, 1 - world.writer, world.databases[world.writer])
