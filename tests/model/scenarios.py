"""Where explorations start, and who takes part."""

from functools import partial
from typing import Final

from tests.model.alone import Alone, Ending, attached, replicated
from tests.model.explore import Process, Scenario
from tests.model.ports import ToldLeases
from tests.model.processes import (
    Environment,
    Find,
    decider,
    finisher,
    operator,
    payer,
    plan,
    reader,
    settler,
    shipper,
    sweeper,
)
from tests.model.replay import Processes, Script
from tests.model.services import Broken, Services, first_record
from tests.model.world import RECORDS, REGIONS, World, record

EAST: Final = 0
WEST: Final = 1
_REGIONS: Final = (EAST, WEST)
_SIDES: Final = ("east", "west")
_FINISHERS: Final = tuple(finisher(region) for region in _REGIONS)
_LOSSY_PLANS: Final = tuple(plan(region, lossy=True) for region in _REGIONS)
_SWEEPERS: Final = tuple(sweeper(region, seconds=1) for region in _REGIONS)
_SETTLERS: Final = tuple(settler(region) for region in _REGIONS)
_SHIPPERS: Final = tuple(shipper(region) for region in _REGIONS)


def quiet(faults: int = 0) -> World:
    """`us-east-1` is active, its database the writer, and nothing was ever paid."""
    return World(
        control=RECORDS.number(first_record(EAST)),
        journal=(),
        databases=((), ()),
        writer=EAST,
        attached=True,
        faults=faults,
    )


def nothing_fails(alone: Alone, world: World, *, finishers: tuple[Script, ...] = _FINISHERS) -> World:
    """The active region finishes its own plan; schedules do the rest."""
    world = attached(world)
    active = REGIONS.index(record(world).active)
    if finishers:
        world = replicated(alone.run(finishers[active], world))
    world = replicated(alone.run(_SWEEPERS[active], world))
    return _standby_does_its_work(1 - active, alone, world)


def is_lost(region: int, alone: Alone, world: World) -> World | None:
    """The other region takes over with what it has. Nothing is promised while it has no database."""
    survivor = 1 - region
    if world.writer != survivor and not world.attached:
        return None
    world = alone.run(_LOSSY_PLANS[survivor], world)
    world = replicated(attached(alone.run(_SWEEPERS[survivor], world)))  # a region that returns starts anew
    return _standby_does_its_work(region, alone, world)


def _standby_does_its_work(region: int, alone: Alone, world: World) -> World:
    return alone.run(_SHIPPERS[region], alone.run(_SETTLERS[region], world))


ENDINGS: Final[tuple[tuple[str, Ending], ...]] = (
    ("nothing fails any more", nothing_fails),
    *((f"{REGIONS[region]} is lost and nothing else", partial(is_lost, region)) for region in _REGIONS),
)


_ALONE: Final = Alone(Services(), Processes())
_PAYS: Final = payer(EAST, 0, attempts=1)
_TAKES_OVER: Final = plan(WEST, lossy=True)


def posted_only_here() -> World:
    """A payment was acknowledged as posted, and nothing is replicated yet."""
    return _ALONE.run(_PAYS, quiet())


def recovering() -> World:
    """And then its region was lost: `us-east-2` is about to post it again, `us-east-1` lives on by itself."""
    return _ALONE.run(_TAKES_OVER, posted_only_here(), before="journal.page")


def taken_over() -> World:
    """And has posted it again."""
    return _ALONE.run(_TAKES_OVER, posted_only_here())


def takeover(faults: int) -> Scenario:
    """A payment, sent to both regions, meets a takeover that may lose what was not replicated."""
    return Scenario(
        "a takeover that may lose commits",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0)),
            Process("client west", payer(WEST, 0)),
            Process("plan west", plan(WEST, lossy=True), again=True),
        ),
        ENDINGS,
    )


def two_bodies(faults: int) -> Scenario:
    """Two payments under one key, in a planned switchover."""
    return Scenario(
        "one key, two bodies, a switchover",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0)),
            Process("client west", payer(WEST, 0, body=1)),
            Process("plan west", plan(WEST, lossy=False), again=True),
        ),
        ENDINGS,
    )


def racing_plans(faults: int) -> Scenario:
    """Two plans at once while a payment is under way."""
    return Scenario(
        "two plans at once",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0, attempts=1)),
            Process("plan west", plan(WEST, lossy=True), again=True),
            Process("plan east", plan(EAST, lossy=False), again=True),
        ),
        ENDINGS,
    )


def broken_off(faults: int, *, finishers: tuple[Script, ...] = _FINISHERS) -> Scenario:
    """A plan is broken off anywhere; the active region, whichever it then is, does what is left."""
    nothing = partial(nothing_fails, finishers=finishers)
    return Scenario(
        "a plan that is broken off",
        posted_only_here()._replace(faults=faults),
        (
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("plan west", plan(WEST, lossy=True)),
            *(
                Process(f"finisher {side}", script, again=True)
                for side, script in zip(_SIDES, finishers, strict=False)
            ),
        ),
        (("nothing fails any more", nothing), *ENDINGS[1:]),
    )


def decided(faults: int) -> Scenario:
    """Payments are to be accepted at once; then the plan is started, and does not know what was done."""
    return Scenario(
        "decided, then the plan",
        posted_only_here()._replace(faults=faults),
        (
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("decide west", decider(WEST), again=True),
            Process("plan west", plan(WEST, lossy=True), again=True),
            Process("plan east", plan(EAST, lossy=False)),
        ),
        ENDINGS,
    )


def late_promotion(faults: int) -> Scenario:
    """A plan of before is about to promote, when the other region has long taken over again."""
    before = replicated(attached(taken_over()))
    late = plan(EAST, lossy=True)
    world = _ALONE.run(_TAKES_OVER, _ALONE.run(late, before, before="cluster.promote"))
    return Scenario(
        "a promotion that comes too late",
        world._replace(faults=faults),
        (
            Process("late plan east", late, frozen="cluster.promote", since=before),
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("finisher west", finisher(WEST), again=True),
            Process("sweeper west", sweeper(WEST), again=True),
        ),
        ENDINGS,
    )


def closing(faults: int) -> Scenario:
    """An account is closed between two attempts at the same payment."""
    return Scenario(
        "an account is closed",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0)),
            Process("client west", payer(WEST, 0, attempts=1)),
            Process("plan west", plan(WEST, lossy=True), again=True),
        ),
        ENDINGS,
        closes=True,
    )


def two_terminals(faults: int, *, lossy: bool = False) -> Scenario:
    """The same command at two terminals, broken off anywhere and given again."""
    command = operator(WEST, lossy=lossy)
    return Scenario(
        "the same command at two terminals" + (", accepting loss" if lossy else ""),
        quiet(faults),
        (
            Process("client east", payer(EAST, 0, attempts=1)),
            Process("one terminal", command, again=True),
            Process("another one", operator(WEST, lossy=lossy), again=True),
        ),
        (("the command is given once more", partial(_commanded, command)),),
    )


def accepting_loss(faults: int) -> Scenario:
    return two_terminals(faults, lossy=True)


def _commanded(command: Script, alone: Alone, world: World) -> World:
    """Whatever happened before: one epoch more than at first, and everything posted under it."""
    world = alone.run(_SWEEPERS[WEST], alone.run(command, world))
    if (record(world).epoch, record(world).active) != (2, REGIONS[WEST]):
        raise Broken(f"the command ends with {record(world)}")
    return _standby_does_its_work(EAST, alone, replicated(attached(world)))


def recovery(faults: int) -> Scenario:
    """A region is about to post what the lost one posted, and its clients go on."""
    return Scenario(
        "recovering what was lost",
        recovering()._replace(faults=faults),
        (
            Process("client east", payer(EAST, 1, attempts=1)),
            Process("client west", payer(WEST, 0, attempts=1)),
            Process("plan west", plan(WEST, lossy=True), again=True),
            Process("sweeper west", sweeper(WEST), again=True),
        ),
        ENDINGS,
    )


def late_writers(faults: int) -> Scenario:
    """A handler freezes, its region is left behind with the old writer, and then it goes on."""
    return Scenario(
        "an old writer lives on",
        taken_over()._replace(faults=faults),
        (
            Process("late client east", payer(EAST, 1, attempts=1), frozen="journal.put", since=quiet()),
            Process("settler east", settler(EAST), again=True),
            Process("sweeper west", sweeper(WEST), again=True),
        ),
        ENDINGS,
    )


def failback(faults: int) -> Scenario:
    """The first region is to be active again, once its database is a copy of the other one's."""
    return Scenario(
        "back to the first region",
        taken_over()._replace(faults=faults),
        (
            Process("late client east", payer(EAST, 0, attempts=2), frozen="journal.put", since=quiet()),
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("settler east", settler(EAST), again=True),
            Process("plan east", plan(EAST, lossy=False), again=True),
        ),
        ENDINGS,
    )


def after_failback(faults: int) -> Scenario:
    """A handler froze under the first epoch; now its region is active again, under the third."""
    late = payer(EAST, 1, attempts=2)
    world = _ALONE.run(_TAKES_OVER, _ALONE.run(late, quiet(), before="ledger.post_all"))
    world = _ALONE.run(plan(EAST, lossy=False), replicated(attached(world)))
    return Scenario(
        "a handler from two epochs ago",
        world._replace(faults=faults),
        (
            Process("late client east", late, frozen="ledger.post_all", since=quiet()),
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("sweeper east", sweeper(EAST), again=True),
            Process("settler west", settler(WEST), again=True),
        ),
        ENDINGS,
    )


def settled(faults: int) -> Scenario:
    """A payment both regions have is stripped, asked for and sent again, also with another body."""
    return Scenario(
        "what is settled is stripped",
        _ALONE.run(settler(WEST), replicated(posted_only_here()))._replace(faults=faults),
        (
            Process("client east", payer(EAST, 0, attempts=1)),
            Process("client west", payer(WEST, 0, body=1, attempts=1)),
            Process("reader east", reader(EAST, 0)),
            Process("plan west", plan(WEST, lossy=True), again=True),
        ),
        ENDINGS,
        strips=True,
    )


def settling(faults: int) -> Scenario:
    """A posted payment is replicated, settled and stripped, while its region may be lost at any moment."""
    return Scenario(
        "settling while a region is lost",
        posted_only_here()._replace(faults=faults),
        (
            Process("client west", payer(WEST, 0, body=1, attempts=1)),
            Process("settler west", settler(WEST), again=True),
            Process("plan west", plan(WEST, lossy=True), again=True),
        ),
        ENDINGS,
        strips=True,
    )


def reading(
    faults: int,
    *,
    find: Find = Environment.find,
    leases: type[ToldLeases] = ToldLeases,
    takes_over: Script = _TAKES_OVER,
) -> Scenario:
    """A payment is read in the region that was active before a takeover."""
    return Scenario(
        "reading through a takeover",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0, attempts=1)),
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("reader east", reader(EAST, 0, attempts=2, find=find, leases=leases)),
            Process("plan west", takes_over, again=True),
        ),
        ENDINGS,
    )


def shipping(faults: int) -> Scenario:
    """A posted payment is shipped by two runs at once, while its region may be lost at any moment."""
    return Scenario(
        "shipping while a region is lost",
        posted_only_here()._replace(faults=faults),
        (
            Process("shipper west", shipper(WEST), again=True),
            Process("another west", shipper(WEST), again=True),
            Process("plan west", plan(WEST, lossy=True), again=True),
        ),
        ENDINGS,
    )


def shipping_on(faults: int) -> Scenario:
    """The other region goes on with the log where the first one stopped."""
    world = _ALONE.run(shipper(WEST), replicated(posted_only_here()))
    world = _ALONE.run(plan(WEST, lossy=False), _ALONE.run(payer(EAST, 1, attempts=1), world))
    return Scenario(
        "shipping after a failover",
        world._replace(faults=faults),
        (
            Process("shipper east", shipper(EAST), again=True),
            Process("shipper west", shipper(WEST), again=True),
            Process("plan east", plan(EAST, lossy=True), again=True),
        ),
        ENDINGS,
    )


def everybody(faults: int) -> Scenario:
    """All that runs anywhere, at once."""
    return Scenario(
        "everybody at once",
        posted_only_here()._replace(faults=faults),
        (
            Process("client east", payer(EAST, 1)),
            Process("client west", payer(WEST, 0, body=1)),
            Process("reader west", reader(WEST, 0)),
            *(Process(f"sweeper {_SIDES[region]}", sweeper(region), again=True) for region in _REGIONS),
            *(Process(f"settler {_SIDES[region]}", settler(region), again=True) for region in _REGIONS),
            *(Process(f"shipper {_SIDES[region]}", shipper(region), again=True) for region in _REGIONS),
            Process("plan west", plan(WEST, lossy=True), again=True),
            Process("plan east", plan(EAST, lossy=False), again=True),
        ),
        ENDINGS,
        strips=True,
    )


ALL: Final = (
    takeover,
    two_bodies,
    racing_plans,
    broken_off,
    decided,
    late_promotion,
    two_terminals,
    accepting_loss,
    closing,
    reading,
    recovery,
    late_writers,
    failback,
    after_failback,
    settling,
    settled,
    shipping,
    shipping_on,
    everybody,
)
