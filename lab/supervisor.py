"""`python -m lab.supervisor --plan lab.json`: the one process that owns the lab, until it is terminated."""

import argparse
import asyncio
import asyncio.subprocess
import os
import signal
import ssl
import sys
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import aiohttp
import boto3.session
from aiohttp import web
from botocore.config import Config

from lab import directories, environment
from lab.admission import Admission, Callers
from lab.certificates import write_private
from lab.control import ControlServer
from lab.databases import Databases
from lab.described import Described
from lab.doors import Door
from lab.flows import Flows
from lab.frontdoor import Deployed, FrontDoor, mappings_of
from lab.function_processes import kill_caller
from lab.lag import Creations
from lab.plan import LabPlan, RegionPlan, read_plan, restored
from lab.postgres_endpoint import ClusterEndpoints, PostgresEndpoint
from lab.processes import Registry, last_lines, lifeline_command, tied_to_parent
from lab.proxy import Proxy, new_session, start_server
from lab.switches import Switches
from lab.tunnel import Outside, PublicDoor
from ops.resolver import Resolver, look_up

_AWS_DEADLINE = 60.0  # seconds until the embedded AWS must answer; two on a quiet machine
_AWS_FAREWELL = 10.0  # seconds it gets to end its functions
_DNS_SECONDS = 2.0
_LOOK_EVERY = 0.05
_REPOSITORY = Path(__file__).resolve().parent.parent
_Result = TypeVar("_Result")


class StageError(Exception):
    """A part did not come up or ended by itself; the message says which, and what its log says."""


class Supervisor:
    def __init__(self, plan: LabPlan) -> None:
        self._plan = plan
        self._stop = asyncio.Event()
        self._ended: str | None = None  # why the lab ends although nobody asked it to
        self._registry = Registry(plan.processes_file)
        self._progress: dict[str, Any] = {"pid": os.getpid(), "stages": [], "ready": False}

    async def run(self) -> int:
        """0 when the lab was asked to end, 1 when a part of it did not come up or ended by itself."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        try:
            async with AsyncExitStack() as stack:
                coming_up = asyncio.create_task(self._bring_up(stack))
                asked = asyncio.create_task(self._stop.wait())
                await asyncio.wait({coming_up, asked}, return_when=asyncio.FIRST_COMPLETED)
                if coming_up.done():
                    coming_up.result()
                    self._progress["ready"] = True
                    await asked
                else:
                    coming_up.cancel()
                    await asyncio.gather(coming_up, return_exceptions=True)
        except StageError as error:
            self._ended = str(error)
        finally:
            directories.clean(self._plan)
        if self._ended:
            sys.stderr.write(f"{self._ended}\n")
        return 1 if self._ended else 0

    async def _bring_up(self, stack: AsyncExitStack) -> None:
        plan = self._plan
        directories.prepare(plan)
        self._registry.add("supervisor", os.getpid())
        tls = await self._stage("certificates", asyncio.to_thread(directories.issue_certificates, plan))
        flows = stack.enter_context(Flows(plan))
        admission = Admission(plan, Described(plan), flows)
        endpoints = {
            region.name: _cluster_endpoints(region, tls[region.name], admission)
            for region in plan.data_regions
        }
        endpoints |= {
            restored(region.name): _restored_endpoints(region, tls[region.name], admission)
            for region in plan.data_regions
        }
        databases = Databases(plan, endpoints, self._registry)
        write_private(plan.superuser_password_file, databases.superuser_password.encode())
        proxies: dict[str, Proxy] = {}
        doors: dict[str, Door] = {}
        switches = Switches(plan, databases, proxies, doors)
        control = ControlServer(self._progress, databases, proxies, plan.functions_directory, switches)
        await self._serve_control(stack, control)
        stack.push_async_callback(databases.stop_all)
        # Last in, first out: our connections to the gateway are closed before it is asked to end.
        await self._stage("embedded AWS", self._start_aws(stack))
        session = await stack.enter_async_context(new_session())
        creations = Creations()
        for region in plan.regions.values():
            log = stack.enter_context((plan.logs / f"requests-{region.name}.jsonl").open("a", buffering=1))
            starting = self._start_proxy(stack, region, session, log, flows, creations)
            proxies[region.name] = await self._stage(f"proxy of {region.name}", starting)
        for region in plan.data_regions:
            opening = self._start_front_door(stack, region, session, tls[region.name])
            doors[region.name] = await self._stage(f"front door of {region.name}", opening)

    async def _stage(self, name: str, work: Awaitable[_Result]) -> _Result:
        began = time.monotonic()
        stage: dict[str, Any] = {"name": name, "seconds": None}
        self._progress["stages"].append(stage)
        try:
            result = await work
        except OSError as error:
            raise StageError(f"{name}: {error}") from error
        stage["seconds"] = round(time.monotonic() - began, 2)
        return result

    async def _serve_control(self, stack: AsyncExitStack, control: ControlServer) -> None:
        runner = web.AppRunner(control.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(self._plan.control_socket)).start()
        self._plan.control_socket.chmod(0o600)

    async def _start_proxy(
        self,
        stack: AsyncExitStack,
        region: RegionPlan,
        session: aiohttp.ClientSession,
        log: IO[str],
        flows: Flows,
        creations: Creations,
    ) -> Proxy:
        proxy = Proxy(
            region=region.name,
            gateway=self._plan.gateway_url,
            session=session,
            log=log,
            operator=self._plan.account_id,
            identify=Callers(self._plan, region, flows).identify,
            kill=partial(kill_caller, self._plan.functions_directory),
            creations=creations,
            outside=self._outside(),
        )
        runner = await start_server(proxy.handle, region.address, region.proxy_port)
        stack.push_async_callback(runner.cleanup)
        return proxy

    def _outside(self) -> Outside:
        """What a region's programs see of public host names: each region has a resolver of its own."""
        ask = partial(look_up, server=self._plan.dns, seconds=_DNS_SECONDS)
        regions = {region.public_address: region.name for region in self._plan.data_regions}
        doors = {told: PublicDoor(regions[told], where) for told, where in self._plan.doors.items()}
        return Outside(Resolver(ask, {}), doors)

    async def _start_front_door(
        self, stack: AsyncExitStack, region: RegionPlan, session: aiohttp.ClientSession, tls: ssl.SSLContext
    ) -> Door:
        # Straight to the gateway: API Gateway looking at itself is no region's traffic.
        client = boto3.session.Session(**environment.credentials(self._plan)).client(
            "apigateway",
            region_name=region.name,
            endpoint_url=self._plan.gateway_url,
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5),
        )
        front = FrontDoor(
            host=directories.region_host(self._plan, region.place),
            address=region.address,
            gateway=self._plan.gateway_url,
            session=session,
            deployed=Deployed(partial(mappings_of, client)),
        )
        door = Door(front.handle, region.address, region.front_door_port, tls)
        await door.open()
        stack.push_async_callback(door.close)
        return door

    async def _start_aws(self, stack: AsyncExitStack) -> None:
        log = self._plan.logs / "aws.log"
        command = [sys.executable, "-m", "lab.embedded", "--plan", str(self._plan.file)]
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *lifeline_command(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=_REPOSITORY,
                env={
                    "PATH": os.defpath,
                    "HOME": str(self._plan.runtime_directory),
                    "LANG": "C.UTF-8",
                    "PYTHONPATH": os.pathsep.join((str(_REPOSITORY), str(_REPOSITORY / "src"))),
                },
                preexec_fn=tied_to_parent(signal.SIGTERM),
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends its parts in order
            )
        self._registry.add("embedded AWS", process.pid)
        watching = asyncio.create_task(self._watch(process, log))
        stack.push_async_callback(_end, process, watching)
        health = f"{self._plan.gateway_url}/_ministack/health"
        try:
            async with asyncio.timeout(_AWS_DEADLINE), new_session() as session:
                while not await _answers(session, health):
                    if process.returncode is not None:
                        raise StageError(f"the embedded AWS ended:\n{last_lines(log)}")
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise StageError(
                f"the embedded AWS does not answer after {_AWS_DEADLINE:.0f} s:\n{last_lines(log)}"
            ) from None

    async def _watch(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Everything deployed is in that process's memory: without it there is no lab."""
        code = await process.wait()
        self._ended = f"the embedded AWS ended by itself ({code}):\n{last_lines(log)}"
        self._stop.set()


def _cluster_endpoints(region: RegionPlan, tls: ssl.SSLContext, admission: Admission) -> ClusterEndpoints:
    decide = partial(admission.decide, region)
    return ClusterEndpoints(
        writer=PostgresEndpoint(region.writer_endpoint, tls, decide),
        reader=PostgresEndpoint(region.reader_endpoint, tls, decide),
    )


def _restored_endpoints(region: RegionPlan, tls: ssl.SSLContext, admission: Admission) -> ClusterEndpoints:
    addresses = region.address, region.reader_address
    writer, reader = (
        PostgresEndpoint((address, region.restored_port), tls, admission.decide_restored)
        for address in addresses
    )
    return ClusterEndpoints(writer=writer, reader=reader)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _end(process: asyncio.subprocess.Process, watching: asyncio.Task[None]) -> None:
    if watching.done():
        return
    watching.cancel()
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeout=_AWS_FAREWELL)
    except TimeoutError:
        process.kill()
        await process.wait()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.supervisor", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the lab.json that `python -m lab up` wrote")
    plan = read_plan(parser.parse_args(arguments).plan)
    return asyncio.run(Supervisor(plan).run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
