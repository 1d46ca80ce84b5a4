"""The right to take payments: granted by the control record, for three seconds at a time.

A request starts only under a lease that holds, and taking over waits one whole lease after fencing, so two
regions never start under overlapping epochs. Starting is all it decides: the lease is not checked again
before the journal write, and botocore may send that write again for seconds, so an entry may reach the
journal after its lease ended. That is tolerated: the journal decides, whoever wrote the entry; the active
region posts it under its own epoch; and the ledger's fence refuses the late poster.
"""

from dataclasses import dataclass
from typing import Final

from failover.clock import Clock, Instant
from failover.control import LEASE_SECONDS, ControlRecord, Phase
from payments.errors import NotActive, NotSteady, Unavailable
from payments.ports import Control

FENCING_PATIENCE_SECONDS: Final = 10.0  # a planned move fences for one lease; waiting it out fails no request
_FENCING_POLL_SECONDS: Final = 0.2
_SLOW_READS: Final = 2  # a read slower than a lease grants nothing; asked again once


@dataclass(frozen=True, slots=True)
class Lease:
    epoch: int
    phase: Phase
    until: Instant

    def holds(self, now: Instant) -> bool:
        """By whichever clock shows more elapsed: a frozen function's monotonic clock may stand still."""
        return now.monotonic < self.until.monotonic and now.wall < self.until.wall

    def age(self, now: Instant) -> float:
        """Seconds since the record was asked for, by the same clock."""
        return LEASE_SECONDS - min(self.until.monotonic - now.monotonic, self.until.wall - now.wall)


def granted(record: ControlRecord, region: str, asked_at: Instant) -> Lease | None:
    """The lease a record grants a region, counted from before the read was sent; None if it grants none."""
    if record.active != region or record.phase is Phase.FENCING:
        return None
    return Lease(record.epoch, record.phase, asked_at.later(LEASE_SECONDS))


class Leases:
    """The lease of one execution environment, renewed when asked for after it ended."""

    def __init__(self, control: Control, region: str, clock: Clock) -> None:
        self._control = control
        self._region = region
        self._clock = clock
        self._lease: Lease | None = None

    def hold(self, *, patience: float = FENCING_PATIENCE_SECONDS) -> Lease:
        """A lease that holds now. Waits up to `patience` seconds while the record says `fencing`.

        Raises NotActive when there is none to have, Unavailable when that cannot be found out.
        """
        if self._lease is not None and self._lease.holds(self._clock.now()):
            return self._lease
        give_up = self._clock.now().later(patience)
        slow_reads = 0
        while slow_reads < _SLOW_READS:
            asked_at = self._clock.now()
            record = self._control.read()
            now = self._clock.now()
            self._lease = granted(record, self._region, asked_at)
            if self._lease is not None and self._lease.holds(now):
                return self._lease
            if self._lease is not None:
                slow_reads += 1
            elif record.phase is not Phase.FENCING or now.reached(give_up):
                raise NotActive(record.active)
            else:
                self._clock.sleep(_FENCING_POLL_SECONDS)
        raise Unavailable("the control record is read too slowly to hold a lease")


def hold_steady(leases: Leases) -> Lease:
    """As work behind the API holds one: without waiting, and only once a takeover is finished.

    Until then recovery posts, after raising the fence. Raises NotSteady.
    """
    lease = leases.hold(patience=0)
    if lease.phase is not Phase.STEADY:
        raise NotSteady(lease.phase.value)
    return lease
