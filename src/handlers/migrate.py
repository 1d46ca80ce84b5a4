"""Custom::SchemaMigration: brings the ledger's schema up to this release where the writer is."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from adapters.aws import client
from adapters.custom_resource import Failed, LambdaContext, Request, answer
from adapters.database import Database
from adapters.schema import Roles, migrate
from adapters.secrets import Secrets

logging.getLogger().setLevel(logging.INFO)


def handle(event: Mapping[str, Any], context: LambdaContext) -> None:
    answer(event, context, act)


def act(request: Request) -> Mapping[str, str]:
    """Deleting the resource keeps the schema: it belongs to the data, not to a release."""
    if request.action == "Delete":
        return {}
    import psycopg

    environment = os.environ
    database = Database(
        environment["DATABASE_HOST"], int(environment["DATABASE_PORT"]), environment["DATABASE_NAME"]
    )
    roles = Roles(
        master=environment["MASTER_SECRET"],
        migrator=environment["MIGRATOR_SECRET"],
        application=environment["APPLICATION_SECRET"],
    )
    try:
        applied = migrate(database, Secrets(client("secretsmanager")), roles)
    except psycopg.Error as error:
        state = error.sqlstate or "no answer"
        raise Failed(f"database {database.host}: {type(error).__name__} ({state})") from error
    return {"Applied": applied}
