"""The databases of all regions: which servers exist, which one writes, and who may be connected to it."""

import asyncio
import asyncio.subprocess
import os
import re
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from lab.plan import LabPlan, RegionPlan
from lab.postgres import Installation, Master, Server, destroy, install
from lab.postgres_endpoint import ClusterEndpoints
from lab.processes import Registry, last_lines, lifeline_command, tied_to_parent

_START_DEADLINE = 30.0  # seconds; a replica first replays what the base backup brought along
_LOOK_EVERY = 0.05


class DatabaseError(Exception):
    """What was asked cannot be done to the databases as they are."""


@dataclass(slots=True)
class Running:
    server: Server
    process: asyncio.subprocess.Process
    source: str | None  # region it streams from
    parameters: frozenset[str] = frozenset()  # set on top of the lab's own settings
    instances: int = 0  # an Aurora cluster without one is storage: nothing answers for it
    stopped: bool = False  # on purpose; the data is there


class Databases:
    """Starts servers from the supervisor's main thread, so that they end with it; one change at a time."""

    def __init__(self, plan: LabPlan, endpoints: Mapping[str, ClusterEndpoints], registry: Registry) -> None:
        self._registry = registry
        self._plan = plan
        self._endpoints = endpoints
        self._running: dict[str, Running] = {}
        self._change = asyncio.Lock()
        self._installation: Installation | None = None
        self.superuser_password = secrets.token_urlsafe(24)

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self._endpoints)

    def describe(self, region: str) -> dict[str, Any]:
        running = self._running.get(region)
        return {
            "exists": running is not None,
            "stopped": running is not None and running.stopped,
            "pid": running.process.pid if running else None,
            "streams_from": running.source if running else None,
            "writer_endpoint_open": self._endpoints[region].writer.is_open,
            "reader_endpoint_open": self._endpoints[region].reader.is_open,
        }

    async def found(self, region: str, master: Master) -> None:
        """A new cluster that takes writes."""
        async with self._change:
            server = await self._new_server(region)
            await self._make(region, server, server.initialise, source=None)
            try:
                await asyncio.to_thread(server.found, master)
            except psycopg.Error as error:
                await self._remove(region)
                raise DatabaseError(f"{region}: {error}") from error

    async def replicate(self, region: str, source: str) -> None:
        """A streaming replica of another region's cluster."""
        async with self._change:
            origin = self._server(source)
            server = await self._new_server(region)
            await asyncio.to_thread(origin.drop_slot, slot_name(region))  # of an attempt that failed
            await self._make(region, server, partial(server.clone, origin, slot_name(region)), source=source)

    async def promote(self, region: str) -> None:
        """The region's cluster takes writes and follows nobody any more; done already is fine."""
        async with self._change:
            running = self._require(region)
            await asyncio.to_thread(self._server(region).promote)
            source, running.source = running.source, None
            await self._set_endpoints(region, running)
            await self._forget_slot(region, source)

    async def destroy(self, region: str) -> None:
        """Stops the region's server and removes its data; refuses while another region streams from it."""
        async with self._change:
            followers = [name for name, running in self._running.items() if running.source == region]
            if followers:
                raise DatabaseError(f"{', '.join(followers)} still streams from {region}")
            await self._remove(region)

    async def cut_connections(self, region: str) -> int:
        """Ends every client's connection to either endpoint; how many there were. New ones are let in."""
        return await self._endpoints[region].cut()

    async def stop(self, region: str, *, crash: bool = False) -> None:
        """Nothing answers for the region's cluster until it is started; done already is fine.

        A crash tells nobody and leaves the server to recover from its log.
        """
        async with self._change:
            running = self._require(region)
            if running.stopped:
                return
            running.stopped = True
            await self._endpoints[region].close()
            await _end(running.process, signal.SIGQUIT if crash else signal.SIGINT)
            self._registry.remove(f"postgres {region}")

    async def start(self, region: str) -> None:
        """In the role it was stopped in; done already is fine."""
        async with self._change:
            running = self._require(region)
            if not running.stopped:
                return
            running.process = await self._launch(region, running.server)
            running.stopped = False
            await self._set_endpoints(region, running)

    async def set_password(self, region: str, username: str, password: str) -> None:
        await asyncio.to_thread(self._server(region).set_password, username, password)

    async def set_parameters(self, region: str, values: Mapping[str, str]) -> None:
        """Exactly these, of those that PostgreSQL knows and can change while it runs."""
        running = self._require(region)
        try:
            applied = await asyncio.to_thread(
                self._server(region).set_parameters, values, running.parameters - set(values)
            )
        except psycopg.Error as error:
            raise DatabaseError(f"{region}: {error}") from error
        running.parameters = frozenset(applied)

    async def set_instances(self, region: str, count: int) -> None:
        """The last instance may go when there is no cluster any more."""
        async with self._change:
            if count or region in self._running:
                running = self._require(region)
                running.instances = count
                await self._set_endpoints(region, running)

    async def back_up(self, region: str, name: str) -> int:
        """A base backup that is verified, named by who asked for it; its size in bytes."""
        server = self._server(region)
        target = self._backup(name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        server.installation.give(target.parent)
        try:
            await asyncio.to_thread(server.back_up, target)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            raise
        return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())

    async def copy_backup(self, name: str, copy: str) -> None:
        if not self._backup(name).is_dir():
            raise DatabaseError(f"there is no backup {name}")
        await asyncio.to_thread(shutil.copytree, self._backup(name), self._backup(copy))

    async def delete_backup(self, name: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._backup(name), ignore_errors=True)

    def _backup(self, name: str) -> Path:
        if not re.fullmatch(r"[0-9a-f-]+", name):
            raise DatabaseError(f"{name} is not the name of a backup")
        return self._plan.runtime_directory / "backups" / name

    async def stop_all(self) -> None:
        for endpoint in self._endpoints.values():
            await endpoint.close()
        await asyncio.gather(*(_end(running.process) for running in self._running.values()))
        self._running.clear()

    async def _remove(self, region: str) -> None:
        await self._endpoints[region].close()
        running = self._running.pop(region, None)
        if running is None:
            return
        await _end(running.process)
        self._registry.remove(f"postgres {region}")
        await self._forget_slot(region, running.source)
        await asyncio.to_thread(destroy, running.server)

    async def _set_endpoints(self, region: str, running: Running) -> None:
        """What every change of role or of instances ends with."""
        endpoints, server = self._endpoints[region], running.server
        if running.instances and not running.stopped:
            await endpoints.open(server.address, server.port, writes=running.source is None)
        else:
            await endpoints.close()

    def _require(self, region: str) -> Running:
        try:
            return self._running[region]
        except KeyError:
            raise DatabaseError(f"{region} has no database cluster") from None

    def _server(self, region: str) -> Server:
        """One that answers."""
        running = self._require(region)
        if running.stopped:
            raise DatabaseError(f"the database of {region} is stopped")
        return running.server

    async def _new_server(self, region: str) -> Server:
        if region in self._running:
            raise DatabaseError(f"{region} has a database cluster already")
        directory = self._plan.runtime_directory / "databases"
        if self._installation is None:
            self._installation = await asyncio.to_thread(install, self._plan.runtime_directory)
            directory.mkdir(mode=0o700)
            self._installation.give(directory)
        where: RegionPlan = self._plan.regions[region]
        return Server(
            installation=self._installation,
            data=directory / region,
            address=where.address,
            port=where.postgres_server_port,
            superuser_password=self.superuser_password,
        )

    async def _make(
        self, region: str, server: Server, fill: Callable[[], None], *, source: str | None
    ) -> None:
        """Fill the data directory and start the server on it; an attempt that fails leaves nothing."""
        try:
            await asyncio.to_thread(fill)
            await self._start(region, server, source=source)
        except BaseException:
            await asyncio.to_thread(destroy, server)
            raise

    async def _start(self, region: str, server: Server, *, source: str | None) -> None:
        process = await self._launch(region, server)
        self._running[region] = Running(server=server, process=process, source=source)

    async def _launch(self, region: str, server: Server) -> asyncio.subprocess.Process:
        """Returns once the server answers."""
        log = self._log(region)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *lifeline_command(server.command()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=server.data,
                env={"LC_ALL": "C", "PATH": os.defpath},
                preexec_fn=tied_to_parent(signal.SIGINT),
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops its servers in order
                **server.installation.identity(),
            )
        try:
            async with asyncio.timeout(_START_DEADLINE):
                while not await asyncio.to_thread(server.accepts_connections):
                    if process.returncode is not None:
                        raise DatabaseError(f"PostgreSQL of {region} ended:\n{last_lines(log)}")
                    await asyncio.sleep(_LOOK_EVERY)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise DatabaseError(f"PostgreSQL of {region} is not up:\n{last_lines(log)}") from error
            raise
        self._registry.add(f"postgres {region}", process.pid)
        return process

    async def _forget_slot(self, region: str, source: str | None) -> None:
        origin = self._running.get(source) if source else None
        if origin is not None and not origin.stopped:
            await asyncio.to_thread(origin.server.drop_slot, slot_name(region))

    def _log(self, region: str) -> Path:
        return self._plan.logs / f"postgres-{region}.log"


def slot_name(region: str) -> str:
    return f"replica_{region.replace('-', '_')}"


async def _end(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGINT) -> None:
    """SIGINT, the fast shutdown: sessions are ended, everything is written. SIGQUIT: as if it had crashed."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        await asyncio.wait_for(process.wait(), timeout=15)
    except TimeoutError:
        process.kill()
        await process.wait()
