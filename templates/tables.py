"""The tables both regions share: sessions, journal, control record, directory, bookmarks."""

from msgspec import Struct
from troposphere import Template, dynamodb

from templates.config import Settings
from templates.lifetime import keep

OPEN_INDEX = "open"


class TablePlan(Struct, frozen=True):
    """A table, consistent either strongly, with a vote in the witness region, or eventually.

    Which of the two is fixed when a table is created; strongly consistent ones know no time to live.
    """

    name: str
    key: str
    strong: bool
    expires_by: str | None = None
    work_list: bool = False


TABLES = (
    TablePlan("sessions", key="token_hash", strong=False, expires_by="expires_at"),
    TablePlan("journal", key="payment_id", strong=True, work_list=True),
    TablePlan("control", key="id", strong=True),
    TablePlan("directory", key="id", strong=True),
    # Bookmarks, apart from the control record: whoever keeps them must not be able to write that.
    TablePlan("progress", key="id", strong=True),
)


def add_tables(template: Template, settings: Settings) -> dict[str, dynamodb.GlobalTable]:
    """By name. Each replica is encrypted with its own region's key, by the alias both regions can compute."""
    return {
        plan.name: template.add_resource(keep(_table(settings, plan), disposable=settings.test_environment))
        for plan in TABLES
    }


def _table(settings: Settings, plan: TablePlan) -> dynamodb.GlobalTable:
    attributes = {plan.key: "S"} | ({"open": "S", "accepted_at": "S"} if plan.work_list else {})
    table = dynamodb.GlobalTable(
        f"{plan.name.capitalize()}Table",
        TableName=settings.names.shared(plan.name),
        AttributeDefinitions=[
            dynamodb.AttributeDefinition(AttributeName=name, AttributeType=kind)
            for name, kind in attributes.items()
        ],
        KeySchema=[dynamodb.KeySchema(AttributeName=plan.key, KeyType="HASH")],
        BillingMode="PAY_PER_REQUEST",
        MultiRegionConsistency="STRONG" if plan.strong else "EVENTUAL",
        SSESpecification=dynamodb.GlobalTableSSESpecification(SSEEnabled=True, SSEType="KMS"),
        Replicas=[
            _replica(settings, settings.regions.primary, settings.names.alias("data", "primary")),
            _replica(settings, settings.regions.secondary, settings.names.alias("data", "secondary")),
        ],
    )
    if plan.strong:
        table.GlobalTableWitnesses = [dynamodb.GlobalTableWitness(Region=settings.regions.witness)]
    else:
        # What eventually consistent replication is made of; the strongly consistent one does without.
        table.StreamSpecification = dynamodb.StreamSpecification(StreamViewType="NEW_AND_OLD_IMAGES")
    if plan.expires_by is not None:
        table.TimeToLiveSpecification = dynamodb.TimeToLiveSpecification(
            AttributeName=plan.expires_by, Enabled=True
        )
    if plan.work_list:
        table.GlobalSecondaryIndexes = [_open_index()]
    return table


def _open_index() -> dynamodb.GlobalTableGlobalSecondaryIndex:
    """Sparse: settled entries lose `open`, which holds a shard so that no partition gets hot. Keys only: an
    index lags behind, so whoever works the list off reads the entry itself.
    """
    return dynamodb.GlobalTableGlobalSecondaryIndex(
        IndexName=OPEN_INDEX,
        KeySchema=[
            dynamodb.KeySchema(AttributeName="open", KeyType="HASH"),
            dynamodb.KeySchema(AttributeName="accepted_at", KeyType="RANGE"),
        ],
        Projection=dynamodb.Projection(ProjectionType="KEYS_ONLY"),
    )


def _replica(settings: Settings, region: str, key_alias: str) -> dynamodb.ReplicaSpecification:
    return dynamodb.ReplicaSpecification(
        Region=region,
        DeletionProtectionEnabled=not settings.test_environment,
        PointInTimeRecoverySpecification=dynamodb.PointInTimeRecoverySpecification(
            PointInTimeRecoveryEnabled=True
        ),
        SSESpecification=dynamodb.ReplicaSSESpecification(KMSMasterKeyId=key_alias),
    )
