"""Which member of the global database takes writes: the global cluster knows, a database only thinks so."""

from collections.abc import Collection
from dataclasses import dataclass

from failover.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Member:
    """A regional cluster of the global one; only region and name together say which.

    `connected`: it takes part in replication. After a failover the old writer does not, until it was made
    anew from the new one; None where that is not told.
    """

    region: str
    cluster: str
    writer: bool
    connected: bool | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the writer that RDS is at work on, or has only been asked for."""

    state: str
    target: str
    loses_data: bool


@dataclass(frozen=True, slots=True)
class GlobalDatabase:
    """The whole of it as one region's RDS describes it; `state` and `Change.state` are RDS's words."""

    state: str
    members: tuple[Member, ...]
    change: Change | None


def is_writer(members: Collection[Member], region: str, cluster: str) -> bool:
    """Whether the cluster of that name in `region` is the writer.

    Raises Unavailable when the members do not tell: the cluster is not among them, or not exactly one of them
    is the writer. To take that for no could leave every region waiting for another.
    """
    return my_member(members, region, cluster) == writer_of(members)


def writer_of(members: Collection[Member]) -> Member:
    """Raises Unavailable when not exactly one of them is the writer."""
    writers = [member for member in members if member.writer]
    if len(writers) != 1:
        raise Unavailable(f"global cluster: {len(writers)} of {len(members)} members are the writer")
    return writers[0]


def my_member(members: Collection[Member], region: str, cluster: str) -> Member:
    """Raises Unavailable when it is not among them."""
    mine = [member for member in members if (member.region, member.cluster) == (region, cluster)]
    if len(mine) != 1:
        raise Unavailable(f"global cluster: {cluster} in {region} is not a member (yet)")
    return mine[0]
