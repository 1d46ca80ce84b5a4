"""How the lab's parts talk to its supervisor: JSON over HTTP on a Unix socket only its owner can open."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from aiohttp import web

from lab.databases import DatabaseError, Databases
from lab.postgres import Master
from lab.proxy import Proxy

_SLOWEST = 120.0  # seconds; a base backup of a large ledger


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

    def destroy_database(self, region: str) -> None:
        self._ask("POST", f"/databases/{region}/destroy")

    def set_instances(self, region: str, count: int) -> None:
        self._ask("POST", f"/databases/{region}/instances", {"count": count})

    def set_password(self, region: str, username: str, password: str) -> None:
        self._ask("POST", f"/databases/{region}/password", {"username": username, "password": password})

    def set_parameters(self, region: str, values: dict[str, str]) -> None:
        self._ask("POST", f"/databases/{region}/parameters", {"values": values})

    def back_up_database(self, region: str, name: str) -> int:
        """A verified base backup called `name`; its size in bytes."""
        return int(self._ask("POST", f"/databases/{region}/backup", {"name": name})["bytes"])

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

    def __init__(self, progress: dict[str, Any], databases: Databases, proxies: dict[str, Proxy]) -> None:
        self._progress = progress
        self._databases = databases
        self._proxies = proxies

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_explain])
        application.router.add_get("/status", self._status)
        application.router.add_post("/databases/{region}/{action}", self._database)
        application.router.add_post("/backups/{name}/{action}", self._backup)
        return application

    async def _status(self, _request: web.Request) -> web.Response:
        databases = {region: self._databases.describe(region) for region in self._databases.regions}
        states = {region: proxy.state for region, proxy in self._proxies.items()}
        return web.json_response({**self._progress, "databases": databases, "proxies": states})

    async def _database(self, request: web.Request) -> web.Response:
        region, body = request.match_info["region"], await request.json()
        match request.match_info["action"]:
            case "found":
                await self._databases.found(region, Master(**body))
            case "replicate":
                await self._databases.replicate(region, body["source"])
            case "promote":
                await self._databases.promote(region)
            case "destroy":
                await self._databases.destroy(region)
            case "instances":
                await self._databases.set_instances(region, body["count"])
            case "password":
                await self._databases.set_password(region, body["username"], body["password"])
            case "parameters":
                await self._databases.set_parameters(region, body["values"])
            case "backup":
                return web.json_response({"bytes": await self._databases.back_up(region, body["name"])})
            case unknown:
                raise DatabaseError(f"nothing called {unknown} can be done to a database")
        return web.json_response(self._databases.describe(region))

    async def _backup(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.json()
        if request.match_info["action"] == "copy":
            await self._databases.copy_backup(name, body["name"])
        else:
            await self._databases.delete_backup(name)
        return web.json_response({})


@web.middleware
async def _explain(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except (DatabaseError, RuntimeError) as error:
        return web.json_response({"error": str(error)}, status=409)
    except (KeyError, TypeError, ValueError) as error:
        return web.json_response({"error": f"not understood: {error!r}"}, status=400)
