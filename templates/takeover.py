"""The functions that make a region the active one: two steps of a plan, and what finishes it."""

from collections.abc import Mapping

from awacs import dynamodb, rds
from awacs.aws import Statement

from templates import plans, policies
from templates.config import Settings
from templates.functions import FunctionPlan
from templates.plans import function_plan, use_table
from templates.policies import Value
from templates.schedules import Timer

# As long as recovering works before it reports how far it came, and a little more.
_WORKS_SECONDS = 620
_TIMEOUT_SECONDS = 660
# A whole processor and a bit, as Lambda shares them out: millions of entries may have to be looked at.
_MEMORY_MB = 2048


def steps(settings: Settings) -> tuple[FunctionPlan, FunctionPlan]:
    """What Region switch invokes before and after it promotes the database; the clock rehearses it."""
    return _fence(settings), _recover(settings)


def finisher(settings: Settings) -> Timer:
    """In both regions: the one that is active looks whether its takeover was broken off."""
    return Timer(_finish(settings), minutes=1)


def _fence(settings: Settings) -> FunctionPlan:
    """Asks nobody but the control record: nothing that is broken can keep payments from being accepted."""
    return function_plan(
        settings,
        "Fence",
        "Opens the next epoch for this region and, one lease later, has it accept payments",
        handler="handlers.takeover.fence",
        environment=_environment(settings),
        statements=(
            use_table(settings, "control", dynamodb.GetItem, dynamodb.PutItem),
            plans.decrypt_tables(settings),
        ),
        timeout_seconds=60,
    )


def _recover(settings: Settings) -> FunctionPlan:
    return function_plan(
        settings,
        "Recover",
        "Posts what the journal holds and the promoted ledger lacks, and ends the takeover",
        handler="handlers.takeover.recover",
        environment={**_environment(settings), **plans.reader(settings)},
        statements=(
            *_recovering(settings),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=_TIMEOUT_SECONDS,
        works_seconds=_WORKS_SECONDS,
        memory_mb=_MEMORY_MB,
    )


def _finish(settings: Settings) -> FunctionPlan:
    """The only function that may promote: what ARC began and did not end, nobody else would."""
    ledger = policies.arn("rds", f"global-cluster:{settings.names.shared('ledger')}", region="")
    return function_plan(
        settings,
        "Finish",
        "Does what is left of a takeover that was broken off, where the region is active",
        handler="handlers.takeover.finish",
        environment=_environment(settings),
        statements=(
            *_recovering(settings),
            policies.allow(
                "Promote",
                [rds.FailoverGlobalCluster, rds.SwitchoverGlobalCluster],
                ledger,
                *plans.cluster_arns(settings),
            ),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=_TIMEOUT_SECONDS,
        works_seconds=_WORKS_SECONDS,
        memory_mb=_MEMORY_MB,
    )


def _recovering(settings: Settings) -> tuple[Statement, ...]:
    """What it takes to post the rest of the journal and to end a takeover, but for the ledger's password."""
    return (
        use_table(settings, "control", dynamodb.GetItem, dynamodb.PutItem),
        plans.query_open(settings),
        use_table(settings, "journal", dynamodb.BatchGetItem),
        plans.decrypt_tables(settings),
        plans.describe_clusters(settings),
    )


def _environment(settings: Settings) -> Mapping[str, Value]:
    """Without a person's decision nothing goes on without the old writer, unless failover is automatic."""
    return {
        **plans.tables(settings, "journal", "control"),
        **plans.writer(settings),
        **plans.application(settings),
        "GLOBAL_CLUSTER": settings.names.shared("ledger"),
        "WITHOUT_LOSS_ONLY": "false" if settings.failover.automatic else "true",
    }
