"""What works behind the API in a region reaches: only what is that region's own, named by the environment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from adapters.aws import client
from adapters.control import DynamoControl
from adapters.database import Database
from adapters.global_cluster import DescribedGlobalCluster
from adapters.journal import DynamoJournal
from adapters.ledger import PostgresLedger
from adapters.progress import DynamoProgress
from adapters.secrets import Secrets
from payments.standby import Standby

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from payments.mistakes import Each

# Writes of single entries: each waits for another region, and a hundred have to be settled in a second.
AT_A_TIME: Final = 32
LEDGERS_AT_A_TIME: Final = 8  # connections to the database


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


def database(environment: Mapping[str, str], host: str = "DATABASE_HOST") -> Database:
    """Where the variable `host` says: the writer's endpoint or the readers'."""
    return Database(environment[host], int(environment["DATABASE_PORT"]), environment["DATABASE_NAME"])


def ledger(environment: Mapping[str, str], host: str = "DATABASE_HOST") -> PostgresLedger:
    return ledgers(environment, host)()


def ledgers(environment: Mapping[str, str], host: str = "DATABASE_HOST") -> Callable[[], PostgresLedger]:
    """Makes one, with a connection of its own."""
    return partial(
        PostgresLedger,
        database(environment, host),
        Secrets(client("secretsmanager")),
        environment["DATABASE_SECRET"],
        time.monotonic,
    )


def own_ledgers(environment: Mapping[str, str]) -> Callable[[], PostgresLedger]:
    """The calling thread's own."""
    make, known = ledgers(environment), threading.local()

    def mine() -> PostgresLedger:
        if not hasattr(known, "ledger"):
            known.ledger = make()
        found: PostgresLedger = known.ledger
        return found

    return mine


def standby(environment: Mapping[str, str], tables: Tables) -> Standby:
    return Standby(
        tables.control(),
        DescribedGlobalCluster(client("rds"), environment["GLOBAL_CLUSTER"]),
        environment["AWS_REGION"],
        environment["DATABASE_CLUSTER"],
    )


def several(at_a_time: int = AT_A_TIME) -> Each:
    """Several at a time, as `payments.mistakes.attempt` asks for it."""
    from concurrent.futures import ThreadPoolExecutor  # here: a cold start of the API does without

    return ThreadPoolExecutor(at_a_time, thread_name_prefix="several").map
