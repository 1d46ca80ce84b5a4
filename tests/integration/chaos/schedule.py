"""What goes wrong while payments are taken: chosen by a seed, to be looked at, repeated and run."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from lab.control import Control
from lab.faults import Mode, Rule, throttling, write_conflict

_FEWEST, _MOST = 3, 6  # events in a schedule
_LONGEST = 1.5  # seconds that one of them lasts


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that goes wrong, `at` seconds after the start, for so many `seconds`."""

    at: float
    seconds: float
    what: str
    rule: Rule | None = None

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.2f} s" if self.seconds else ""
        return f"at {self.at:.2f} s{lasting}: {self.what}"


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    seconds: float
    events: tuple[Event, ...]

    def __str__(self) -> str:
        return "\n".join((f"seed {self.seed}, {self.seconds:.1f} s of traffic", *map(str, self.events)))


@dataclass(frozen=True, slots=True)
class Tables:
    journal: str
    control: str
    sessions: str


def drawn(seed: int, seconds: float, tables: Tables) -> Schedule:
    """The same seed, the same schedule."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    events = [_event(chance, seconds, tables) for _ in range(chance.randint(_FEWEST, _MOST))]
    return Schedule(seed, seconds, tuple(sorted(events, key=lambda event: event.at)))


def _event(chance: random.Random, within: float, tables: Tables) -> Event:
    at, lasts = chance.uniform(0.2, within), chance.uniform(0.2, _LONGEST)
    kinds = ("cut", "stop", "crash", "kill", "kill everything", "request", "request", "request")
    match chance.choice(kinds):
        case "request":
            what, rule = chance.choice(_request_faults(chance, tables))
            return Event(at, lasts, what, rule)
        case "stop" | "crash" as how:
            return Event(at, lasts, how)
        case how:
            return Event(at, 0.0, how)


def _request_faults(chance: random.Random, tables: Tables) -> list[tuple[str, Rule]]:
    """Each with a share and a seed of its own: what is drawn does not depend on what is chosen."""
    share, seed = chance.uniform(0.2, 1.0), chance.randrange(2**32)

    def rule(mode: Mode, **more: object) -> Rule:
        return Rule(mode, service="dynamodb", probability=share, seed=seed, **more)  # type: ignore[arg-type]

    put, journal = "PutItem", tables.journal
    return [
        ("journal refused", rule(Mode.REFUSE, resource=journal)),
        ("journal hangs", rule(Mode.HANG, resource=journal)),
        ("journal answers get lost", rule(Mode.LOSE_ANSWER, resource=journal)),
        ("journal writes come late", rule(Mode.DELAY, resource=journal, operation=put, seconds=2.5)),
        ("function dies after the journal write", rule(Mode.KILL, resource=journal, operation=put)),
        ("journal writes conflict", write_conflict(journal, probability=share, seed=seed)),
        ("journal throttled", throttling(journal, probability=share, seed=seed)),
        ("control record refused", rule(Mode.REFUSE, resource=tables.control)),
        ("control record comes late", rule(Mode.DELAY, resource=tables.control, seconds=1.5)),
        ("sessions fail", rule(Mode.ERROR, resource=tables.sessions)),
        ("no answer from any table", rule(Mode.LOSE_ANSWER)),
        ("no way to any table", rule(Mode.REFUSE)),
    ]


async def run(schedule: Schedule, control: Control, region: str) -> None:
    """To the end; afterwards nothing is wrong any more, also when it is cancelled."""
    standing: list[Rule] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_heal, control, region)
        async with asyncio.TaskGroup() as group:
            for event in schedule.events:
                group.create_task(_happen(event, standing, control, region))


async def _happen(event: Event, standing: list[Rule], control: Control, region: str) -> None:
    await asyncio.sleep(event.at)
    match event.what:
        case "cut":
            await asyncio.to_thread(control.cut_connections, region)
        case "stop" | "crash" as how:
            await asyncio.to_thread(control.stop_database, region, crash=how == "crash")
            await asyncio.sleep(event.seconds)
            await asyncio.to_thread(control.start_database, region)
        case "kill":
            await asyncio.to_thread(control.kill_functions, region, "*-api-*")
        case "kill everything":
            await asyncio.to_thread(control.kill_functions, region)
        case _:
            assert event.rule
            await _stand(standing, [*standing, event.rule], control, region)
            await asyncio.sleep(event.seconds)
            await _stand(standing, [one for one in standing if one is not event.rule], control, region)


async def _stand(standing: list[Rule], rules: Iterable[Rule], control: Control, region: str) -> None:
    standing[:] = rules
    await asyncio.to_thread(control.set_faults, region, *standing)


async def _heal(control: Control, region: str) -> None:
    await asyncio.to_thread(control.set_faults, region)
    await asyncio.to_thread(control.start_database, region)
