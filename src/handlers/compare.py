"""The compare function: for whoever asks, what both regions' ledgers hold, the other's over the peering.

It changes nothing, and says no more of a payment than that it is the same in both.
"""

import logging
import os
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from adapters.aws import client
from adapters.ledgers import Ledgers
from adapters.schema import MIGRATIONS
from adapters.secrets import Secrets
from failover.errors import Unavailable

logging.getLogger().setLevel(logging.INFO)


def wired(environment: Mapping[str, str]) -> Ledgers:
    secrets = Secrets(client("secretsmanager"))
    return Ledgers(
        cache(partial(client, "rds")),
        environment["AWS_REGION"],
        environment["GLOBAL_CLUSTER"],
        environment["DATABASE_NAME"],
        lambda: secrets.credentials(environment["DATABASE_SECRET"], fresh=True),
    )


def handle(_event: Any, _context: object) -> dict[str, Any]:
    return answer(wired(os.environ))


def answer(ledgers: Ledgers) -> dict[str, Any]:
    """`unknown` says why nothing is known; what went wrong is for whoever asked to judge."""
    expected = sorted(file.stem for file in MIGRATIONS.glob("*.sql"))
    try:
        return {"ledgers": ledgers.compared(), "expected": expected}
    except Unavailable as unknown:
        return {"unknown": str(unknown)}
