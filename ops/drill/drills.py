"""From what the operator wants to what the drill came to, with the world put back as it was."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console

from adapters.directory import DynamoDirectory
from adapters.journal import DynamoJournal
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from ops import failover
from ops.directory import Rejected
from ops.drill import books, customers, measures, result, view, watch
from ops.drill.drilling import Drill, Live, Plan, lead_in, since, told
from ops.drill.scenarios import RANDOM, Scenario, scenario
from ops.drill.steps import Who, World
from ops.drill.story import Story
from ops.drill.worlds import FaultInjection, LabWorld, Undoing, lab_only
from ops.observation import DnsAnswer, Observation
from ops.observe import led, observed
from ops.surroundings import Surroundings
from ops.traffic import Merchant, Patience, Run, orders, send
from templates.config import Settings
from templates.names import Place

# Whoever pays does not give up while a region dies, and does not storm the one that comes up; a request that
# meets `fencing` is held for up to 10 s.
PATIENCE: Final = Patience(attempt=15.0, payment=240.0, first_pause=0.1, longest_pause=10.0, again_at_once=2)
_BOOKED_SECONDS: Final = 120.0  # until what was acknowledged has to be in the ledger
_READY_SECONDS: Final = 300.0  # until the system is as before, between two drills
_LOOK_EVERY_SECONDS: Final = 2.0
_SAID: Final = 800  # characters of what a program said


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator asked for; `operator` is `python -m ops` with its own options."""

    name: str
    target: str | None
    rate: float
    clients: int
    seed: int
    seeds: int
    deadline: float
    ledger: str | None
    build: Path
    operator: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drilled:
    document: dict[str, Any]
    live: Live
    run: Run


@dataclass(frozen=True, slots=True)
class Drills:
    """Everything a drill is made from, so that one may follow another."""

    settings: Settings
    around: Surroundings
    wanted: Wanted
    console: Console

    def planned(self) -> list[Scenario]:
        wanted = self.wanted
        many = wanted.seeds if wanted.name == RANDOM else 1
        found = [scenario(wanted.name, wanted.seed + number) for number in range(many)]
        steps = [step for each in found for step in each.steps]
        if not self.around.lab_directory and (only := lab_only(steps)):
            raise Rejected(f"--scenario {wanted.name}: only a lab can {only[0]}; choose another", 2)
        if not self.around.lab_directory and wanted.ledger is None:
            todo = "give the DSN of a tunnel to the region that is active afterwards"
            raise Rejected(f"--ledger: the drill reads the surviving ledger by SQL; {todo}", 2)
        return found

    def announced(self, first: Scenario) -> str:
        target = self.target(self.ready(), first)
        how = "the lab's switches" if self.around.lab_directory else "experiments of Fault Injection Service"
        return (
            f"{first.name}: {first.about}. It is done to {target}, by {how}. Meanwhile a merchant made for it"
            f" pays, by {self.wanted.clients} clients, {self.wanted.rate:g} times a second."
        )

    def target(self, seen: Observation, wanted: Scenario) -> str:
        """The region that is broken or given up."""
        regions = self.settings.regions
        if wanted.from_secondary:
            return regions.secondary
        record = seen.control
        active = record.active if isinstance(record, ControlRecord) else regions.primary
        return self.wanted.target or active

    def drill(self, wanted: Scenario) -> Drilled:
        """One, from a system that is well. Raises Rejected where it is not, and WorldError."""
        target = self.target(self.ready(), wanted)
        self._make_active(target)
        record = self.ready().control
        assert isinstance(record, ControlRecord)
        regions = self.settings.regions
        peer = regions.primary if target == regions.secondary else regions.secondary
        plan = Plan(
            scenario=wanted,
            regions={Who.TARGET: target, Who.PEER: peer, Who.WITNESS: regions.witness},
            clients=self.wanted.clients,
            time_scale=self.around.time_scale,
            lead_in=lead_in(self.around.time_scale),
            deadline=self.wanted.deadline,
        )
        world = Undoing(self._world(wanted))
        left: list[str] = []
        try:
            drilled = self._drilled(plan, world, record.epoch)
        finally:
            left += self._put_back(world)
        return replace(drilled, document=result.put_back(drilled.document, left))

    def ready(self) -> Observation:
        """Both regions well, and the copy attached; waits for it. Raises Rejected."""
        give_up = time.monotonic() + _READY_SECONDS
        while True:
            seen = observed(self.settings, self.around)
            if (why := unready(seen)) is None:
                return seen
            if time.monotonic() > give_up:
                raise Rejected(f"drill: {why}; `status` says more; drill a system that is well", 1)
            time.sleep(_LOOK_EVERY_SECONDS)

    def _make_active(self, target: str) -> None:
        """As an operator would, before anything is measured."""
        record = observed(self.settings, self.around).control
        if isinstance(record, ControlRecord) and record.active == target:
            return
        self.console.print(f"making {target} the active region first", markup=False)
        command = [sys.executable, *self.wanted.operator, "failover", "--to", target, "--yes"]
        done = subprocess.run([*command, "--reason", "drill"], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-_SAID:]
            raise Rejected(f"drill: {target} could not be made active: {said}", 1)

    def _world(self, wanted: Scenario) -> World:
        if directory := self.around.lab_directory:
            return LabWorld(str(directory))
        names = self.settings.names
        return FaultInjection(
            client=lambda region: self.around.client("fis", region, failover.BRIEF),
            template=lambda region: names.regional(f"drill-{wanted.name}", self._place(region)),
        )

    def _place(self, region: str) -> Place:
        regions = self.settings.regions
        places: dict[str, Place] = {
            regions.primary: "primary",
            regions.secondary: "secondary",
            regions.witness: "witness",
        }
        return places[region]

    def _drilled(self, plan: Plan, world: Undoing, first_epoch: int) -> Drilled:
        peer = plan.regions[Who.PEER]
        names = self.settings.names
        known = DynamoDirectory(
            self.around.client("dynamodb", peer, failover.BRIEF), names.shared("directory"), time.monotonic
        )
        people = customers.Customers(known)
        now = datetime.now(UTC)
        name = f"drill-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        merchant = people.come(name)
        try:
            live, run = asyncio.run(self._recorded(plan, world, merchant))
            return self._judged(plan, live, run, merchant, first_epoch)
        finally:
            try:
                people.go(merchant)
            except Unavailable as unknown:
                self.console.print(f"merchant {name} is left open: {unknown}", markup=False)

    async def _recorded(self, plan: Plan, world: Undoing, merchant: Merchant) -> tuple[Live, Run]:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        dns = partial(named, self.settings, self.around)
        asked = watch.questions(self.settings, self.around, dns, datetime.now(UTC))
        endless = orders(
            [merchant], rate=self.wanted.rate, clients=plan.clients, seed=self.wanted.seed, name=merchant.id
        )

        began = datetime.now(UTC)  # after what takes its time: attempts count from when they are first sent
        live = Live(plan, Story(began), since(began))

        def seen(sighting: watch.Sighting) -> None:
            with suppress(RuntimeError):  # the drill has ended meanwhile
                loop.call_soon_threadsafe(live.saw, sighting)

        def traffic(stop: asyncio.Event) -> "asyncio.Task[Run]":
            return asyncio.create_task(
                send(
                    live.coming(endless),
                    api=f"https://{self.settings.names.domain}",
                    merchants=[merchant],
                    tls=self.around.tls,
                    patience=PATIENCE,
                    seed=self.wanted.seed,
                    resolver=self.around.resolver,
                    stop=stop,
                    noticed=live.noticed,
                    finished=live.finished,
                )
            )

        looking = watch.Watch(asked, seen)
        with view.shown(live, self.console):
            looking.start()
            try:
                return live, await Drill(live, world, self.wanted.operator).run(traffic)
            finally:
                looking.stop()

    def _judged(self, plan: Plan, live: Live, run: Run, merchant: Merchant, first_epoch: int) -> Drilled:
        record = live.story.record
        survivor = record.active if record else plan.regions[Who.PEER]
        asked = tuple(measures.Asked(merchant.id, one) for one in run.sent)
        found = self._books(survivor, merchant, run, asked)
        journal = DynamoJournal(
            self.around.client("dynamodb", survivor, failover.BRIEF), self.settings.names.shared("journal")
        )
        held = journal.read([one.id for one in asked if one.sent.acknowledged]).entries
        entries = {one.payment_id: measures.Entry(one.accepted_at, one.epoch) for one in held}
        recording = result.Recording(
            scenario=plan.scenario,
            target=plan.regions[Who.TARGET],
            run=run,
            fault=live.fault,
            story=live.story,
            asked=asked,
            books=found,
            acknowledgements=tuple(measures.acknowledgements(asked, entries, run.began)),
            clients=plan.clients,
            time_scale=plan.time_scale,
            settled=live.settled,
            first_epoch=first_epoch,
            schedule=tuple(told(step, plan.regions) for step in plan.scenario.steps),
        )
        document = result.judged(recording, built(self.wanted.build), self.settings.regions.primary)
        return Drilled(document, live, run)

    def _books(
        self, region: str, merchant: Merchant, run: Run, asked: Sequence[measures.Asked]
    ) -> books.Books:
        """Once all that was acknowledged is in the ledger, or it had long enough to get there."""
        dsn = self.wanted.ledger or ledger_of(self.around.lab_directory, region)
        give_up = time.monotonic() + _BOOKED_SECONDS
        while True:
            try:
                found = books.read(dsn, merchant.id)
            except psycopg.Error as error:
                if time.monotonic() > give_up:
                    raise Rejected(
                        f"ledger of {region}: {error}; nothing is known of what was lost", 1
                    ) from error
            else:
                if not measures.lost(asked, found) or time.monotonic() > give_up:
                    return found
            time.sleep(_LOOK_EVERY_SECONDS)

    def _put_back(self, world: Undoing) -> list[str]:
        """What could not be undone."""
        left = world.undo()
        for one in left:
            self.console.print(one, markup=False)
        record = observed(self.settings, self.around).control
        if isinstance(record, ControlRecord):
            todo = "" if record.active == self.settings.regions.primary else "; `failback` when you like"
            self.console.print(f"{record.active} is active, {record.phase}{todo}", markup=False)
        return left


def named(settings: Settings, around: Surroundings) -> str | None:
    """The region that DNS answers with."""
    return led(settings, around).region


def unready(seen: Observation) -> str | None:
    """Why nothing is to be broken now."""
    record = seen.control
    if not isinstance(record, ControlRecord):
        return f"which region is active is unknown ({record.why})"
    if record.phase is not Phase.STEADY:
        return f"{record.active} is {record.phase}"
    if seen.writer != record.active:
        return f"{record.active} is active, and the writer is {seen.writer}"
    for one in seen.regions:
        for question in ("control", "health", "ledger"):
            if (unknown := one.unanswered.get(question)) is not None:
                return f"{one.region}: {question} is unknown ({unknown.why})"
    if isinstance(seen.dns, DnsAnswer) and seen.dns.region not in (None, record.active):
        return f"{record.active} is active, and DNS leads to {seen.dns.region}"
    for one in seen.regions:
        members = getattr(one.ledger, "members", ())
        if any(member.connected is False for member in members):
            return "the copy of the ledger is not attached"
    return None


def built(path: Path) -> Mapping[str, Any]:
    """What the templates promise. Raises Rejected."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Rejected(f"{path}: {error}; run `python build.py`, or say --build", 2) from error
    if not isinstance(document, Mapping):
        raise Rejected(f"{path}: not what `python build.py` writes; run it again", 2)
    return document


def ledger_of(lab_directory: Path | None, region: str) -> str:
    command = [sys.executable, "-m", "lab", "status", "--json", "--directory", str(lab_directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Rejected(f"lab status: {done.stderr.strip()[-_SAID:]}; is it up?", 1)
    return str(json.loads(done.stdout)["regions"][region]["postgres_dsn"])
