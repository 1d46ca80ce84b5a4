"""Real servers for the adapters: PostgreSQL with a streaming replica, and an embedded DynamoDB."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from adapters.database import Database
from lab.postgres import Installation, Master, Server, install
from tests.ports import free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MASTER = Master("ledger_master", "master-secret", "ledger")


@contextmanager
def running(server: Server, log: Path = Path(os.devnull)) -> Iterator[None]:
    with log.open("wb") as told:
        process = subprocess.Popen(
            server.command(),
            stdout=told,
            stderr=told,
            cwd=server.installation.binaries,
            **server.installation.identity(),
        )
    try:
        _wait(server.accepts_connections, process)
        yield
    finally:
        process.send_signal(signal.SIGQUIT)  # immediate: the data is thrown away
        process.wait(20)


def _wait(ready: "object", process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if callable(ready) and ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    # Not pytest's own directory: the account PostgreSQL runs as must be able to reach it.
    directory = Path(tempfile.mkdtemp(prefix="payments-postgres-"))
    directory.chmod(0o755)
    try:
        yield install(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def server(installation: Installation) -> Iterator[Server]:
    """A writer, founded as Aurora founds one: the master is no superuser."""
    directory = Path(tempfile.mkdtemp(prefix="payments-writer-"))
    directory.chmod(0o755)
    server = Server(installation, directory / "data", "127.0.0.1", free_port(), "superuser-secret")
    try:
        server.initialise()
        with running(server):
            server.found(MASTER)
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def replica(installation: Installation, server: Server) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="payments-replica-"))
    directory.chmod(0o755)
    replica = Server(installation, directory / "data", "127.0.0.1", free_port(), server.superuser_password)
    try:
        replica.clone(server, "replica")
        with running(replica):
            yield replica
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def database(server: Server, name: str = "ledger") -> Database:
    return Database(server.address, server.port, name, sslmode="disable")


@dataclass(frozen=True, slots=True)
class EmbeddedAws:
    url: str

    def dynamodb(self) -> "DynamoDBClient":
        return boto3.client(
            "dynamodb",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"mode": "standard", "total_max_attempts": 2}),
        )


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[EmbeddedAws]:
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="payments-aws-"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "GATEWAY_PORT": str(port),
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack.app"], env=environment, stdout=log, stderr=log, cwd=directory
        )

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        _wait(answers, process)
        yield EmbeddedAws(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        shutil.rmtree(directory, ignore_errors=True)
