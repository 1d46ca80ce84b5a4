"""A ledger that is a global cluster of both regions, as an operator and a client see it."""

from contextlib import suppress
from typing import Any

import boto3.session
import psycopg

from lab.plan import LabPlan
from tests.integration.lab.clusters import PRIMARY, SECONDARY, connect, is_replica, readers
from tests.integration.lab.stacks import Region

OTHER = {PRIMARY: SECONDARY, SECONDARY: PRIMARY}
GLOBAL, LONG = "ledger", 60.0  # seconds; one core may be all there is


class Global:
    """A global cluster as an operator in either region sees it."""

    def __init__(self, lab: LabPlan, session: boto3.session.Session) -> None:
        self.lab = lab
        self.regions = {name: Region(lab, session, name) for name in OTHER}

    def described(self) -> dict[str, Any]:
        answer = self.regions[SECONDARY].rds.describe_global_clusters(GlobalClusterIdentifier=GLOBAL)
        return dict(answer["GlobalClusters"][0])

    def members(self) -> dict[str, dict[str, Any]]:
        return {one["DBClusterArn"].split(":")[3]: one for one in self.described()["GlobalClusterMembers"]}

    def writer(self) -> str:
        return next(region for region, member in self.members().items() if member["IsWriter"])

    def status(self, region: str) -> str:
        return str(self.regions[region].rds.describe_db_clusters()["DBClusters"][0]["Status"])

    def is_settled(self) -> bool:
        described = self.described()
        connected = all(
            one["SynchronizationStatus"] == "connected" for one in described["GlobalClusterMembers"]
        )
        return described["Status"] == "available" and connected

    def switch_over(self, region: str) -> dict[str, Any]:
        answer = self.regions[region].rds.switchover_global_cluster(
            GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=self.members()[region]["DBClusterArn"]
        )
        return dict(answer["GlobalCluster"])

    def fail_over(self, region: str) -> dict[str, Any]:
        answer = self.regions[region].rds.failover_global_cluster(
            GlobalClusterIdentifier=GLOBAL,
            TargetDbClusterIdentifier=self.members()[region]["DBClusterArn"],
            AllowDataLoss=True,
        )
        return dict(answer["GlobalCluster"])

    def events(self, region: str) -> list[str]:
        answer = self.regions[region].rds.describe_events(SourceType="db-cluster", Duration=60)
        return [event["Message"] for event in answer["Events"]]


def post(lab: LabPlan, region: str, *ids: int) -> None:
    with connect(lab, region) as writer:
        for one in ids:
            writer.execute("INSERT INTO posted VALUES (%s)", (one,))


def posted(connection: psycopg.Connection[Any]) -> set[int]:
    return {row[0] for row in connection.execute("SELECT id FROM posted")}


def held(lab: LabPlan, region: str) -> set[int]:
    """By the database of a region in whatever role; nothing while it does not answer."""
    with suppress(psycopg.Error), readers(lab, region) as connection:
        return posted(connection)
    return set()


def writes(lab: LabPlan, region: str) -> bool:
    with suppress(psycopg.Error), connect(lab, region) as connection:
        return not is_replica(connection)
    return False
