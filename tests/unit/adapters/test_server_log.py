"""What the database writes into its own log, set up as the templates do: never what was paid, nor by whom."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.database import connect
from adapters.secrets import Credentials
from lab.postgres import Installation, Server
from templates import data
from tests.ports import free_port
from tests.unit.adapters.conftest import MASTER, database, running
from tests.unit.templates.rendering import settings

EVERY_STATEMENT = {"log_min_duration_statement": "0"}  # as if each took longer than is said there


@pytest.fixture
def parameters() -> dict[str, str]:
    resources: dict[str, Any] = data.render(settings()).to_dict()["Resources"]
    groups = (
        resources[name]["Properties"]["Parameters"] for name in ("ClusterParameters", "InstanceParameters")
    )
    return {name: value for group in groups for name, value in group.items()}


@pytest.fixture
def log(installation: Installation, parameters: dict[str, str]) -> Iterator[Path]:
    """Of a server to which a slow and a refused row were sent."""
    directory = Path(tempfile.mkdtemp(prefix="payments-log-"))
    directory.chmod(0o755)
    server = Server(installation, directory / "data", "127.0.0.1", free_port(), "superuser-secret")
    server.initialise()
    try:
        with running(server, directory / "log"):
            server.found(MASTER)
            assert "log_min_duration_statement" in server.set_parameters(parameters | EVERY_STATEMENT, ())
            master = Credentials(MASTER.username, MASTER.password)
            with connect(database(server), master, statement_ms=2000, lock_ms=1000) as connection:
                connection.execute(
                    "CREATE TABLE payment (payment_id text, debtor text NOT NULL, amount bigint)"
                )
                sent = "INSERT INTO payment VALUES (%s, %s, %s)"
                connection.execute(sent, ["pay_1", "alice", 1250])
                with suppress(psycopg.IntegrityError):
                    connection.execute("INSERT INTO payment VALUES (%s, NULL, %s)", ["pay_of_bob", 1250])
        yield directory / "log"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_slow_and_refused_statements_are_logged_without_what_they_said(log: Path) -> None:
    text = log.read_text("utf-8", "replace")
    assert "INSERT INTO payment VALUES ($1, $2, $3)" in text
    assert "violates not-null constraint" in text
    assert "alice" not in text
    assert "pay_of_bob" not in text
