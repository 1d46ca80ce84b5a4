"""What works behind the API in a region reaches: only what is that region's own, named by the environment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from adapters.aws import client
from adapters.control import DynamoControl
from adapters.database import Database
from adapters.journal import DynamoJournal
from adapters.ledger import PostgresLedger
from adapters.progress import DynamoProgress
from adapters.secrets import Secrets

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from payments.mistakes import Each

AT_A_TIME: Final = 8  # writes of single entries; each waits for another region


class Tables:
    """The region's replicas of the tables, over one client."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._client: DynamoDBClient = client("dynamodb", connections=AT_A_TIME)
        self._environment = environment

    def journal(self) -> DynamoJournal:
        return DynamoJournal(self._client, self._environment["JOURNAL_TABLE"])

    def control(self) -> DynamoControl:
        return DynamoControl(self._client, self._environment["CONTROL_TABLE"])

    def progress(self) -> DynamoProgress:
        return DynamoProgress(self._client, self._environment["PROGRESS_TABLE"])


def ledger(environment: Mapping[str, str], host: str = "DATABASE_HOST") -> PostgresLedger:
    """Where the variable `host` says: at the writer's endpoint or at the readers'."""
    return PostgresLedger(
        Database(environment[host], int(environment["DATABASE_PORT"]), environment["DATABASE_NAME"]),
        Secrets(client("secretsmanager")),
        environment["DATABASE_SECRET"],
        time.monotonic,
    )


def several() -> Each:
    """Several at a time, as `payments.mistakes.attempt` asks for it."""
    return ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="several").map
