"""Where explorations start, and who takes part."""

from functools import partial
from typing import Final

from tests.model.alone import Alone, Ending, attached, replicated
from tests.model.explore import Process, Scenario
from tests.model.ports import ToldLeases
from tests.model.processes import Environment, Find, payer, plan, reader, settler, shipper, sweeper
from tests.model.replay import Processes
from tests.model.services import Services, first_record
from tests.model.world import RECORDS, REGIONS, World, record

EAST: Final = 0
WEST: Final = 1
_REGIONS: Final = (EAST, WEST)
_SIDES: Final = ("east", "west")
_PLANS: Final = tuple(plan(region, lossy=False) for region in _REGIONS)
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


def nothing_fails(alone: Alone, world: World) -> World:
    """The active region finishes its own plan; schedules do the rest."""
    world = attached(world)
    active = REGIONS.index(record(world).active)
    for script in (_PLANS[active], _SWEEPERS[active]):
        world = replicated(alone.run(script, world))
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
    waits: bool = True,
) -> Scenario:
    """A payment is read in the region that was active before a takeover."""
    return Scenario(
        "reading through a takeover",
        quiet(faults),
        (
            Process("client east", payer(EAST, 0, attempts=1)),
            Process("client west", payer(WEST, 1, attempts=1)),
            Process("reader east", reader(EAST, 0, attempts=2, find=find, leases=leases)),
            Process("plan west", plan(WEST, lossy=True, waits=waits), again=True),
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
