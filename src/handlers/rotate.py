"""The rotation function: one step of a database secret's rotation, as Secrets Manager asks for it."""

from __future__ import annotations

import os
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from adapters.aws import client
from adapters.rotation import GlobalDatabases, ManagedSecret, Waiting, master_of
from adapters.secrets import Secrets
from failover.errors import Unavailable
from failover.rotation import Databases, NotRotatable, Step, Users, take
from handlers.mistakes import tell_mistake

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_LOGGER: Final = Logger()
_METRICS: Final = Metrics()
_PASSWORD_LENGTH: Final = 48
_LETTERS: Final = string.ascii_letters + string.digits  # nothing that a connection string would have to quote


@dataclass(frozen=True, slots=True)
class Rotation:
    """What the function is made of. `users` holds the secrets it may rotate, by name."""

    client: SecretsManagerClient
    databases: Databases
    users: Mapping[str, Users]


def wired(environment: Mapping[str, str]) -> Rotation:
    home, manager = environment["AWS_REGION"], client("secretsmanager")
    return Rotation(
        client=manager,
        databases=GlobalDatabases(
            cache(partial(client, "rds")),
            home,
            environment["GLOBAL_CLUSTER"],
            environment["DATABASE_NAME"],
            master_of(Secrets(manager), environment["MASTER_SECRET"]),
            Waiting(time.monotonic, time.sleep),
        ),
        users={
            environment["APPLICATION_SECRET"]: Users.ALTERNATING,
            environment["MIGRATOR_SECRET"]: Users.SINGLE,
        },
    )


@cache
def _rotation() -> Rotation:
    return wired(os.environ)


def handle(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Lambda's entry point."""
    return answer(event, _rotation())


def answer(event: Mapping[str, Any], rotation: Rotation) -> dict[str, str]:
    """Raises whatever stops the step: Secrets Manager then tries again, and it goes on to the next step only
    after one that returned.
    """
    facts = {"step": str(event.get("Step")), "secret": str(event.get("SecretId"))}
    try:
        done = _taken(event, rotation)
    except Unavailable as unknown:
        _LOGGER.warning("not now", extra={**facts, "reason": str(unknown)})
        raise
    except Exception as mistake:
        if isinstance(mistake, NotRotatable):  # of another's error only the kind: its text is not ours
            facts["reason"] = str(mistake)
        tell_mistake(_LOGGER, _METRICS, mistake, **facts)
        raise
    _LOGGER.info(done, extra=facts)
    return {"done": done}


def _taken(event: Mapping[str, Any], rotation: Rotation) -> str:
    return take(
        Step(event["Step"]),
        event["ClientRequestToken"],
        rotation.users,
        secret=ManagedSecret(rotation.client, event["SecretId"]),
        databases=rotation.databases,
        password=new_password,
    )


def new_password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_LENGTH))
