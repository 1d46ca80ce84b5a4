"""The ledger's clusters for an upgrade: each asked of, and changed in, its own region."""

from typing import Any

from adapters.aws import unknown_is_unavailable
from adapters.global_cluster import global_database
from failover.writer import Member
from ops.stacks import PATIENT, find_instance
from ops.surroundings import Surroundings
from ops.upgrade import Cluster, Seen, Upgrade
from templates.config import Settings

_ENGINE = "aurora-postgresql"


class AwsWorld:
    def __init__(self, settings: Settings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around

    def _client(self, service: str, region: str) -> Any:
        return self._around.client(service, region, PATIENT)

    def seen(self) -> Seen:
        """Raises Unavailable where a region does not answer: an upgrade needs both."""
        name = self._settings.names.shared("ledger")
        database = global_database(self._client("rds", self._settings.regions.primary), name)
        changing = database.change.target if database.change is not None else None
        return Seen(database.state, changing, tuple(map(self._cluster, database.members)))

    def _cluster(self, member: Member) -> Cluster:
        rds = self._client("rds", member.region)
        with unknown_is_unavailable(f"ledger in {member.region}"):
            (described,) = rds.describe_db_clusters(DBClusterIdentifier=member.cluster)["DBClusters"]
            mine = [{"Name": "db-cluster-id", "Values": [member.cluster]}]
            instances = rds.describe_db_instances(Filters=mine)["DBInstances"]
            version = described["EngineVersion"]
            offered = rds.describe_db_engine_versions(Engine=_ENGINE, EngineVersion=version)
        targets = {
            target["EngineVersion"]
            for one in offered["DBEngineVersions"]
            for target in one.get("ValidUpgradeTarget", ())
            if not target.get("IsMajorVersionUpgrade")
        }
        return Cluster(
            region=member.region,
            name=member.cluster,
            writer=member.writer,
            attached=member.connected,
            version=version,
            status=described["Status"],
            instances=tuple(instance["DBInstanceStatus"] for instance in instances),
            targets=frozenset(targets),
            declared=self._declared(member.region),
        )

    def _declared(self, region: str) -> str | None:
        client = self._client("cloudformation", region)
        stack = find_instance(client, self._settings.names.shared("data"))
        if stack is None:
            return None
        version = stack.template(client)["Resources"]["Cluster"]["Properties"].get("EngineVersion")
        return str(version) if version is not None else None

    def begin(self, step: Upgrade) -> None:
        with unknown_is_unavailable(f"ledger in {step.region}"):
            self._client("rds", step.region).modify_db_cluster(
                DBClusterIdentifier=step.cluster, EngineVersion=step.version, ApplyImmediately=True
            )
