"""An Aurora global cluster, as RDS in this region describes and changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.database import Database
from failover.errors import Refused, Unavailable
from failover.planner import Mode
from failover.writer import Change, GlobalDatabase, Member

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

# AWS's words for a global cluster that is changing over, or that lacks a region.
_NOT_NOW: Final = frozenset({"InvalidGlobalClusterStateFault", "InvalidDBClusterStateFault"})


_CONNECTED: Final = {"connected": True, "pending-resync": False}


class DescribedGlobalCluster:
    def __init__(self, client: RDSClient, name: str) -> None:
        self._client = client
        self._name = name

    def members(self) -> tuple[Member, ...]:
        return members(self._client, self._name)


def members(client: RDSClient, global_cluster: str) -> tuple[Member, ...]:
    """Raises Unavailable when there is no such global cluster, no answer, or one that makes no sense."""
    described = _described(client, global_cluster)
    try:
        return tuple(map(_member, described["GlobalClusterMembers"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(global_cluster, error) from error


def global_database(client: RDSClient, global_cluster: str) -> GlobalDatabase:
    """Raises as `members`."""
    described = _described(client, global_cluster)
    try:
        return GlobalDatabase(
            state=str(described["Status"]),
            members=tuple(map(_member, described["GlobalClusterMembers"])),
            change=_change(described.get("FailoverState")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(global_cluster, error) from error


def promote(client: RDSClient, global_cluster: str, region: str, mode: Mode) -> bool:
    """Has the cluster in `region` become the writer; False while it is on its way. Ask that region's RDS.

    Graceful loses nothing and needs both regions. Ungraceful goes without the old writer, and without what it
    had not sent yet: the journal has that. Raises Refused when the global cluster is in no state for it.
    """
    described = _described(client, global_cluster)
    try:
        clusters = {_member(one).region: one for one in described["GlobalClusterMembers"]}
        target = clusters[region]["DBClusterArn"]
        if clusters[region]["IsWriter"]:
            return True
        under_way = (described.get("FailoverState") or {}).get("ToDbClusterArn") == target
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(global_cluster, error) from error
    if under_way:
        return False
    asked = f"global cluster {global_cluster}"
    try:
        with unknown_is_unavailable(asked):
            if mode is Mode.GRACEFUL:
                client.switchover_global_cluster(
                    GlobalClusterIdentifier=global_cluster, TargetDbClusterIdentifier=target
                )
            else:
                client.failover_global_cluster(
                    GlobalClusterIdentifier=global_cluster,
                    TargetDbClusterIdentifier=target,
                    AllowDataLoss=True,
                )
    except ClientError as error:
        if code(error) in _NOT_NOW:
            raise Refused(f"{asked}: {mode.value} promotion of {region}: {code(error)}") from error
        raise
    return False


def endpoint(client: RDSClient, member: Member, database: str, sslmode: str) -> Database | None:
    """Where a member listens, as RDS in its region says; None without an instance.

    Of a replica the reader endpoint, as its writer endpoint is inactive.
    """
    with unknown_is_unavailable(named(member)):
        answer = client.describe_db_clusters(DBClusterIdentifier=member.cluster)
    try:
        (cluster,) = answer["DBClusters"]
        if not cluster["DBClusterMembers"]:
            return None
        host = cluster["Endpoint" if member.writer else "ReaderEndpoint"]
        return Database(host, cluster["Port"], database, sslmode)
    except (KeyError, ValueError) as error:
        raise Unavailable(f"{named(member)}: unreadable ({type(error).__name__})") from error


def named(member: Member) -> str:
    return f"cluster {member.cluster} in {member.region}"


def _described(client: RDSClient, global_cluster: str) -> Any:
    asked = f"global cluster {global_cluster}"
    try:
        with unknown_is_unavailable(asked):
            answer = client.describe_global_clusters(GlobalClusterIdentifier=global_cluster)
    except ClientError as error:
        if code(error) == "GlobalClusterNotFoundFault":
            raise Unavailable(f"{asked}: not there (yet)") from error
        raise
    try:
        (described,) = answer["GlobalClusters"]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(global_cluster, error) from error
    return described


def _unreadable(global_cluster: str, error: Exception) -> Unavailable:
    return Unavailable(f"global cluster {global_cluster}: unreadable ({type(error).__name__})")


def _change(described: Any) -> Change | None:
    """Where nothing changes over, there is none, or an empty one."""
    if not described:
        return None
    _, _, _, region, *_ = described["ToDbClusterArn"].split(":")
    return Change(str(described["Status"]), region, loses_data=bool(described.get("IsDataLossAllowed")))


def _member(described: Any) -> Member:
    """From `arn:PARTITION:rds:REGION:ACCOUNT:cluster:NAME`; without a word on writing, it is unreadable."""
    _, _, _, region, _, _, cluster = described["DBClusterArn"].split(":")
    connected = _CONNECTED.get(described.get("SynchronizationStatus"))
    return Member(region, cluster, writer=bool(described["IsWriter"]), connected=connected)
