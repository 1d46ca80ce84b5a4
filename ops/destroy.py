"""Tearing an environment down: what comes next, given what is still there.

Only the order needs thought. Functions go before what they use. A StackSet deletes in the order in which it
creates, but the global database's writer has to go last: so the other region's `data` goes first, whichever
that is. `root` takes the rest, the roles of the StackSets at its end. Whatever was done stays done, so a run
that was broken off is gone on with by running it again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from failover.clock import Clock
from ops.directory import Rejected
from ops.inventory import Named
from templates.config import Settings

_BEFORE_THE_DATA: Final = ("witness", "service")
_LOOK_EVERY_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 5400.0  # for one step: networks of functions take AWS most of an hour to let go


@dataclass(frozen=True, slots=True)
class StackSetSeen:
    """`running` is the operation that is under way, if any."""

    title: str  # of its template
    name: str
    regions: tuple[str, ...]
    running: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What of the environment is still there. The statuses are CloudFormation's, None without a stack."""

    root: str | None
    zone: str | None
    stack_sets: tuple[StackSetSeen, ...]
    writer: str | None  # the region of the global database's writer
    protected: tuple[Named, ...]  # against deletion
    filled: tuple[Named, ...]  # buckets and vaults: nobody deletes one with something in it
    logs: tuple[Named, ...]  # log groups: a function that ends late makes its own again


@dataclass(frozen=True, slots=True)
class Lift:
    """Deletion protection, of one thing."""

    thing: Named


@dataclass(frozen=True, slots=True)
class Await:
    """An operation that somebody began, perhaps an earlier run."""

    stack_set: StackSetSeen


@dataclass(frozen=True, slots=True)
class DeleteInstances:
    stack_set: StackSetSeen
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    thing: Named


@dataclass(frozen=True, slots=True)
class DeleteStack:
    title: str  # root or zone


@dataclass(frozen=True, slots=True)
class DeleteStackSet:
    stack_set: StackSetSeen


@dataclass(frozen=True, slots=True)
class DeleteLogs:
    things: tuple[Named, ...]


Step = Lift | Await | DeleteInstances | Empty | DeleteStack | DeleteStackSet | DeleteLogs


def next_step(remains: Remains, *, zone: bool, emptied: frozenset[Named] = frozenset()) -> Step | None:
    """`emptied` are those of this run: what fills one again, such as a late access log, is for the next."""
    for seen in remains.stack_sets:
        if seen.running is not None:
            return Await(seen)
    if remains.protected:
        return Lift(remains.protected[0])
    by_title = {seen.title: seen for seen in remains.stack_sets}
    for title in _BEFORE_THE_DATA:
        if (found := by_title.get(title)) is not None and found.regions:
            return DeleteInstances(found, found.regions)
    full = [thing for thing in remains.filled if thing not in emptied]
    if full:
        return Empty(full[0])
    if (data := by_title.get("data")) is not None and data.regions:
        return DeleteInstances(data, (_writer_last(data.regions, remains.writer)[0],))
    if remains.root is not None:
        return DeleteStack("root")
    for seen in remains.stack_sets:
        return DeleteInstances(seen, seen.regions) if seen.regions else DeleteStackSet(seen)
    if zone and remains.zone is not None:
        return DeleteStack("zone")
    return DeleteLogs(remains.logs) if remains.logs else None


def _writer_last(regions: Sequence[str], writer: str | None) -> list[str]:
    return sorted(regions, key=lambda region: region == writer)


def refusal(settings: Settings) -> Rejected | None:
    """What is kept on purpose no command takes away: that it is a test is for deployment.toml to say."""
    if settings.test_environment:
        return None
    todo = (
        "docs/what-is-kept.md says what is locked, for how long, and what there is to do by hand; "
        "a build with test_environment = true has to be deployed before this command goes further"
    )
    what = "deployment.toml says test_environment = false: what holds data is kept on purpose"
    return Rejected(f"environment {settings.environment}: {what}; {todo}", 1)


def objection(remains: Remains, *, lift: bool) -> Rejected | None:
    if not remains.protected or lift:
        return None
    things = ", ".join(thing.text for thing in remains.protected)
    todo = "make sure that nobody needs them, and say --lift-protection"
    return Rejected(f"deletion protection: {things}; {todo}", 1)


def described(step: Step) -> str:
    match step:
        case Lift(thing):
            return f"lift the deletion protection of {thing.text}"
        case Await(stack_set):
            return f"wait for operation {stack_set.running} of {stack_set.name}"
        case DeleteInstances(stack_set, regions):
            return f"delete {stack_set.title} in {' and '.join(regions)}"
        case Empty(thing):
            return f"empty {thing.text}"
        case DeleteStack(title):
            return f"delete {title}"
        case DeleteStackSet(stack_set):
            return f"delete the StackSet {stack_set.name}"
        case DeleteLogs(things):
            return f"delete {', '.join(thing.text for thing in things)}"


class World(Protocol):
    """`done` says whether AWS is through with what `begin` began; it raises Rejected where that failed."""

    def remains(self) -> Remains: ...

    def begin(self, step: Step) -> Callable[[], bool]: ...


def torn_down(
    world: World, clock: Clock, tell: Callable[[str], None], *, zone: bool, patience: float = PATIENCE_SECONDS
) -> None:
    """Raises Rejected where a step failed or took too long; what was done is not undone."""
    emptied: frozenset[Named] = frozenset()
    last: Step | None = None
    while (step := next_step(world.remains(), zone=zone, emptied=emptied)) is not None:
        if step == last:
            raise Rejected(f"{described(step)}: AWS says that it is done, and it is not; run this again", 1)
        tell(f"{described(step)} ...")
        done, give_up = world.begin(step), clock.now().later(patience)
        while not done():
            if clock.now().reached(give_up):
                raise Rejected(f"{described(step)}: not within {patience:.0f} s; run this again to go on", 1)
            clock.sleep(_LOOK_EVERY_SECONDS)
        if isinstance(step, Empty):
            emptied |= {step.thing}
        last = step


@dataclass(frozen=True, slots=True)
class Left:
    """What is still there at the end, and why."""

    what: str
    why: str


def document(environment: str, left: Sequence[Left]) -> Mapping[str, Any]:
    return {"environment": environment, "left": [asdict(one) for one in left]}


def text(environment: str, left: Sequence[Left]) -> str:
    if not left:
        return f"{environment} is gone"
    return "\n".join([f"{environment} is gone, but for", *(f"  {one.what}: {one.why}" for one in left)])
