"""Whether this region is the standby: only its copy of the ledger proves that a payment survives a region.

That a database is "in recovery" proves little: readers of the writer's own cluster are, too, and so are the
readers of an old writer that was left behind by a failover, with rows that nobody else has. So three things
have to agree: the control record (another region is active, and steady), the global cluster (the writer is
not mine, and mine replicates), both before and after the copy was read and under the same epoch; and the copy
itself, which is in recovery and holds the fence that the epoch's takeover raised: so it descends from the
ledger of that epoch.
"""

from dataclasses import dataclass

from failover.control import FIRST_EPOCH, Phase
from failover.writer import is_writer, my_member
from payments.errors import NotStandby, Unavailable
from payments.ports import Control, GlobalCluster


@dataclass(frozen=True, slots=True)
class Standby:
    control: Control
    clusters: GlobalCluster
    region: str
    cluster: str

    def hold(self) -> int:
        """The epoch under which this region is the standby now.

        Raises NotStandby when it is not, Unavailable when that cannot be found out.
        """
        record = self.control.read()
        if record.active == self.region or record.phase is not Phase.STEADY:
            raise NotStandby
        members = self.clusters.members()
        mine = my_member(members, self.region, self.cluster)
        if mine.connected is None:
            raise Unavailable("global cluster: does not say whether this region's cluster is connected")
        if is_writer(members, self.region, self.cluster) or not mine.connected:
            raise NotStandby
        return record.epoch

    def still(self, epoch: int) -> None:
        """Raises NotStandby unless this region was the standby all the time since `epoch` was held.

        A record never returns to an epoch it left, and `steady` is the last phase of each.
        """
        if self.hold() != epoch:
            raise NotStandby


def is_copy(*, in_recovery: bool, fence: int, epoch: int) -> bool:
    """Whether what a database says of itself is said by a copy of the ledger of `epoch`.

    Every takeover raises the fence before it is steady; the first epoch took nothing over.
    """
    return in_recovery and (fence >= epoch or epoch == FIRST_EPOCH)
