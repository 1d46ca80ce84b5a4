"""What a person at a terminal would do with the lab: build, deploy, call the API, look into the databases."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import boto3.session
import psycopg
import requests

from lab import environment
from lab.plan import LabPlan, plan_file, read_plan
from lab.seed import ACCOUNT_IDS, MERCHANT_ID

REPOSITORY = Path(__file__).resolve().parents[3]
_PATIENCE = 20.0  # seconds
Found = TypeVar("Found")


def copy_repository(target: Path) -> None:
    """With the cache of resolved dependencies, if any: resolving them again would prove nothing here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)
    if (REPOSITORY / ".build").is_dir():
        shutil.copytree(REPOSITORY / ".build", target / ".build", ignore=shutil.ignore_patterns("check"))


def run(command: list[str], *, cwd: Path, variables: dict[str, str] | None = None) -> str:
    """What it said on both streams; fails the test with all of it when the command fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=dict(os.environ) if variables is None else variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def run_lab(command: str, directory: Path, *arguments: str) -> str:
    return run(
        [sys.executable, "-m", "lab", command, *arguments, "--directory", str(directory)], cwd=REPOSITORY
    )


def tool(name: str) -> str:
    """From the virtual environment the tests run in."""
    return str(Path(sys.executable).with_name(name))


def eventually(find: Callable[[], Found | None], what: str, patience: float = _PATIENCE) -> Found:
    """The first thing found; fails after the deadline."""
    deadline = time.monotonic() + patience
    while (found := find()) is None:
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.05)
    return found


class System:
    """The lab and what is deployed in it."""

    def __init__(self, workspace: Path, directory: Path) -> None:
        self.workspace = workspace
        self.directory = directory
        self.plan: LabPlan = read_plan(plan_file(directory))
        self.primary = self.plan.region_at("primary").name
        self.secondary = self.plan.region_at("secondary").name
        self.witness = self.plan.region_at("witness").name
        self._session = boto3.session.Session(**environment.credentials(self.plan))
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def regions(self) -> tuple[str, str]:
        return self.primary, self.secondary

    def build(self) -> str:
        return run([sys.executable, "build.py", "--environment", "lab"], cwd=self.workspace)

    def deploy(self, config_env: str) -> str:
        variables = {**environment.for_child(self.plan, os.environ), "SAM_CLI_POLL_DELAY": "1"}
        command = [tool("sam"), "deploy", "--config-env", config_env, "--no-progressbar"]
        return run(command, cwd=self.workspace, variables=variables)

    def operate(self, *arguments: str) -> dict[str, Any]:
        """What `python -m ops` answers."""
        variables = environment.for_child(self.plan, os.environ)
        command = [sys.executable, "-m", "ops", "--environment", "lab", *arguments, "--json"]
        answered: dict[str, Any] = json.loads(run(command, cwd=self.workspace, variables=variables))
        return answered

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(run_lab("status", self.directory, "--json"))
        return status

    def aws(self, service: str, region: str) -> Any:
        """A client of the service in a region, as the account's administrator."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(
                service,  # type: ignore[call-overload]
                region_name=region,
                endpoint_url=self.plan.gateway_url,
            )
        return self._clients[service, region]

    def query(self, region: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.status()["regions"][region]["postgres_dsn"], autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def stacks(self, region: str) -> dict[str, dict[str, Any]]:
        """By what they hold: `root`, `foundation`, ... or `zone`."""
        found = {}
        for stack in self.aws("cloudformation", region).describe_stacks()["Stacks"]:
            name = stack["StackName"]
            if name.startswith("StackSet-"):
                found[name.split("-")[2]] = stack
            elif name == "payments-lab":
                found["root"] = stack
            elif name == "payments-lab-zone":
                found["zone"] = stack
        return found


@contextmanager
def deployed(workspace: Path, directory: Path) -> Iterator[System]:
    """A lab of its own, with the system in it."""
    run_lab("up", directory)
    try:
        system = System(workspace, directory)
        system.build()
        system.deploy("lab-zone")
        system.deploy("lab")
        yield system
    finally:
        run_lab("down", directory)


class Client:
    """A merchant of the lab, calling one region's API."""

    def __init__(self, system: System, region: str) -> None:
        status = system.status()
        self.api: str = status["regions"][region]["api_base_url"]
        self.merchant = next(one for one in status["merchants"] if one["id"] == MERCHANT_ID)
        self.http = requests.Session()
        self.http.verify = status["ca_file"]
        self.http.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def sign_in(self) -> None:
        answer = self.http.post(
            f"{self.api}/sessions", auth=(self.merchant["id"], self.merchant["key"]), timeout=30
        )
        assert answer.status_code == 201, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['session_token']}"

    def pay(self, key: str | None = None, **changes: Any) -> requests.Response:
        debtor, creditor = ACCOUNT_IDS
        body = {
            "amount": 12_500,
            "currency": "USD",
            "debtor": debtor,
            "creditor": creditor,
            "reference": "Test",
        }
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self.http.post(f"{self.api}/payments", json={**body, **changes}, headers=headers, timeout=30)

    def get(self, path: str) -> requests.Response:
        return self.http.get(f"{self.api}{path}", timeout=30)
