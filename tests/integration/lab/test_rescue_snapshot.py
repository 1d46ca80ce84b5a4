"""What a failover left behind is in a snapshot, and that can be restored beside everything else."""

from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from lab.control import Control
from lab.plan import LabPlan
from tests.integration.lab.clusters import PRIMARY, SECONDARY, connect
from tests.integration.lab.conftest import eventually
from tests.integration.lab.global_ledger import LONG, Global, held, post, posted, writes

pytestmark = pytest.mark.lab


def snapshots(ledger: Global, region: str = PRIMARY) -> list[dict[str, Any]]:
    """Of this ledger's clusters: other tests of the same lab leave some, too."""
    described = ledger.regions[region].rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    return [dict(one) for one in described if one["DBClusterIdentifier"].startswith("ledger-")]


def leave_behind(lab: LabPlan, ledger: Global, control: Control) -> None:
    """1 is in both regions, 2 and 3 in the writer that a failover leaves behind, 4 in the new one."""
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    control.delay_replication(SECONDARY, 20)
    post(lab, PRIMARY, 2, 3)
    assert control.kill_region(PRIMARY)
    ledger.fail_over(SECONDARY)
    eventually(lambda: writes(lab, SECONDARY), LONG)
    post(lab, SECONDARY, 4)
    control.delay_replication(SECONDARY, 0)
    assert control.restore_region(PRIMARY)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1, 4})


def test_what_a_failover_threw_away_is_restored_beside_the_ledger(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    leave_behind(lab, ledger, control)
    (kept,) = snapshots(ledger)
    assert kept["DBClusterSnapshotIdentifier"].startswith("rds:unplanned-global-failover-ledger-primary-")
    assert (kept["SnapshotType"], kept["Status"], kept["TagList"]) == ("automated", "available", [])
    assert snapshots(ledger, SECONDARY) == []

    rds = ledger.regions[PRIMARY].rds
    with pytest.raises(ClientError, match="Only manual snapshots may be deleted"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=kept["DBClusterSnapshotIdentifier"])
    copy = rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=kept["DBClusterSnapshotArn"],
        TargetDBClusterSnapshotIdentifier="rescued",
    )["DBClusterSnapshot"]
    assert copy["SnapshotType"] == "manual"
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="rescued", SnapshotIdentifier="rescued", Engine="aurora-postgresql"
    )
    (made,) = rds.describe_db_clusters(DBClusterIdentifier="rescued")["DBClusters"]
    assert made["MasterUsername"] == "ledger_master"
    assert "GlobalClusterIdentifier" not in made
    where = {"host": made["Endpoint"], "port": made["Port"]}
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, PRIMARY, **where)  # storage without an instance
    rds.create_db_instance(
        DBInstanceIdentifier="rescued-1",
        DBClusterIdentifier="rescued",
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
    )
    with connect(lab, PRIMARY, **where) as rescued:
        assert posted(rescued) == {1, 2, 3}
        rescued.execute("INSERT INTO posted VALUES (5)")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connect(lab, PRIMARY, **where, sslmode="disable")
    assert held(lab, PRIMARY) == held(lab, SECONDARY) == {1, 4}
    with pytest.raises(ClientError, match="one restored cluster"):
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="another", SnapshotIdentifier="rescued", Engine="aurora-postgresql"
        )

    assert control.kill_region(PRIMARY)
    with pytest.raises(psycopg.OperationalError):
        connect(lab, PRIMARY, **where)
    assert control.restore_region(PRIMARY)
    with connect(lab, PRIMARY, **where) as rescued:
        assert posted(rescued) == {1, 2, 3, 5}

    rds.delete_db_instance(DBInstanceIdentifier="rescued-1", SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier="rescued", SkipFinalSnapshot=True)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, PRIMARY, **where)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="rescued")
    assert [one["SnapshotType"] for one in snapshots(ledger)] == ["automated"]
    assert held(lab, PRIMARY) == {1, 4}


def test_a_switchover_leaves_no_snapshot_and_none_is_restored_that_is_not_there(
    lab: LabPlan, ledger: Global
) -> None:
    post(lab, PRIMARY, 1)
    ledger.switch_over(SECONDARY)
    eventually(ledger.is_settled, LONG)
    assert snapshots(ledger) == snapshots(ledger, SECONDARY) == []
    with pytest.raises(ClientError, match="DBClusterSnapshotNotFoundFault"):
        ledger.regions[PRIMARY].rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rescued", SnapshotIdentifier="nothing", Engine="aurora-postgresql"
        )
