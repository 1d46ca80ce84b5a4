"""What is deployed in both regions: as much capacity, the same code, the same configuration."""

from collections.abc import Iterator, Mapping
from typing import Final

from failover.planner import Unknown
from ops.readiness.check import Check, Problems, both, each, judged, unknown
from ops.readiness.facts import Cluster, Function, Quotas, Seen

_NEEDED: Final = ("api", "fence", "recover")
_FROM_AWS: Final = ("_HOST", "_PORT", "_BUCKET")  # variables that hold what AWS or a hash made up


def capacity(seen: Seen) -> Iterator[Check]:
    yield from both(
        seen,
        "capacity",
        lambda one: one.cluster,
        _of_capacity,
        lambda one: f"{len(one.instances)} instances, as the other region has",
    )


def _of_capacity(here: Cluster, there: Cluster) -> Problems:
    todo = "deploy again, or undo what was changed by hand"
    if here.state != "available":
        yield f"its cluster is {here.state}", "RDS's events say why"
    for instance in here.instances:
        if instance.state != "available":
            yield f"instance {instance.name} is {instance.state}", "RDS's events say why"
    if len(here.instances) < max(2, len(there.instances)):
        yield f"{len(here.instances)} instances, and {len(there.instances)} in the other region", todo
    if here.capacity is not None and there.capacity is not None and here.capacity < there.capacity:
        yield f"capacity {_units(here.capacity)}, and {_units(there.capacity)} in the other region", todo
    kinds = {one.kind for one in here.instances}, {one.kind for one in there.instances}
    if kinds[0] != kinds[1]:
        yield f"instances of {' and '.join(sorted(kinds[0]))}, not {' and '.join(sorted(kinds[1]))}", todo
    if here.version != there.version:
        yield (
            f"engine {here.version}, and {there.version} in the other region",
            "end the upgrade that was begun",
        )


def _units(capacity: tuple[float, float]) -> str:
    return f"{capacity[0]:g} to {capacity[1]:g}"


def quotas(seen: Seen) -> Iterator[Check]:
    yield from both(
        seen,
        "quotas",
        lambda one: one.quotas,
        lambda here, there: _of_quotas(seen.here.region, here, there),
        lambda one: f"{one.unreserved} functions at a time, {one.rate:g} requests/s",
    )


def _of_quotas(region: str, here: Quotas, there: Quotas) -> Problems:
    todo = f"ask for as much in {region} (Service Quotas), or free what is reserved there"
    for what, mine, other in (
        ("functions at a time", here.concurrency, there.concurrency),
        ("of them not reserved", here.unreserved, there.unreserved),
        ("requests to API Gateway in a second", here.rate, there.rate),
        ("of them in a burst", here.burst, there.burst),
    ):
        if mine < other:
            yield f"{mine:g} {what}, and {other:g} in the other region", todo


def running(seen: Seen) -> Iterator[Check]:
    yield from each(
        seen,
        "functions",
        lambda one: one.functions,
        lambda _, found: _of_running(found),
        lambda found: f"{len(found)} functions are ready",
    )


def _of_running(found: Mapping[str, Function]) -> Problems:
    for name in _NEEDED:
        if name not in found:
            yield f"there is no function {name}", "deploy the release that has it"
    for name, one in found.items():
        if one.state != "Active":
            yield f"function {name} is {one.state}", "invoke it once if it is Inactive; else deploy again"
        if one.reserved == 0:
            yield (
                f"no concurrency is reserved for function {name}: it is switched off",
                "remove the reservation",
            )


def code(seen: Seen) -> Iterator[Check]:
    yield from both(
        seen,
        "code",
        lambda one: one.functions,
        _of_code,
        lambda found: f"the same code in {len(found)} functions",
    )


def _of_code(here: Mapping[str, Function], there: Mapping[str, Function]) -> Problems:
    todo = "deploy again: a release is not in both regions, or was changed by hand"
    for name in sorted(here.keys() ^ there.keys()):
        yield f"function {name} is in one region only", todo
    different = [name for name in sorted(here.keys() & there.keys()) if here[name].code != there[name].code]
    if different:
        yield f"other code in {', '.join(different)}", todo


def configuration(seen: Seen) -> Iterator[Check]:
    here, there, name = seen.here.functions, seen.there.functions, "configuration"
    if isinstance(here, Unknown) or isinstance(there, Unknown):
        yield from both(seen, name, lambda one: one.functions, lambda *_: (), lambda _: "")
        return
    shared = sorted(here.keys() & there.keys())
    sealed = [one for one in shared if here[one].variables is None or there[one].variables is None]
    problems = list(_of_configuration(seen, {one: (here[one], there[one]) for one in shared}))
    if sealed and not problems:
        why = f"the variables of {', '.join(sealed)} cannot be read"
        yield unknown(name, None, why, "let these credentials use the regions' keys (kms:Decrypt)")
        return
    yield judged(name, None, problems, f"the same in {len(shared)} functions")


def _of_configuration(seen: Seen, pairs: Mapping[str, tuple[Function, Function]]) -> Problems:
    todo = "deploy again, or undo what was changed by hand"
    for name, (here, there) in pairs.items():
        other = {
            what for what in here.configuration if here.configuration[what] != there.configuration.get(what)
        }
        mine, theirs = here.variables or {}, there.variables or {}
        if here.variables is not None and there.variables is not None:
            other |= mine.keys() ^ theirs.keys()
            other |= {
                one for one in mine.keys() & theirs.keys() if _differs(seen, one, mine[one], theirs[one])
            }
        if other:
            yield f"function {name} differs in {', '.join(sorted(other))}", todo


def _differs(seen: Seen, variable: str, mine: str, theirs: str) -> bool:
    """Equal, or equal with the two regions exchanged; what AWS made up differs anyway."""
    return not variable.endswith(_FROM_AWS) and mine != theirs and _exchanged(seen, mine) != theirs


def _exchanged(seen: Seen, value: str) -> str:
    """With every name of the one region in the place of the other's."""
    first, second = "\x00", "\x01"
    here, there = (seen.here.region, seen.here.place), (seen.there.region, seen.there.place)
    for mine, theirs in zip(here, there, strict=True):
        value = value.replace(mine, first).replace(theirs, second)
        value = value.replace(first, theirs).replace(second, mine)
    return value
