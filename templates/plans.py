"""What every function of a regional stack has in common, and the pieces that several of them are given."""

from collections.abc import Mapping
from functools import partial

from awacs import dynamodb, kms
from awacs.aws import Action, Statement
from troposphere import Sub

from templates import policies
from templates.config import Settings
from templates.database import (
    APPLICATION_SECURITY_GROUP_ID,
    CLUSTER_ENDPOINT,
    CLUSTER_PORT,
    CLUSTER_READER_ENDPOINT,
)
from templates.encryption import KEY_ARN
from templates.functions import SERVICE_PACKAGE, FunctionPlan, Placement, packaged
from templates.network import PRIVATE_SUBNET_IDS
from templates.places import here
from templates.policies import Value
from templates.storage import CODE_BUCKET_NAME
from templates.tables import OPEN_INDEX


def function_plan(
    settings: Settings,
    title: str,
    description: str,
    *,
    environment: Mapping[str, Value],
    statements: tuple[Statement, ...],
    timeout_seconds: int,
    memory_mb: int = 512,
    package: str = SERVICE_PACKAGE,
    works_seconds: int = 0,
    handler: str | None = None,
) -> FunctionPlan:
    """A function in the private subnets; unless told otherwise, a module of its name under ``handlers``."""
    names = settings.names
    component = title.lower()
    name = here(partial(names.regional, component))
    key_arn = KEY_ARN.read(names)
    return FunctionPlan(
        title=title,
        name=name,
        role_name=name,
        boundary=policies.boundary_arn(names),
        description=description,
        handler=handler or f"handlers.{component}.handle",
        code=packaged(CODE_BUCKET_NAME.read(names), package),
        key_arn=key_arn,
        environment={
            **environment,
            "POWERTOOLS_SERVICE_NAME": component,
            "POWERTOOLS_METRICS_NAMESPACE": names.metrics,
            "POWERTOOLS_LOG_LEVEL": "INFO",
        },
        statements=statements,
        timeout_seconds=timeout_seconds,
        works_seconds=works_seconds,
        memory_mb=memory_mb,
        placement=placement(settings),
    )


def placement(settings: Settings) -> Placement:
    return Placement(
        subnet_ids=PRIVATE_SUBNET_IDS.read(settings.names),
        security_group_id=APPLICATION_SECURITY_GROUP_ID.read(settings.names),
    )


def tables(settings: Settings, *tables: str) -> dict[str, Value]:
    return {f"{table.upper()}_TABLE": settings.names.shared(table) for table in tables}


def writer(settings: Settings) -> dict[str, Value]:
    """Where this region's cluster takes transactions, while it is the writer."""
    return {"DATABASE_HOST": CLUSTER_ENDPOINT.read(settings.names), **_database(settings)}


def reader(settings: Settings) -> dict[str, Value]:
    """Where it can be read in any role: a secondary cluster has no writer, so its other endpoint is inactive.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-connecting.html
    """
    return {"DATABASE_READER_HOST": CLUSTER_READER_ENDPOINT.read(settings.names), **_database(settings)}


def _database(settings: Settings) -> dict[str, Value]:
    return {"DATABASE_PORT": CLUSTER_PORT.read(settings.names), "DATABASE_NAME": settings.database.name}


def application(settings: Settings) -> dict[str, Value]:
    return {"DATABASE_SECRET": settings.names.secret("application")}


def clusters(settings: Settings) -> dict[str, Value]:
    """Who the writer is, a database cannot say: it is asked of the global cluster."""
    return {
        "GLOBAL_CLUSTER": settings.names.shared("ledger"),
        "DATABASE_CLUSTER": here(partial(settings.names.regional, "ledger")),
    }


def cluster_arns(settings: Settings) -> tuple[Sub, ...]:
    """Of both regions."""
    names, regions = settings.names, settings.regions
    return (
        policies.arn("rds", f"cluster:{names.regional('ledger', 'primary')}", region=regions.primary),
        policies.arn("rds", f"cluster:{names.regional('ledger', 'secondary')}", region=regions.secondary),
    )


def use_table(settings: Settings, table: str, *actions: Action) -> Statement:
    verb = "Read" if set(actions) <= _READS else "Use"
    return policies.use_table(f"{verb}{table.capitalize()}", settings.names.shared(table), *actions)


_READS = {dynamodb.BatchGetItem, dynamodb.GetItem, dynamodb.Scan}


def query_open(settings: Settings) -> Statement:
    """The work list is an index, which has an ARN of its own."""
    index = policies.arn("dynamodb", f"table/{settings.names.shared('journal')}/index/{OPEN_INDEX}")
    return policies.allow("ReadWorkList", [dynamodb.Query], index)


def decrypt_tables(settings: Settings) -> Statement:
    """DynamoDB decrypts a table's own key in the name of whoever asks; it made that key with the table.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    """
    return policies.use_key_through("UseKeyForTables", KEY_ARN.read(settings.names), "dynamodb", kms.Decrypt)


def read_secrets(settings: Settings, *users: str) -> tuple[Statement, ...]:
    names = settings.names
    return (
        policies.read_secrets(*map(names.secret, users)),
        policies.use_key_through("UseKeyForSecrets", KEY_ARN.read(names), "secretsmanager", kms.Decrypt),
    )


def describe_clusters(settings: Settings) -> Statement:
    return policies.describe_global_cluster(settings.names.shared("ledger"))
