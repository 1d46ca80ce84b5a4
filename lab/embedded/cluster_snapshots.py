"""Snapshots of clusters with the data in them: what a failover left behind, copies of that, and the way back.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html:
before the old writer of a failover is built anew, Aurora tries to keep what its volume had.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import rds

from lab.control import ControlError
from lab.embedded.handlers import Response

Parameters = dict[str, Any]
Record = dict[str, Any]
BACKUP = "_backup"  # of a snapshot's record: the base backup that is its data
_RESCUES = 3  # of a cluster; on AWS all of the retention period
_PREFIX = "rds:unplanned-global-failover-"
_FROM_THE_SNAPSHOT = ("Engine", "EngineVersion", "KmsKeyId", "DatabaseName")


class SnapshotControl(Protocol):
    """The supervisor's side, `lab.control.Control`."""

    def copy_backup(self, name: str, copy: str) -> None: ...
    def delete_backup(self, name: str) -> None: ...


def rescue(cluster: Record, backup: str) -> list[str]:
    """Makes it a snapshot of the cluster's region; the backups of those that are too old to stay."""
    older = _automated(cluster)
    stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
    snapshot: Record = rds._create_cluster_snapshot_internal(
        f"{_PREFIX}{cluster['DBClusterIdentifier']}-{stamp}", cluster
    )
    snapshot.update(
        {
            "SnapshotType": "automated",
            "TagList": [],
            BACKUP: backup,
            "DatabaseName": cluster.get("DatabaseName") or "",
            "_MasterUserPassword": cluster["_MasterUserPassword"],
        }
    )
    return [_forgotten(one) for one in older[: len(older) + 1 - _RESCUES]]


def of_cluster(snapshot: Record, parameters: Parameters) -> Parameters:
    """What a cluster is created with that is restored; what is not asked for is as it was."""
    as_it_was = {name: snapshot[name] for name in _FROM_THE_SNAPSHOT if not rds._p(parameters, name)}
    return {
        **parameters,
        **as_it_was,
        "MasterUsername": snapshot["MasterUsername"],
        "MasterUserPassword": snapshot["_MasterUserPassword"],
        "StorageEncrypted": str(snapshot["StorageEncrypted"]).lower(),
    }


class Snapshots:
    def __init__(self, databases: SnapshotControl) -> None:
        self._databases = databases

    def actions(self) -> dict[str, Callable[[Parameters], Response]]:
        return {
            "CopyDBClusterSnapshot": self.copy,
            "DeleteDBClusterSnapshot": self.delete,
        }

    def copy(self, parameters: Parameters) -> Response:
        """In the region; a copy is one that somebody asked for, and stays until it is deleted."""
        target = rds._p(parameters, "TargetDBClusterSnapshotIdentifier")
        source, refusal = _found(rds._p(parameters, "SourceDBClusterSnapshotIdentifier"))
        if refusal:
            return refusal
        if not target or ":" in target:
            return _refused("InvalidParameterValue", f"{rds._esc(target)} is not a name for a snapshot.")
        if target in rds._db_cluster_snapshots:
            return _refused(
                "DBClusterSnapshotAlreadyExistsFault", f"DB cluster snapshot {target} already exists."
            )
        backup = new_uuid()
        try:
            self._databases.copy_backup(source[BACKUP], backup)
        except ControlError as error:
            return _failed(error)
        copied = {
            **source,
            "DBClusterSnapshotIdentifier": target,
            "DBClusterSnapshotArn": _arn(target),
            "SnapshotType": "manual",
            "KmsKeyId": rds._p(parameters, "KmsKeyId") or source["KmsKeyId"],
            BACKUP: backup,
        }
        rds._db_cluster_snapshots[target] = copied
        return _answer("CopyDBClusterSnapshot", copied)

    def delete(self, parameters: Parameters) -> Response:
        name = rds._p(parameters, "DBClusterSnapshotIdentifier")
        snapshot: Record = rds._db_cluster_snapshots.get(name) or {}
        if snapshot.get("SnapshotType") == "automated":
            return _refused("InvalidDBClusterSnapshotStateFault", "Only manual snapshots may be deleted.")
        response: Response = rds._delete_db_cluster_snapshot(parameters)
        return self._deleted([snapshot[BACKUP]] if BACKUP in snapshot else []) or response

    def follow(self, cluster: Record) -> None:
        """Automated snapshots of a cluster go with it. Raises ControlError."""
        for name in [_forgotten(one) for one in _automated(cluster)]:
            self._databases.delete_backup(name)

    def restorable(self, parameters: Parameters) -> tuple[Record, Response | None]:
        return _found(rds._p(parameters, "SnapshotIdentifier"))

    def _deleted(self, backups: list[str]) -> Response | None:
        try:
            for name in backups:
                self._databases.delete_backup(name)
        except ControlError as error:
            return _failed(error)
        return None


def _found(asked: str) -> tuple[Record, Response | None]:
    """By its name or its ARN, which begins with the request's region."""
    name = asked.removeprefix(_arn(""))
    snapshot: Record | None = rds._db_cluster_snapshots.get(name)
    if snapshot is None:
        return {}, _refused(
            "DBClusterSnapshotNotFoundFault", f"DB cluster snapshot {rds._esc(asked)} not found.", 404
        )
    if BACKUP not in snapshot:
        return {}, _refused(
            "InvalidDBClusterSnapshotStateFault", f"The lab keeps no data of snapshot {name}."
        )
    return snapshot, None


def _automated(cluster: Record) -> list[Record]:
    """Of the request's region, the oldest first."""
    of_it = [
        one
        for one in rds._db_cluster_snapshots.values()
        if one["DBClusterIdentifier"] == cluster["DBClusterIdentifier"] and one["SnapshotType"] == "automated"
    ]
    return sorted(of_it, key=lambda one: str(one["DBClusterSnapshotIdentifier"]))


def _forgotten(snapshot: Record) -> str:
    rds._db_cluster_snapshots.pop(snapshot["DBClusterSnapshotIdentifier"], None)
    return str(snapshot[BACKUP])


def _arn(name: str) -> str:
    return f"arn:aws:rds:{get_region()}:{get_account_id()}:cluster-snapshot:{name}"


def _answer(action: str, snapshot: Record) -> Response:
    shown = f"<DBClusterSnapshot>{rds._cluster_snapshot_xml(snapshot)}</DBClusterSnapshot>"
    response: Response = rds._xml(200, f"{action}Response", f"<{action}Result>{shown}</{action}Result>")
    return response


def _refused(code: str, message: str, status: int = 400) -> Response:
    response: Response = rds._error(code, message, status)
    return response


def _failed(error: ControlError) -> Response:
    response: Response = rds._error("InternalFailure", rds._esc(str(error)), 500)
    return response
