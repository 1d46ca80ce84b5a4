"""What a takeover sees and changes, from the region that is to be active; nothing is asked of the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from adapters.global_cluster import members, promote
from failover.clock import Clock
from failover.control import ControlRecord, Phase
from failover.errors import Refused, Unavailable
from failover.planner import Admit, Fence, Finish, Promote, Recover, Step, Unknown, WaitLease
from failover.writer import writer_of

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

    from adapters.control import DynamoControl


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalWorld:
    """`reason` goes into the control record. `recover` says whether the ledger has all of the journal."""

    record: DynamoControl
    clusters: RDSClient
    global_cluster: str
    recover: Callable[[int], bool]
    clock: Clock
    reason: str

    def control(self) -> ControlRecord | Unknown:
        try:
            return self.record.read()
        except Unavailable as unknown:
            return Unknown(str(unknown))

    def writer(self) -> str | Unknown:
        try:
            return writer_of(members(self.clusters, self.global_cluster)).region
        except Unavailable as unknown:
            return Unknown(str(unknown))

    def do(self, step: Step, target: str) -> bool:
        match step:
            case Fence(epoch):
                return self.record.fence(epoch, target, self.clock.now().time(), self.reason)
            case Admit(epoch):
                return self._advance(epoch, Phase.FENCING, Phase.RECOVERING)
            case Promote(_, mode):
                try:
                    return promote(self.clusters, self.global_cluster, target, mode)
                except Refused as refused:
                    raise Unavailable(str(refused)) from refused
            case Recover(epoch):
                return self.recover(epoch)
            case Finish(epoch):
                return self._advance(epoch, Phase.RECOVERING, Phase.STEADY)
            case WaitLease():
                return True  # time passes without the world's help
            case _:
                assert_never(step)

    def _advance(self, epoch: int, phase: Phase, following: Phase) -> bool:
        """On from the record as it is read now, if it still is that epoch's in that phase."""
        found = self.record.read()
        if (found.epoch, found.phase) != (epoch, phase):
            return False
        return self.record.advance(found, following, self.clock.now().time())
