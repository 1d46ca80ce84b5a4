"""A minor upgrade of the ledger's engine, the standby's cluster first: what comes next, given what runs.

In this order because AWS asks for it:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-upgrade.html
Between the two the regions run different versions, and RDS may refuse to change the writer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from failover.clock import Clock
from failover.errors import Unavailable
from ops.directory import Rejected

PATIENCE_SECONDS: Final = 3600.0  # for one cluster
_LOOK_EVERY_SECONDS: Final = 5.0
_AVAILABLE: Final = "available"
_AGAIN: Final = "run the same command again, it goes on from here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """As its own region's RDS describes it. `targets` are the minor versions it can be brought to."""

    region: str
    name: str
    writer: bool
    attached: bool | None
    version: str
    status: str
    instances: tuple[str, ...]  # their statuses
    targets: frozenset[str]
    declared: str | None  # the version in the deployed template of its stack

    def runs(self, version: str) -> bool:
        """Settled, and following the writer: a copy that restarts falls off it for a while."""
        settled = self.status == _AVAILABLE and all(status == _AVAILABLE for status in self.instances)
        return settled and self.version == version and (self.writer or self.attached is not False)


@dataclass(frozen=True, slots=True)
class Seen:
    state: str  # of the global cluster
    changing: str | None  # the region that is becoming the writer
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True, slots=True)
class Upgrade:
    region: str
    cluster: str
    version: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the cluster has settled, under whatever version."""

    region: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Done:
    pass


Step = Upgrade | Wait | Done


def objection(seen: Seen, version: str, *, begun: bool = False) -> Rejected | None:
    """Why not to begin, or to go on. Where a cluster runs the version already, its targets matter no more."""
    if len(seen.clusters) != 2 or sum(cluster.writer for cluster in seen.clusters) != 1:
        todo = "`status` says which is missing; upgrade when both regions are there"
        return Rejected(f"ledger: a global database with a writer and a copy is needed; {todo}", 1)
    if seen.changing is not None:
        return Rejected(f"ledger: the writer changes over to {seen.changing}; wait until that has ended", 1)
    for cluster in seen.clusters:
        where = f"ledger in {cluster.region}"
        if not begun and not cluster.writer and cluster.attached is False:
            return Rejected(
                f"{where}: it is not attached to the writer; wait until it is, `status` says when", 1
            )
        if cluster.version == version:
            continue
        if cluster.version.split(".")[0] != version.split(".")[0]:
            todo = "a major upgrade is another procedure, of the global cluster as a whole"
            return Rejected(f"{where}: {cluster.version} to {version} is no minor upgrade; {todo}", 1)
        if version not in cluster.targets:
            known = ", ".join(sorted(cluster.targets, key=_order)) or "none"
            what = f"AWS offers no upgrade from {cluster.version} to {version}"
            return Rejected(
                f"{where}: {what}; offered: {known}; set database.engine_version to one of them", 1
            )
    return None


def next_step(seen: Seen, version: str) -> Step:
    """Only a standby that runs the new version, settled, lets the writer be touched."""
    for cluster in sorted(seen.clusters, key=lambda cluster: cluster.writer):
        if cluster.runs(version):
            continue
        if cluster.version == version or cluster.status != _AVAILABLE:
            return Wait(cluster.region, cluster.name)
        return Upgrade(cluster.region, cluster.name, version)
    return Done()


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def announced(seen: Seen, version: str) -> str:
    clusters = sorted(seen.clusters, key=lambda cluster: cluster.writer)
    steps = [
        f"{cluster.region} ({'writer' if cluster.writer else 'copy'}) {cluster.version}"
        for cluster in clusters
        if not cluster.runs(version)
    ]
    return (
        f"to {version}, one after the other: {', then '.join(steps)}. Until both have it, RDS may refuse to"
        " change the writer; while the writer restarts, payments are accepted (202) and posted afterwards"
    )


def undeclared(seen: Seen, version: str) -> list[str]:
    """The regions whose deployed template still says another version."""
    return [cluster.region for cluster in seen.clusters if cluster.declared not in (None, version)]


class World(Protocol):
    def seen(self) -> Seen: ...

    def begin(self, step: Upgrade) -> None: ...


def upgraded(
    world: World, version: str, clock: Clock, tell: Callable[[str], None], patience: float = PATIENCE_SECONDS
) -> Seen:
    """What runs in the end. Raises Rejected where something is in the way, or one cluster took too long."""
    give_up = clock.now().later(patience)
    asked: set[str] = set()
    why = ""
    while True:
        try:
            seen = world.seen()
            if (refused := objection(seen, version, begun=bool(asked))) is not None:
                raise refused
            step = next_step(seen, version)
            match step:
                case Done():
                    return seen
                case Upgrade(region) if region not in asked:
                    tell(f"upgrade the ledger in {region} to {version} ...")
                    world.begin(step)
                    asked.add(region)
                    give_up = clock.now().later(patience)
            why = "; ".join(f"{one.region} runs {one.version}, {one.status}" for one in seen.clusters)
        except Unavailable as unknown:
            why = str(unknown)
        if clock.now().reached(give_up):
            raise Rejected(f"ledger: not upgraded within {patience:.0f} s: {why}; {_AGAIN}", 1)
        clock.sleep(_LOOK_EVERY_SECONDS)


def document(seen: Seen, version: str, changed: Sequence[str]) -> Mapping[str, Any]:
    return {
        "version": version,
        "running": {cluster.region: cluster.version for cluster in seen.clusters},
        "upgraded": list(changed),
        "undeclared": undeclared(seen, version),
    }


def text(seen: Seen, version: str, changed: Sequence[str]) -> str:
    told = f"both regions run {version}" if changed else f"both regions run {version} already"
    if behind := undeclared(seen, version):
        return f"{told}; deploy this build now, the stacks in {' and '.join(behind)} say another version"
    return told
