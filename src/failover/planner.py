"""What remains to be done until a region is active, steady and the writer: a function of what was observed.

Whoever runs a plan - a step of Region switch, the active region finishing its own, an operator at a terminal,
or several of them at once - observes, asks for the next step, does it and observes again. Nothing that one
run knows has to survive it: a run that was killed is begun again, anywhere, and goes on from what is there.

The invariant, in every world that runs, crashes and lost answers can lead to:

* An epoch is opened by `Fence` alone, from n to n + 1, for one region, and grants nobody a lease.
* Leases are granted again by `Admit` alone, after *this run* waited one whole lease since it saw the fence:
  whatever was granted under an older epoch has ended. A run begun again cannot know how long its
  predecessor waited, and waits again.
* Every write of a phase is conditional on the epoch that this run opened or found open for its target. When
  another plan has opened the next one, this run ends without having changed anything after that.
* The target's ledger is asked to refuse older epochs, and payments are posted to it, only once the global
  cluster names it the writer; a database does not know whether it is.
* Payments are posted at once again (`Finish`) only after *this run* worked the journal off under this epoch.

Unknown is never taken for no: with no answer about the control record nothing is done, and with none about
the writer nothing that depends on it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from failover.control import ControlRecord, Phase


class Mode(StrEnum):
    """How the database changes over: graceful waits for the old writer, ungraceful goes without it."""

    GRACEFUL = "graceful"
    UNGRACEFUL = "ungraceful"


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer; `why` is for the operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Observed:
    """`writer` is the region whose cluster the global cluster names the writer."""

    control: ControlRecord | Unknown
    writer: str | Unknown


@dataclass(frozen=True, slots=True)
class Run:
    """One run towards `target`, and what it did itself; each `..._under` is an epoch."""

    target: str
    mode: Mode
    epoch: int | None = None  # opened by this run, or found open for its target
    waited_under: int | None = None
    promoted_under: int | None = None
    recovered_under: int | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """Write epoch + 1, the target and `fencing`, if the epoch still is `after`."""

    after: int


@dataclass(frozen=True, slots=True)
class WaitLease:
    """Wait one whole lease."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Write `recovering`, if the epoch still is this one: payments are accepted from here on."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the target's cluster the writer of the global database."""

    epoch: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Recover:
    """Raise the ledger's fence to the epoch, post what the journal has and it lacks, check the books."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Write `steady`, if the epoch still is this one."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Done:
    epoch: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another plan opened a later epoch: this run has nothing left to do."""

    by: ControlRecord


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing can be done before this is known."""

    why: str


Step = Fence | WaitLease | Admit | Promote | Recover | Finish
End = Done | Superseded | Blocked

ACCEPTING: Final = (Fence, WaitLease, Admit)  # until payments are accepted again
POSTING: Final = (Recover, Finish)  # until they are posted again


NOT_ASKED: Final = Unknown("not asked")


def next_step(run: Run, observed: Observed) -> Step | End:
    """The next thing to do; the same again as long as it is not done.

    Until payments are accepted the control record alone decides: the writer may be NOT_ASKED.
    """
    record = observed.control
    if isinstance(record, Unknown):
        return Blocked(record.why)
    if run.epoch is None and record.active != run.target:
        return Fence(record.epoch)
    if record.active != run.target or run.epoch not in (None, record.epoch):
        return Superseded(record)
    epoch = record.epoch
    if record.phase is Phase.FENCING:
        return Admit(epoch) if run.waited_under == epoch else WaitLease(epoch)
    if isinstance(observed.writer, Unknown):
        return Blocked(observed.writer.why)
    if observed.writer != run.target:
        return Promote(epoch, run.mode)
    recovering = record.phase is Phase.RECOVERING or run.promoted_under == epoch
    if recovering and run.recovered_under != epoch:
        return Recover(epoch)
    return Finish(epoch) if record.phase is Phase.RECOVERING else Done(epoch)


def after(run: Run, step: Step) -> Run:
    """The run once it did the step, or found that another had done it."""
    match step:
        case Fence(epoch):
            return replace(run, epoch=epoch + 1)
        case WaitLease(epoch):
            return replace(run, epoch=epoch, waited_under=epoch)
        case Promote(epoch, _):
            return replace(run, epoch=epoch, promoted_under=epoch)
        case Recover(epoch):
            return replace(run, epoch=epoch, recovered_under=epoch)
        case Admit(epoch) | Finish(epoch):
            return replace(run, epoch=epoch)
