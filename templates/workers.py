"""The functions that nobody waits for: what runs by the clock, and the rotation of credentials."""

from functools import partial

from awacs import dynamodb, kms, rds, s3, secretsmanager

from templates import plans, policies
from templates.config import Settings
from templates.encryption import KEY_ARN
from templates.functions import FunctionPlan
from templates.places import here
from templates.plans import function_plan, use_table
from templates.schedules import Timer
from templates.transactions import TRANSACTIONS_BUCKET_NAME

# What Secrets Manager rotates; the master's credentials are CloudFormation's too, and nothing uses them.
ROTATED = ("application", "migrator")
_SWEEP_MINUTES = 1  # it works almost until it is started again, so it is told


def timers(settings: Settings) -> tuple[Timer, ...]:
    """In both regions, whichever is active: one that finds it is not its region's turn ends at once."""
    return (
        Timer(_sweep(settings), minutes=_SWEEP_MINUTES),
        Timer(_settle(settings), minutes=1),
        Timer(_ship(settings), minutes=5),
        Timer(_audit(settings), minutes=15),
    )


def _sweep(settings: Settings) -> FunctionPlan:
    return function_plan(
        settings,
        "Sweep",
        "Posts what the journal holds and the ledger lacks, where the region is active",
        environment={
            **plans.tables(settings, "journal", "control", "progress"),
            **plans.writer(settings),
            **plans.application(settings),
            "SWEEP_INTERVAL_SECONDS": str(60 * _SWEEP_MINUTES),
        },
        statements=(
            plans.query_open(settings),
            use_table(settings, "journal", dynamodb.BatchGetItem),
            use_table(settings, "control", dynamodb.GetItem),
            use_table(settings, "progress", dynamodb.GetItem, dynamodb.PutItem),
            plans.decrypt_tables(settings),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=120,  # it loops for 50 s, and finishes what it began
    )


def _settle(settings: Settings) -> FunctionPlan:
    return function_plan(
        settings,
        "Settle",
        "Closes the journal's entries that this region's replica holds, where the region is the standby",
        environment={
            **plans.tables(settings, "journal", "control"),
            **plans.reader(settings),
            **plans.application(settings),
            **plans.clusters(settings),
        },
        statements=(
            plans.query_open(settings),
            use_table(settings, "journal", dynamodb.UpdateItem),
            use_table(settings, "control", dynamodb.GetItem),
            plans.decrypt_tables(settings),
            plans.describe_clusters(settings),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=120,  # it works for 50 s at most, and finishes what it began
        memory_mb=1024,
    )


def _ship(settings: Settings) -> FunctionPlan:
    names = settings.names
    return function_plan(
        settings,
        "Ship",
        "Writes the transaction log of what this region's replica holds, where the region is the standby",
        environment={
            **plans.tables(settings, "control", "progress"),
            "TRANSACTIONS_BUCKET": TRANSACTIONS_BUCKET_NAME.read(names),
            **plans.reader(settings),
            **plans.application(settings),
            **plans.clusters(settings),
        },
        statements=(
            use_table(settings, "control", dynamodb.GetItem),
            use_table(settings, "progress", dynamodb.GetItem, dynamodb.PutItem),
            plans.decrypt_tables(settings),
            policies.allow(
                "WriteLog",
                [s3.GetObject, s3.PutObject],
                policies.bucket_arn(here(partial(names.bucket, "transactions")), "/*"),
            ),
            policies.use_key_through(
                "UseKeyForLog", KEY_ARN.read(names), "s3", kms.Decrypt, kms.GenerateDataKey
            ),
            plans.describe_clusters(settings),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=240,
        memory_mb=1024,
    )


def _audit(settings: Settings) -> FunctionPlan:
    return function_plan(
        settings,
        "Audit",
        "Compares journal and ledger once a day, and strips what is older than the retention time",
        environment={
            **plans.tables(settings, "journal", "control", "progress"),
            **plans.writer(settings),
            **plans.application(settings),
            "RETENTION_DAYS": str(settings.journal.retention_days),
        },
        statements=(
            use_table(
                settings,
                "journal",
                dynamodb.BatchGetItem,
                dynamodb.Scan,
                dynamodb.UpdateItem,
            ),
            use_table(settings, "control", dynamodb.GetItem),
            use_table(settings, "progress", dynamodb.GetItem, dynamodb.PutItem),
            plans.decrypt_tables(settings),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=840,  # the next one starts after 15 minutes
        works_seconds=830,  # it works for 800 s, and finishes its page
        memory_mb=1024,
    )


def rotate(settings: Settings) -> FunctionPlan:
    """In both regions: where a replica has been made a secret of its own, it can be rotated there."""
    names = settings.names
    return function_plan(
        settings,
        "Rotate",
        "Gives the database's users new passwords, at the writer in either region",
        environment={
            "GLOBAL_CLUSTER": names.shared("ledger"),
            "DATABASE_NAME": settings.database.name,
            **{f"{user.upper()}_SECRET": names.secret(user) for user in ("master", *ROTATED)},
        },
        statements=(
            policies.read_secrets(*map(names.secret, ("master", *ROTATED))),
            policies.allow(
                "RotateSecrets",
                [
                    secretsmanager.DescribeSecret,
                    secretsmanager.PutSecretValue,
                    secretsmanager.UpdateSecretVersionStage,
                ],
                *(policies.secret_arn(names.secret(user)) for user in ROTATED),
            ),
            policies.use_key_through(
                "UseKeyForSecrets", KEY_ARN.read(names), "secretsmanager", kms.Decrypt, kms.GenerateDataKey
            ),
            plans.describe_clusters(settings),
            # The global cluster tells which of them is the writer, but not where it listens.
            policies.allow("FindWriter", [rds.DescribeDBClusters], *plans.cluster_arns(settings)),
        ),
        timeout_seconds=60,
    )
