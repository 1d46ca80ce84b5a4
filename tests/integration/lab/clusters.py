"""A ledger in two regions, as tests reach it."""

from datetime import UTC, datetime
from typing import Any

import psycopg

from lab.plan import LabPlan
from tests.integration.lab.stacks import Region

_EVER = datetime(2020, 1, 1, tzinfo=UTC)
PRIMARY, SECONDARY = "us-east-1", "us-east-2"
MASTER: dict[str, Any] = {
    "MasterUsername": "ledger_master",
    "MasterUserPassword": "made-up password",
    "DatabaseName": "ledger",
}


def connect(lab: LabPlan, region: str, **options: object) -> psycopg.Connection[Any]:
    """To the writer endpoint, unless told another host."""
    where = lab.regions[region]
    settings: dict[str, Any] = {
        "host": where.address,
        "port": where.postgres_port,
        "user": "ledger_master",
        "password": "made-up password",
        "dbname": "ledger",
        "sslmode": "verify-full",
        "sslrootcert": str(lab.ca_file),
        "autocommit": True,
    }
    return psycopg.connect(**{**settings, **options})


def readers(lab: LabPlan, region: str) -> psycopg.Connection[Any]:
    return connect(lab, region, host=lab.regions[region].reader_address)


def is_replica(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row is not None
    return bool(row[0])


def measured(where: Region, name: str, identifier: str, since: datetime = _EVER) -> list[float]:
    found = where.cloudwatch.get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName=name,
        Dimensions=[{"Name": "DBClusterIdentifier", "Value": identifier}],
        StartTime=since,
        EndTime="2100-01-01T00:00:00Z",
        Period=86400,
        Statistics=["Maximum"],
    )
    return [one["Maximum"] for one in found["Datapoints"]]
