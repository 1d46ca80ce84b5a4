"""Custom::SchemaMigration: brings the ledger's schema up to this release where the writer is."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.aws import PATIENT, client
from adapters.custom_resource import Failed, LambdaContext, Request, answer
from adapters.database import Database
from adapters.global_cluster import members
from adapters.schema import NOT_THE_WRITER, Roles, migrate
from adapters.secrets import Secrets
from failover.errors import Unavailable
from failover.writer import is_writer

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

_CONNECT_SECONDS = 20

logging.getLogger().setLevel(logging.INFO)


def handle(event: Mapping[str, Any], context: LambdaContext) -> None:
    answer(event, context, act)


def act(request: Request) -> Mapping[str, str]:
    """Deleting the resource keeps the schema: it belongs to the data, not to a release."""
    if request.action == "Delete":
        return {}
    clusters, secrets = client("rds", config=PATIENT), client("secretsmanager", config=PATIENT)
    return {"Applied": applied(os.environ, clusters, Secrets(secrets))}


def applied(environment: Mapping[str, str], clusters: RDSClient, secrets: Secrets) -> str:
    """What was done. Raises Failed when that, or whether this region is to do it, is unknown.

    The global cluster is asked first: where it has no writer, a cluster's endpoint need not even resolve.
    """
    import psycopg

    database = Database(
        environment["DATABASE_HOST"],
        int(environment["DATABASE_PORT"]),
        environment["DATABASE_NAME"],
        connect_seconds=_CONNECT_SECONDS,
    )
    roles = Roles(
        master=environment["MASTER_SECRET"],
        migrator=environment["MIGRATOR_SECRET"],
        application=environment["APPLICATION_SECRET"],
    )
    try:
        known = members(clusters, environment["GLOBAL_CLUSTER"])
        if not is_writer(known, environment["AWS_REGION"], environment["DATABASE_CLUSTER"]):
            return NOT_THE_WRITER
        return migrate(database, secrets, roles)
    except Unavailable as unknown:
        raise Failed(f"{unknown}; nothing was migrated: repair that, then deploy again") from unknown
    except psycopg.Error as error:
        state = error.sqlstate or "no answer"
        raise Failed(f"database {database.host}: {type(error).__name__} ({state})") from error
