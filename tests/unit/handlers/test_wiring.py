"""The whole function against real servers, and what it needs at least."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.region import own_ledgers
from handlers.wiring import wired

SOURCE = Path(__file__).parents[3] / "src"
ENVIRONMENT = {
    "SESSIONS_TABLE": "sessions",
    "JOURNAL_TABLE": "journal",
    "CONTROL_TABLE": "control",
    "DIRECTORY_TABLE": "directory",
    "DATABASE_HOST": "localhost",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "ledger",
    "DATABASE_SECRET": "application",
    "AWS_REGION": "us-east-1",
    "PEER_REGION": "us-east-2",
    "PEER_FUNCTION": "payments-api",
}


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_a_missing_setting_is_loud(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    wired(ENVIRONMENT)
    with pytest.raises(KeyError, match=missing):
        wired({name: value for name, value in ENVIRONMENT.items() if name != missing})


def test_each_thread_has_a_ledger_of_its_own_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection serves one statement at a time."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    mine = own_ledgers(ENVIRONMENT)
    with ThreadPoolExecutor(1) as other:
        theirs = [other.submit(mine).result() for _ in range(2)]
    assert mine() is mine()
    assert theirs[0] is theirs[1] is not mine()


@pytest.mark.parametrize(
    ("handler", "absent"),
    [
        ("handlers.api", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.sweep", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.settle", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.ship", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.audit", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.rotate", {"boto3", "psycopg", "yoyo", "rollout"}),
        ("handlers.migrate", {"boto3", "psycopg", "yoyo", "rollout", "aws_lambda_powertools"}),
        ("rollout.handler", {"payments", "handlers", "psycopg", "yoyo", "aws_lambda_powertools"}),
    ],
)
def test_a_handler_loads_only_what_its_package_has_and_a_cold_start_needs(
    handler: str, absent: set[str]
) -> None:
    program = f"import sys, {handler}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE), "POWERTOOLS_METRICS_NAMESPACE": "payments"},
    )
    assert not absent & set(run.stdout.split())
