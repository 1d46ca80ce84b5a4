"""Settling: taking payments off the work list once losing a region cannot lose them any more.

That is when the standby's own copy of the ledger has the row, not when it was posted: a posted row may be
lost with the writer, and the open entry is what it is posted again from. What was once in both regions is in
whatever ledger survives, so it does not matter how late an entry is then settled, or how often.
"""

from dataclasses import dataclass, field
from typing import Final

from failover.clock import Clock, Instant
from payments.journal import shards
from payments.listing import batches, listed
from payments.mistakes import Each, Mistakes, attempt
from payments.ports import Replica, WorkList
from payments.standby import Standby
from payments.stopping import why_stopped

BATCH: Final = 500  # for each of them RDS is asked who the writer is, and it does not like to be asked often


@dataclass(slots=True)
class Settled:
    settled: int = 0
    stopped: str = ""
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settler:
    """`each` as `payments.mistakes.attempt` takes it."""

    standby: Standby
    work: WorkList
    replica: Replica
    clock: Clock
    each: Each = map

    def run(self, until: Instant) -> Settled:
        """Once through the work list, or as far as it gets until then: what is settled is off the list.

        Each run begins at another shard, in case none ever gets through.
        """
        done = Settled()
        try:
            self._run(until, done)
        except Exception as error:  # noqa: BLE001 - reported with what was done before it
            done.stopped = why_stopped(error, done.mistakes)
        return done

    def _run(self, until: Instant, done: Settled) -> None:
        epoch = self.standby.hold()
        first = int(self.clock.now().wall // 60)
        for batch in batches(listed(self.work, shards(first), BATCH, done.mistakes), BATCH):
            safe = self.replica.has(batch, epoch)
            if safe:
                self.standby.still(epoch)
                tried = attempt(self.work.settle, sorted(safe), self.each, done.mistakes)
                done.settled += tried.done
                tried.raise_unknown()
            if self.clock.now().reached(until):
                done.stopped = "time"
                return
