"""What runs in the exploration: requests and functions, real domain code on ports that ask the world."""

from collections.abc import Callable
from typing import Final

from failover.control import LEASE_SECONDS, Phase
from failover.errors import Unavailable
from failover.writer import is_writer
from payments.accept import accept_payment
from payments.errors import LedgerUnavailable, NotActive, NotFound, Refused
from payments.find import find_payment
from payments.idempotency import fingerprint, payment_id
from payments.journal import SHARDS, shards
from payments.listing import batches, listed
from payments.mistakes import Mistakes
from payments.outcome import Outcome
from payments.parse import payment_request
from payments.posting import Posting
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
    AskedJournal,
    AskedLedger,
    AskedLog,
    AskedReplica,
    NoBookmarks,
    NothingToRefuse,
    ToldLeases,
)
from tests.model.replay import Ask, Crash, Script
from tests.model.world import KEYS, REGIONS

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
            directory=NothingToRefuse(),
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


# --- The plan ---------------------------------------------------------------------------------------------
# Until the planner exists, its steps as rules 6 and 7 have them. It replaces everything below this line.


def plan(region: int, *, lossy: bool, waits: bool = True) -> Script:
    """Makes `region` the active one, or finishes doing so; after a fault it is run again from the start.

    `waits`: for one lease after fencing. It always does; `test_rules.py` shows what it waits for.
    """

    def run(open_: Open) -> None:
        ask = open_(region)
        ask("process.pause")
        try:
            _take_over(ask, lossy=lossy, waits=waits)
        except (Unavailable, LedgerUnavailable):
            return
        ask("process.done")

    return run


def _take_over(ask: Ask, *, lossy: bool, waits: bool) -> None:
    control, cluster, ledger = AskedControl(ask), AskedCluster(ask), AskedLedger(ask)
    me = REGIONS[ask.region]
    record = control.read()
    epoch, phase = record.epoch, record.phase
    if record.active != me:
        if not control.fence(epoch):
            return
        epoch, phase = epoch + 1, Phase.FENCING
    if phase is Phase.FENCING:
        if waits:
            AskedClock(ask).sleep(LEASE_SECONDS)
        if not control.advance(epoch, Phase.RECOVERING):
            return
    if not is_writer(cluster.members(), me, me):
        cluster.promote(lossy=lossy)
    ledger.raise_fence(epoch)
    _recover(ask, epoch)
    control.advance(epoch, Phase.STEADY)


def _recover(ask: Ask, epoch: int) -> None:
    work = AskedJournal(ask)
    posting = Posting(work, AskedLedger(ask), lambda: epoch, Mistakes())
    for batch in batches(listed(work, shards(), _PAGE, posting.mistakes), _PAGE):
        posting.work_off(batch)
    _tell_mistakes(ask, posting.mistakes)
