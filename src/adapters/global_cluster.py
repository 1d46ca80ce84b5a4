"""The members of an Aurora global cluster, as RDS in this region describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from failover.errors import Unavailable
from failover.writer import Member

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient


_CONNECTED: Final = {"connected": True, "pending-resync": False}


class DescribedGlobalCluster:
    def __init__(self, client: RDSClient, name: str) -> None:
        self._client = client
        self._name = name

    def members(self) -> tuple[Member, ...]:
        return members(self._client, self._name)


def members(client: RDSClient, global_cluster: str) -> tuple[Member, ...]:
    """Raises Unavailable when there is no such global cluster, no answer, or one that makes no sense."""
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
        return tuple(map(_member, described["GlobalClusterMembers"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"{asked}: unreadable ({type(error).__name__})") from error


def _member(described: Any) -> Member:
    """From `arn:PARTITION:rds:REGION:ACCOUNT:cluster:NAME`; without a word on writing, it is unreadable."""
    _, _, _, region, _, _, cluster = described["DBClusterArn"].split(":")
    connected = _CONNECTED.get(described.get("SynchronizationStatus"))
    return Member(region, cluster, writer=bool(described["IsWriter"]), connected=connected)
