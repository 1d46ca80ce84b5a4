"""The databases of all regions: which servers exist, which one writes, and who may be connected to it."""

import asyncio
import asyncio.subprocess
import re
import secrets
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from lab import postgres_process
from lab.plan import LabPlan, restored
from lab.postgres import Installation, Master, Server, destroy, install
from lab.postgres_endpoint import ClusterEndpoints
from lab.postgres_process import PATIENCE, NotUpError, end, freeze
from lab.processes import Registry
from lab.replication_link import ReplicationLink

LONGEST_DELAY = 30.0  # seconds; PostgreSQL itself gives up a replica after 60


class DatabaseError(Exception):
    """What was asked cannot be done to the databases as they are."""


@dataclass(slots=True)
class Running:
    server: Server
    process: asyncio.subprocess.Process
    source: str | None  # region it streams from
    parameters: dict[str, str] = field(default_factory=dict)  # set on top of the lab's own settings
    instances: int = 0  # an Aurora cluster without one is storage: nothing answers for it
    stopped: bool = False  # on purpose; the data is there
    frozen: bool = False  # on purpose: its processes are there and do nothing
    down: bool = False  # neither stopped nor there: a change of its role has ended it, or it did not come up

    @property
    def answers(self) -> bool:
        return not (self.stopped or self.frozen or self.down)


class Databases:
    """Starts servers from the supervisor's main thread, so that they end with it; one change at a time of
    each region's. `lab.roles` changes who follows whom.
    """

    def __init__(self, plan: LabPlan, endpoints: Mapping[str, ClusterEndpoints], registry: Registry) -> None:
        self._registry = registry
        self._plan = plan
        self._endpoints = endpoints
        self._running: dict[str, Running] = {}
        self._links = {
            region.name: ReplicationLink(region.replication_link)
            for region in plan.data_regions
            if region.name in endpoints
        }
        self._changes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._isolated: frozenset[str] = frozenset()
        self._dead: frozenset[str] = frozenset()  # regions in which nothing runs
        self._installing = asyncio.Lock()
        self._installation: Installation | None = None
        self.superuser_password = secrets.token_urlsafe(24)

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self._links)

    def describe(self, region: str) -> dict[str, Any]:
        running = self._running.get(region)
        return {
            "exists": running is not None,
            "stopped": running is not None and running.stopped,
            "frozen": running is not None and running.frozen,
            "pid": running.process.pid if running else None,
            "streams_from": running.source if running else None,
            "replication_delay": self._links[region].delay,
            "isolated": region in self._isolated,
            "writer_endpoint_open": self._endpoints[region].writer.is_open,
            "reader_endpoint_open": self._endpoints[region].reader.is_open,
        }

    @asynccontextmanager
    async def changing(self, *regions: str) -> AsyncIterator[None]:
        """Nobody else changes the databases of these regions meanwhile."""
        async with AsyncExitStack() as stack:
            for region in sorted(regions):
                await stack.enter_async_context(self._changes[region])
            yield

    async def found(self, region: str, master: Master) -> None:
        """A new cluster that takes writes."""
        async with self.changing(region):
            server = await self._new_server(region)
            await self._make(region, server, server.initialise, source=None)
            try:
                await asyncio.to_thread(server.found, master)
            except psycopg.Error as error:
                await self._remove(region)
                raise DatabaseError(f"{region}: {error}") from error

    async def replicate(self, region: str, source: str) -> None:
        """A streaming replica of another region's cluster."""
        async with self.changing(region, source):
            origin = self.server(source)
            server = await self._new_server(region)
            await asyncio.to_thread(origin.drop_slot, slot_name(region))  # of an attempt that failed
            link = await self.link(region, origin)
            await self._make(
                region, server, partial(server.clone, origin, slot_name(region), link), source=source
            )

    async def promote(self, region: str) -> None:
        """The region's cluster takes writes and follows nobody any more; done already is fine."""
        async with self.changing(region):
            source = self.require(region).source
            await self.take_writes(region)
            await self._forget_slot(region, source)

    async def destroy(self, region: str) -> None:
        """Stops the region's server and removes its data; refuses while another region streams from it."""
        async with self.changing(region):
            followers = [name for name, running in self._running.items() if running.source == region]
            if followers:
                raise DatabaseError(f"{', '.join(followers)} still streams from {region}")
            await self._remove(region)

    async def refuse_connections(self, region: str) -> None:
        """What clients have open ends, and no more are let in, until its endpoints are set again."""
        await self._endpoints[region].close()

    async def cut_connections(self, region: str) -> int:
        """Ends every client's connection to either endpoint; how many there were. New ones are let in."""
        return await self._endpoints[region].cut()

    async def stop(self, region: str, *, crash: bool = False) -> None:
        """Nothing answers for the region's cluster until it is started; done already is fine.

        A crash tells nobody and leaves the server to recover from its log.
        """
        async with self.changing(region):
            running = self.require(region)
            if running.stopped:
                return
            running.stopped = True
            await self.end(region, signal.SIGQUIT if crash else signal.SIGINT)

    async def start(self, region: str) -> None:
        """In the role it was stopped in; done already is fine."""
        async with self.changing(region):
            running = self.require(region)
            if region in self._dead:
                raise DatabaseError(f"{region} is down")
            if not (running.stopped or running.down):
                return
            running.stopped, running.down = False, True
            await self.launch(region)
            await self.set_endpoints(region)

    async def kill(self, region: str) -> None:
        """With its region, whatever is being done to it; nothing starts there until it is restored."""
        self._dead |= {region, restored(region)}
        await asyncio.gather(self._kill(region), self._kill(restored(region)))

    async def _kill(self, region: str) -> None:
        running = self._running.get(region)
        if running is None:
            return
        running.stopped, running.frozen = True, False
        await self._endpoints[region].close()
        await postgres_process.kill(running.process)
        self._registry.remove(f"postgres {region}")

    async def restore(self, region: str) -> bool:
        """In its role; what was being done to it has failed meanwhile. False: it is there, or was never."""
        self._dead -= {region, restored(region)}
        was_away = await self._restore(region)
        await self._restore(restored(region))
        return was_away

    async def _restore(self, region: str) -> bool:
        running = self._running.get(region)
        if running is None or not (running.stopped or running.down):
            return False
        await self.start(region)
        return True

    async def freeze(self, region: str, frozen: bool) -> None:
        """The processes of the region's server are there and do nothing, until they are let go on."""
        async with self.changing(region):
            running = self.require(region)
            if frozen == running.frozen:
                return
            if frozen:
                self.server(region)
            await asyncio.to_thread(freeze, running.process, frozen)
            running.frozen = frozen

    async def delay_replication(self, region: str, seconds: float) -> None:
        """What the region's replica is sent arrives so late, from now on."""
        if not 0 <= seconds <= LONGEST_DELAY:
            raise DatabaseError(f"{seconds} is not a delay of up to {LONGEST_DELAY:.0f} s")
        self._link(region).delay = seconds

    def delay(self, region: str) -> float:
        """How many seconds late the region's replica gets what it is sent."""
        return self._link(region).delay

    async def isolate(self, region: str, isolated: bool) -> None:
        """Nothing is replicated to or from the region, until it is isolated no more."""
        self._link(region)
        self._isolated = self._isolated | {region} if isolated else self._isolated - {region}
        for link in self._links.values():
            await link.cut(bool(self._isolated))  # with two regions, every link is to or from it

    def reaches(self, region: str, source: str) -> bool:
        return not self._isolated & {region, source}

    async def set_password(self, region: str, username: str, password: str) -> None:
        await asyncio.to_thread(self.server(region).set_password, username, password)

    async def set_parameters(self, region: str, values: Mapping[str, str]) -> None:
        """Exactly these, of those that PostgreSQL knows and can change while it runs."""
        running = self.require(region)
        try:
            applied = await asyncio.to_thread(
                self.server(region).set_parameters, values, set(running.parameters) - set(values)
            )
        except psycopg.Error as error:
            raise DatabaseError(f"{region}: {error}") from error
        running.parameters = {name: values[name] for name in applied}

    async def set_instances(self, region: str, count: int) -> None:
        """The last instance may go when there is no cluster any more."""
        async with self.changing(region):
            if count or region in self._running:
                self.require(region).instances = count
                await self.set_endpoints(region)

    async def back_up(self, region: str, name: str) -> int:
        """A base backup that is verified, named by who asked for it; its size in bytes."""
        server = self.server(region)
        target = self._backup(name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        server.installation.give(target.parent)
        try:
            await asyncio.to_thread(server.back_up, target)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            raise
        return self.size_of_backup(name) or 0

    async def copy_backup(self, name: str, copy: str) -> None:
        if not self._backup(name).is_dir():
            raise DatabaseError(f"there is no backup {name}")
        await asyncio.to_thread(shutil.copytree, self._backup(name), self._backup(copy))

    async def restore_backup(self, region: str, name: str) -> None:
        """A cluster of its own beside the region's, with what the backup has; it follows nobody."""
        beside = restored(region)
        backup = self._backup(name)
        if not backup.is_dir():
            raise DatabaseError(f"there is no backup {name}")
        async with self.changing(beside):
            server = await self._new_server(beside)
            await self._make(beside, server, partial(server.take_over, backup), source=None)

    def size_of_backup(self, name: str) -> int | None:
        """In bytes; None while there is none."""
        if not self._backup(name).is_dir():
            return None
        return sum(file.stat().st_size for file in self._backup(name).rglob("*") if file.is_file())

    async def delete_backup(self, name: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._backup(name), ignore_errors=True)

    def _backup(self, name: str) -> Path:
        if not re.fullmatch(r"[0-9a-f-]+", name):
            raise DatabaseError(f"{name} is not the name of a backup")
        return self._plan.runtime_directory / "backups" / name

    async def stop_all(self) -> None:
        for endpoint in self._endpoints.values():
            await endpoint.close()
        for running in self._running.values():
            if running.frozen:
                await asyncio.to_thread(freeze, running.process, False)
        await asyncio.gather(*(end(running.process) for running in self._running.values()))
        for link in self._links.values():
            await link.close()
        self._running.clear()

    async def _remove(self, region: str) -> None:
        running = self._running.get(region)
        if running is None:
            await self._endpoints[region].close()
            return
        await self.end(region)
        del self._running[region]
        if region in self._links:
            await self._links[region].lead_to(None)
        await self._forget_slot(region, running.source)
        await asyncio.to_thread(destroy, running.server)

    async def end(self, region: str, how: signal.Signals = signal.SIGINT, patience: float = PATIENCE) -> None:
        """Of the server, only its data is left; nothing answers for the cluster."""
        running = self.require(region)
        await self._endpoints[region].close()
        if running.frozen:
            running.frozen = False
            await asyncio.to_thread(freeze, running.process, False)
        await end(running.process, how, patience)
        self._registry.remove(f"postgres {region}")

    async def set_endpoints(self, region: str) -> None:
        """What every change of role or of instances ends with."""
        running, endpoints = self.require(region), self._endpoints[region]
        if running.instances and not running.stopped and not running.down:
            server = running.server
            await endpoints.open(server.address, server.port, writes=running.source is None)
        else:
            await endpoints.close()

    async def take_writes(self, region: str) -> None:
        """Promotes a replica; its source is not asked. Done already is fine."""
        running = self.require(region)
        await asyncio.to_thread(self.server(region).promote)
        running.source = None
        await self._links[region].lead_to(None)
        await self.set_endpoints(region)

    async def link(self, region: str, source: Server) -> tuple[str, int]:
        """Where the server of `region` reaches `source` from now on."""
        await self._links[region].lead_to((source.address, source.port))
        return self._links[region].where

    def _link(self, region: str) -> ReplicationLink:
        try:
            return self._links[region]
        except KeyError:
            raise DatabaseError(f"there are no databases in {region}") from None

    def require(self, region: str) -> Running:
        try:
            return self._running[region]
        except KeyError:
            raise DatabaseError(f"{region} has no database cluster") from None

    def server(self, region: str) -> Server:
        """One that answers."""
        running = self.require(region)
        if not running.answers:
            state = "stopped" if running.stopped else "frozen" if running.frozen else "down"
            raise DatabaseError(f"the database of {region} is {state}")
        return running.server

    async def _new_server(self, region: str) -> Server:
        if region in self._running:
            raise DatabaseError(f"{region} has a database cluster already")
        directory = self._plan.runtime_directory / "databases"
        async with self._installing:
            if self._installation is None:
                self._installation = await asyncio.to_thread(install, self._plan.runtime_directory)
                directory.mkdir(mode=0o700)
                self._installation.give(directory)
        where, port = next(
            (where, port)
            for where in self._plan.data_regions
            for name, port in (
                (where.name, where.postgres_server_port),
                (restored(where.name), where.restored_server_port),
            )
            if name == region
        )
        return Server(
            installation=self._installation,
            data=directory / region,
            address=where.address,
            port=port,
            superuser_password=self.superuser_password,
        )

    async def _make(
        self, region: str, server: Server, fill: Callable[[], None], *, source: str | None
    ) -> None:
        """Fill the data directory and start the server on it; an attempt that fails leaves nothing."""
        try:
            await asyncio.to_thread(fill)
            process = await self._launch(region, server)
        except BaseException:
            await asyncio.to_thread(destroy, server)
            raise
        self._running[region] = Running(server=server, process=process, source=source)

    async def launch(self, region: str) -> None:
        """Starts the server again on what is in its directory."""
        running = self.require(region)
        running.process = await self._launch(region, running.server)
        running.down = False

    async def _launch(self, region: str, server: Server) -> asyncio.subprocess.Process:
        if region in self._dead:
            raise DatabaseError(f"{region} is down")
        try:
            process = await postgres_process.start(server, self._plan.logs / f"postgres-{region}.log")
        except NotUpError as error:
            raise DatabaseError(str(error)) from error
        if region in self._dead:  # since it began to start
            await postgres_process.kill(process)
            raise DatabaseError(f"{region} is down")
        self._registry.add(f"postgres {region}", process.pid)
        return process

    async def _forget_slot(self, region: str, source: str | None) -> None:
        origin = self._running.get(source) if source else None
        if origin is not None and origin.answers:
            await asyncio.to_thread(origin.server.drop_slot, slot_name(region))


def slot_name(region: str) -> str:
    return f"replica_{region.replace('-', '_')}"
