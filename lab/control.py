"""How the lab's parts talk to its supervisor: JSON over HTTP on a Unix socket only its owner can open."""

import asyncio
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web

from lab.databases import DatabaseError, Databases
from lab.faults import Rule
from lab.function_processes import kill_functions
from lab.postgres import Master
from lab.proxy import Proxy
from lab.roles import Roles
from lab.switches import Switches

_SLOWEST = 180.0  # seconds; a base backup of a large ledger, a switchover that waits for a slow replica


class ControlError(Exception):
    """The supervisor refused; the message is its own."""


class NoSupervisorError(ControlError):
    """Nobody answers at the control socket."""


class Control:
    """The client; blocking, so call it from a worker thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self, timeout: float = 5.0) -> dict[str, Any]:
        return self._ask("GET", "/status", timeout=timeout)

    def found_database(self, region: str, master: Master) -> None:
        body = {"username": master.username, "password": master.password, "database": master.database}
        self._ask("POST", f"/databases/{region}/found", body)

    def replicate_database(self, region: str, source: str) -> None:
        self._ask("POST", f"/databases/{region}/replicate", {"source": source})

    def promote_database(self, region: str) -> None:
        self._ask("POST", f"/databases/{region}/promote")

    def switch_over_database(self, region: str) -> None:
        """The region's replica takes writes with everything its source had; the source is to be attached."""
        self._ask("POST", f"/databases/{region}/switch-over")

    def fail_over_database(self, region: str) -> None:
        """The region's replica takes writes with what it has."""
        self._ask("POST", f"/databases/{region}/fail-over")

    def reattach_database(self, region: str, source: str, keep: str | None = None) -> int | None:
        """The region's database becomes a replica of another one, and loses what that one does not have.

        Unless it is kept, in a backup of that name: its size in bytes, None where there is none.
        """
        answer = self._ask("POST", f"/databases/{region}/reattach", {"source": source, "keep": keep})
        return None if answer["kept"] is None else int(answer["kept"])

    def replicates(self, region: str) -> bool:
        """Whether the region's database receives from another one that is well."""
        return bool(self._ask("POST", f"/databases/{region}/replicates")["replicates"])

    def destroy_database(self, region: str) -> None:
        self._ask("POST", f"/databases/{region}/destroy")

    def set_instances(self, region: str, count: int) -> None:
        self._ask("POST", f"/databases/{region}/instances", {"count": count})

    def set_password(self, region: str, username: str, password: str) -> None:
        self._ask("POST", f"/databases/{region}/password", {"username": username, "password": password})

    def set_parameters(self, region: str, values: dict[str, str]) -> None:
        self._ask("POST", f"/databases/{region}/parameters", {"values": values})

    def cut_connections(self, region: str) -> int:
        """How many clients were connected to the region's database."""
        return int(self._ask("POST", f"/databases/{region}/cut")["cut"])

    def stop_database(self, region: str, *, crash: bool = False) -> None:
        self._ask("POST", f"/databases/{region}/stop", {"crash": crash})

    def start_database(self, region: str) -> None:
        self._ask("POST", f"/databases/{region}/start")

    def freeze_database(self, region: str, *, frozen: bool = True) -> None:
        """Connections stay, and nothing moves until it is let go on."""
        self._ask("POST", f"/databases/{region}/freeze", {"frozen": frozen})

    def delay_replication(self, region: str, seconds: float) -> None:
        """What is sent to the region's replica arrives so late; what is on its way a failover loses."""
        self._ask("POST", f"/databases/{region}/delay", {"seconds": seconds})

    def isolate_database(self, region: str, *, isolated: bool = True) -> None:
        """Nothing is replicated to or from the region."""
        self._ask("POST", f"/databases/{region}/isolate", {"isolated": isolated})

    def set_faults(self, region: str, *rules: Rule) -> None:
        """What goes wrong on the region's way to AWS from now on: these and nothing else."""
        self._ask("POST", f"/faults/{region}", {"rules": [rule.described() for rule in rules]})

    def faults(self, region: str) -> list[dict[str, Any]]:
        """The rules that stand, each with how many requests it `met` and to how many it was `applied`."""
        rules: list[dict[str, Any]] = self._ask("GET", f"/faults/{region}")["rules"]
        return rules

    def kill_functions(self, region: str, name: str = "*") -> list[str]:
        """SIGKILL to the processes of the region's functions of that name, a pattern; whose they were."""
        killed: list[str] = self._ask("POST", f"/functions/{region}/kill", {"name": name})["killed"]
        return killed

    def kill_region(self, region: str) -> bool:
        """Nothing of it runs or answers any more; False where it was dead already."""
        return bool(self._ask("POST", f"/regions/{region}/kill")["changed"])

    def restore_region(self, region: str) -> bool:
        """A dead region is as it was; False where it was not dead."""
        return bool(self._ask("POST", f"/regions/{region}/restore")["changed"])

    def partition_region(self, region: str) -> bool:
        """Cut off from the other regions, not from the internet; False where it was already."""
        return bool(self._ask("POST", f"/regions/{region}/partition")["changed"])

    def freeze_region(self, region: str) -> bool:
        """Its functions and its database stand still until `heal`; False where they did already."""
        return bool(self._ask("POST", f"/regions/{region}/freeze")["changed"])

    def heal(self) -> bool:
        """Every partition, delay and freeze ends; False where there was none."""
        return bool(self._ask("POST", "/heal")["changed"])

    def back_up_database(self, region: str, name: str) -> int:
        """A verified base backup called `name`; its size in bytes."""
        return int(self._ask("POST", f"/databases/{region}/backup", {"name": name})["bytes"])

    def restore_backup(self, region: str, name: str) -> None:
        """Into a second database of the region, called `lab.plan.restored(region)`."""
        self._ask("POST", f"/databases/{region}/restore-backup", {"name": name})

    def copy_backup(self, name: str, copy: str) -> None:
        self._ask("POST", f"/backups/{name}/copy", {"name": copy})

    def delete_backup(self, name: str) -> None:
        self._ask("POST", f"/backups/{name}/delete")

    def _ask(self, method: str, path: str, body: object = None, timeout: float = _SLOWEST) -> dict[str, Any]:
        connection = _UnixConnection(self._path, timeout)
        try:
            connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise NoSupervisorError(f"{self._path}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise ControlError(answer["error"])
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("lab", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ControlServer:
    """The supervisor's side."""

    def __init__(
        self,
        progress: dict[str, Any],
        databases: Databases,
        proxies: dict[str, Proxy],
        functions: Path,
        switches: Switches,
    ) -> None:
        """`functions` is the directory in which the processes of functions are recorded."""
        self._progress = progress
        self._databases = databases
        self._roles = Roles(databases)
        self._proxies = proxies
        self._functions = functions
        self._switches = switches

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_explain])
        application.router.add_get("/status", self._status)
        application.router.add_post("/databases/{region}/{action}", self._database)
        application.router.add_post("/backups/{name}/{action}", self._backup)
        application.router.add_post("/regions/{region}/{action}", self._region)
        application.router.add_post("/heal", self._heal)
        application.router.add_get("/faults/{region}", self._faults)
        application.router.add_post("/faults/{region}", self._set_faults)
        application.router.add_post("/functions/{region}/kill", self._kill)
        return application

    async def _status(self, _request: web.Request) -> web.Response:
        databases = {region: self._databases.describe(region) for region in self._databases.regions}
        states = {region: self._switches.state(region) for region in self._switches.plan.regions}
        return web.json_response({**self._progress, "databases": databases, "regions": states})

    async def _region(self, request: web.Request) -> web.Response:
        region = request.match_info["region"]
        match request.match_info["action"]:
            case "kill":
                changed = await self._switches.kill(region)
            case "restore":
                changed = await self._switches.restore(region)
            case "partition":
                changed = await self._switches.partition(region)
            case "freeze":
                changed = await self._switches.freeze(region)
            case unknown:
                raise DatabaseError(f"nothing called {unknown} can be done to a region")
        return web.json_response({"changed": changed})

    async def _heal(self, _request: web.Request) -> web.Response:
        return web.json_response({"changed": await self._switches.heal()})

    async def _database(self, request: web.Request) -> web.Response:
        region, body = request.match_info["region"], await request.json()
        match request.match_info["action"]:
            case "found":
                await self._databases.found(region, Master(**body))
            case "replicate":
                await self._databases.replicate(region, body["source"])
            case "promote":
                await self._databases.promote(region)
            case "switch-over":
                await self._roles.switch_over(region)
            case "fail-over":
                await self._roles.fail_over(region)
            case "reattach":
                kept = await self._roles.reattach(region, body["source"], body["keep"])
                return web.json_response({"kept": kept})
            case "replicates":
                return web.json_response({"replicates": await self._roles.healthy(region)})
            case "freeze":
                await self._databases.freeze(region, body["frozen"])
            case "delay":
                await self._databases.delay_replication(region, body["seconds"])
            case "isolate":
                await self._databases.isolate(region, body["isolated"])
            case "destroy":
                await self._databases.destroy(region)
            case "instances":
                await self._databases.set_instances(region, body["count"])
            case "password":
                await self._databases.set_password(region, body["username"], body["password"])
            case "parameters":
                await self._databases.set_parameters(region, body["values"])
            case "cut":
                return web.json_response({"cut": await self._databases.cut_connections(region)})
            case "stop":
                await self._databases.stop(region, crash=body["crash"])
            case "start":
                await self._databases.start(region)
            case "backup":
                return web.json_response({"bytes": await self._databases.back_up(region, body["name"])})
            case "restore-backup":
                await self._databases.restore_backup(region, body["name"])
            case unknown:
                raise DatabaseError(f"nothing called {unknown} can be done to a database")
        return web.json_response({})

    async def _backup(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.json()
        if request.match_info["action"] == "copy":
            await self._databases.copy_backup(name, body["name"])
        else:
            await self._databases.delete_backup(name)
        return web.json_response({})

    async def _faults(self, request: web.Request) -> web.Response:
        return web.json_response({"rules": self._proxies[request.match_info["region"]].faults.describe()})

    async def _set_faults(self, request: web.Request) -> web.Response:
        rules = [Rule(**rule) for rule in (await request.json())["rules"]]
        self._proxies[request.match_info["region"]].set_faults(rules)
        return web.json_response({})

    async def _kill(self, request: web.Request) -> web.Response:
        region, name = request.match_info["region"], (await request.json())["name"]
        killed = await asyncio.to_thread(kill_functions, self._functions, region, name)
        return web.json_response({"killed": killed})


@web.middleware
async def _explain(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except (DatabaseError, RuntimeError, psycopg.Error, OSError) as error:
        return web.json_response({"error": str(error)}, status=409)
    except (KeyError, TypeError, ValueError) as error:
        return web.json_response({"error": f"not understood: {error!r}"}, status=400)
