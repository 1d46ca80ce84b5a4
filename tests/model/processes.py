"""What runs in the exploration: requests and functions, real domain code on ports that ask the world."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from failover.clock import Clock
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import (
    ACCEPTING,
    POSTING,
    Admit,
    Blocked,
    Done,
    Fence,
    Finish,
    Mode,
    Promote,
    Recover,
    Run,
    Step,
    Unknown,
    WaitLease,
)
from failover.takeover import Admitted, take_over
from failover.takeover import Outcome as Ending
from failover.writer import GlobalDatabase, writer_of
from ops import failover
from ops.directory import Rejected
from ops.failover import Wanted
from ops.observation import Observation
from payments.accept import accept_payment
from payments.errors import LedgerUnavailable, NotActive, NotFound, Refused
from payments.find import find_payment
from payments.idempotency import fingerprint, payment_id
from payments.journal import SHARDS
from payments.lease import Leases
from payments.mistakes import Mistakes
from payments.outcome import Outcome
from payments.parse import payment_request
from payments.recover import Recovery
from payments.settle import Settler
from payments.ship import Shipper
from payments.standby import Standby
from payments.sweep import Sweeper
from tests.model.ports import (
    MERCHANT,
    TOKEN,
    AskedClock,
    AskedCluster,
    AskedControl,
    AskedDirectory,
    AskedJournal,
    AskedLedger,
    AskedLog,
    AskedReplica,
    NoBookmarks,
    NothingToRefuse,
    StandingClock,
    ToldLeases,
)
from tests.model.replay import Ask, Crash, Script
from tests.model.world import KEYS, REGIONS
from tests.unit.ops.observations import both

Open = Callable[[int], Ask]

_BODY: Final = '{"amount": %d, "currency": "USD", "debtor": "alice", "creditor": "bob", "reference": "x"}'
BODIES: Final = tuple((_BODY % amount).encode() for amount in (1250, 1251))
IDS: Final = tuple(payment_id(MERCHANT, key) for key in KEYS)
_PAGE: Final = SHARDS  # more than is ever open here


class Environment:
    """One execution environment of a region's API function: its lease outlives a request, not a crash."""

    def __init__(self, ask: Ask, leases: type[ToldLeases] = ToldLeases) -> None:
        self.ask = ask
        self.leases = leases(ask)

    def accept(self, key: str, body: bytes) -> Outcome:
        return accept_payment(
            TOKEN,
            key,
            body,
            sessions=NothingToRefuse(),
            directory=AskedDirectory(self.ask),
            leases=self.leases,
            journal=AskedJournal(self.ask),
            ledger=AskedLedger(self.ask),
            clock=AskedClock(self.ask),
        )

    def find(self, payment_id: str) -> Outcome:
        return find_payment(
            TOKEN,
            payment_id,
            sessions=NothingToRefuse(),
            directory=NothingToRefuse(),
            leases=self.leases,
            journal=AskedJournal(self.ask),
            ledger=AskedLedger(self.ask),
            clock=AskedClock(self.ask),
        )


def payer(region: int, key: int, body: int = 0, *, attempts: int = 2) -> Script:
    """A client that sends the same payment again, with the same key, whatever it was told."""

    def run(open_: Open) -> None:
        environment = Environment(open_(region))
        for _ in range(attempts):
            environment.ask("process.pause")
            try:
                _pay(open_, environment, key, body)
            except Crash:
                environment = Environment(open_(region))

    return run


def _pay(open_: Open, environment: Environment, key: int, body: int) -> None:
    request = payment_request(MERCHANT, BODIES[body])
    told = environment.ask
    try:
        outcome, epoch = _answered(open_, environment, KEYS[key], BODIES[body])
    except Refused as refused:
        told("client.refused", IDS[key], fingerprint(request), type(refused).__name__)
    except (NotActive, Unavailable):
        pass  # unknown: the client sends it again
    else:
        told("client.promised", outcome.payment, fingerprint(request), epoch)


def _answered(open_: Open, here: Environment, key: str, body: bytes) -> tuple[Outcome, int]:
    """As a region's API answers: one that is not active hands the request to the other one, once."""
    try:
        return here.accept(key, body), here.leases.epoch
    except NotActive:
        here.ask("peer.invoke")
        there = Environment(open_(1 - here.ask.region))
        outcome = there.accept(key, body)
        here.ask("peer.answer")
        return outcome, there.leases.epoch


Find = Callable[[Environment, str], Outcome]


def reader(
    region: int,
    key: int,
    *,
    attempts: int = 1,
    find: Find = Environment.find,
    leases: type[ToldLeases] = ToldLeases,
) -> Script:
    """A client that asks for a payment."""

    def run(open_: Open) -> None:
        environment = Environment(open_(region), leases)
        told = environment.ask
        for _ in range(attempts):
            told("process.pause")
            try:
                outcome = find(environment, IDS[key])
            except NotFound:
                told("client.not_found", IDS[key])
            except (NotActive, Unavailable):
                pass
            else:
                told("client.read", outcome.payment, outcome.status)

    return run


# --- What schedules run -------------------------------------------------------------------------------------

_NOTHING_LEFT: Final = 1.0  # seconds: enough for one whole pass, where no time passes in it


def sweeper(region: int, *, seconds: float = 0.0) -> Script:
    """One pass over what is fresh; with time, then over everything."""

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        clock = AskedClock(ask)
        swept = Sweeper(
            region=REGIONS[region],
            leases=ToldLeases(ask),
            work=AskedJournal(ask),
            ledger=AskedLedger(ask),
            progress=NoBookmarks(),
            clock=clock,
        ).run(clock.now().later(seconds))
        _tell_mistakes(ask, swept.mistakes)

    return run


def settler(region: int) -> Script:
    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        clock = AskedClock(ask)
        settled = Settler(
            standby=_standby(ask), work=AskedJournal(ask), replica=AskedReplica(ask), clock=clock
        ).run(clock.now().later(_NOTHING_LEFT))
        _tell_mistakes(ask, settled.mistakes)

    return run


def shipper(region: int) -> Script:
    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        clock, log = AskedClock(ask), AskedLog(ask)
        shipped = Shipper(standby=_standby(ask), progress=log, rows=log, segments=log, clock=clock).run(
            clock.now().later(_NOTHING_LEFT)
        )
        _tell_mistakes(ask, shipped.mistakes)

    return run


def _standby(ask: Ask) -> Standby:
    return Standby(AskedControl(ask), AskedCluster(ask), REGIONS[ask.region], REGIONS[ask.region])


def _tell_mistakes(ask: Ask, mistakes: Mistakes) -> None:
    """The domain goes on after a mistake. Here one is a mistake of the exploration, or a bug it found."""
    for mistake in mistakes.first:
        ask("process.mistake", repr(mistake.error))


# --- Takeovers ----------------------------------------------------------------------------------------------

_MODES: Final = {False: Mode.GRACEFUL, True: Mode.UNGRACEFUL}
_FINISHING: Final = (WaitLease, Admit, Promote, *POSTING)
WorldOf = Callable[[Ask], "AskedWorld"]


class AskedWorld:
    """What a takeover sees and changes. Its first look is a step of its own; every other one belongs to what
    it did before: what comes between a look and what follows from it is explored, and who looks later is a
    run that begins later.
    """

    def __init__(self, ask: Ask) -> None:
        self.region = ask.region
        self._ask = ask
        self._looked = False
        self._clusters = AskedCluster(ask, "cluster.look")
        standing = StandingClock(AskedClock(ask).now())
        self._recovery = Recovery(
            leases=Leases(AskedControl(ask), REGIONS[ask.region], AskedClock(ask)),
            work=AskedJournal(ask),
            ledger=lambda: AskedLedger(ask),
            clock=standing,
            page=_PAGE,
        )
        self._until = standing.now().later(_NOTHING_LEFT)

    def control(self) -> ControlRecord | Unknown:
        look, self._looked = "control.look" if self._looked else "control.read", True
        try:
            record: ControlRecord = AskedControl(self._ask, look).read()
        except Unavailable as unknown:
            return Unknown(str(unknown))
        return record

    def writer(self) -> str | Unknown:
        try:
            return writer_of(self._clusters.members()).region
        except Unavailable as unknown:
            return Unknown(str(unknown))

    def do(self, step: Step, target: str) -> bool:
        """Until RDS has promoted, nobody can write to the ledger: that time is not explored."""
        assert target == REGIONS[self._ask.region]
        match step:
            case Fence(epoch):
                return bool(self._ask("control.fence", epoch))
            case Admit(epoch):
                return bool(self._ask("control.advance", epoch, Phase.FENCING))
            case Promote(_, mode):
                self._clusters.promote(lossy=mode is Mode.UNGRACEFUL)
                return True
            case Recover(epoch):
                return self._recovered(epoch)
            case Finish(epoch):
                return bool(self._ask("control.advance", epoch, Phase.RECOVERING))
            case WaitLease():
                raise AssertionError("a run waits by its own clock")

    def _recovered(self, epoch: int) -> bool:
        try:
            recovered = self._recovery.run(epoch, self._until)
        except NotActive:
            return False
        except LedgerUnavailable as reason:
            raise Unavailable(reason.detail) from reason
        _tell_mistakes(self._ask, recovered.mistakes)
        return recovered.complete


def _takes_over(
    ask: Ask,
    mode: Mode,
    may: tuple[type[Step], ...],
    *,
    world: WorldOf = AskedWorld,
    clock: Callable[[Ask], Clock] = AskedClock,
) -> Ending:
    """As far as it gets without looking again: a run that is blocked is begun again."""
    now = clock(ask)
    return take_over(
        Run(REGIONS[ask.region], mode),
        may,
        world=world(ask),
        clock=now,
        until=now.now(),
        report=lambda _step: None,
    )


def plan(region: int, *, lossy: bool, clock: Callable[[Ask], Clock] = AskedClock) -> Script:
    """Region switch: two functions, and the promotion between them, which asks nobody but RDS.

    A step that fails is tried again; here all of it is, which is more.
    """

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        mode = _MODES[lossy]
        if not isinstance(_takes_over(ask, mode, ACCEPTING, clock=clock), Admitted):
            return
        try:
            cluster = AskedCluster(ask, "cluster.look")
            if writer_of(cluster.members()).region != REGIONS[region]:
                cluster.promote(lossy=lossy)
        except Unavailable:
            return
        if isinstance(_takes_over(ask, mode, POSTING, clock=clock), Done):
            ask("process.done")

    return run


def decider(region: int) -> Script:
    """Two of three regions agree that the active one cannot be reached: payments are to be accepted here."""

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        _takes_over(ask, Mode.UNGRACEFUL, ACCEPTING)

    return run


def finisher(region: int, *, world: WorldOf = AskedWorld) -> Script:
    """The active region does what is left of its own takeover, without the old writer where it has to."""

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        record = AskedWorld(ask).control()
        if isinstance(record, Unknown) or record.active != REGIONS[region]:
            return
        if isinstance(_takes_over(ask, Mode.GRACEFUL, _FINISHING, world=world), Blocked):
            _takes_over(ask, Mode.UNGRACEFUL, _FINISHING, world=world)

    return run


def operator(region: int, *, lossy: bool) -> Script:
    """`python -m ops failover --direct` at a terminal, data loss accepted where it is not graceful."""

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        world, target = AskedWorld(ask), REGIONS[region]
        wanted = Wanted(target=target, mode=_MODES[lossy], reason="", accept_data_loss=lossy)
        seen = _observed(ask, world)
        if failover.objection(seen, wanted) is not None or failover.finished(seen, target):
            return
        with suppress(Rejected):
            failover.carried_out(wanted, world, AskedClock(ask), lambda _said: None, patience=0.0)

    return run


def _observed(ask: Ask, world: AskedWorld) -> Observation:
    """Both regions say the same, or neither answers."""
    record = world.control()
    try:
        members: Any = GlobalDatabase("available", tuple(AskedCluster(ask, "cluster.look").members()), None)
    except Unavailable as unknown:
        members = Unknown(str(unknown))
    return both(control=record, ledger=members)
