"""Upgrading the engine: the copy before the writer, and nothing that AWS would refuse half-way."""

from dataclasses import dataclass, field, replace

import pytest

from failover.errors import Unavailable
from ops import upgrade
from ops.directory import Rejected
from ops.upgrade import Cluster, Done, Seen, Upgrade, Wait, next_step, objection, upgraded
from tests.unit.ops.test_failover import Clock

HERE, THERE, OLD, NEW = "us-east-1", "us-east-2", "14.6", "14.22"
WRITER = Cluster(
    region=HERE,
    name="ledger-primary",
    writer=True,
    attached=True,
    version=OLD,
    status="available",
    instances=("available", "available"),
    targets=frozenset({"14.9", NEW}),
    declared=OLD,
)
COPY = replace(WRITER, region=THERE, name="ledger-secondary", writer=False)
BOTH = Seen("available", None, (WRITER, COPY))


def with_clusters(*clusters: Cluster) -> Seen:
    return Seen("available", None, clusters)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (BOTH, Upgrade(THERE, "ledger-secondary", NEW)),
        (with_clusters(COPY, WRITER), Upgrade(THERE, "ledger-secondary", NEW)),
        (with_clusters(WRITER, replace(COPY, status="upgrading")), Wait(THERE, "ledger-secondary")),
        (
            with_clusters(WRITER, replace(COPY, version=NEW, instances=("rebooting", "available"))),
            Wait(THERE, "ledger-secondary"),
        ),
        (with_clusters(WRITER, replace(COPY, version=NEW)), Upgrade(HERE, "ledger-primary", NEW)),
        # It follows the writer again before that restarts.
        (with_clusters(WRITER, replace(COPY, version=NEW, attached=False)), Wait(THERE, "ledger-secondary")),
        (
            with_clusters(replace(WRITER, status="upgrading"), replace(COPY, version=NEW)),
            Wait(HERE, "ledger-primary"),
        ),
        (with_clusters(replace(WRITER, version=NEW), replace(COPY, version=NEW)), Done()),
        # After a role swap the writer is in the secondary region.
        (
            with_clusters(replace(WRITER, writer=False), replace(COPY, writer=True)),
            Upgrade(HERE, "ledger-primary", NEW),
        ),
    ],
)
def test_the_copy_goes_before_the_writer(seen: Seen, step: upgrade.Step) -> None:
    assert next_step(seen, NEW) == step


@pytest.mark.parametrize(
    ("seen", "version", "why"),
    [
        (with_clusters(WRITER), NEW, "a writer and a copy is needed"),
        (with_clusters(WRITER, replace(COPY, writer=True)), NEW, "a writer and a copy is needed"),
        (replace(BOTH, changing=THERE), NEW, "changes over to us-east-2"),
        (with_clusters(WRITER, replace(COPY, attached=False)), NEW, "us-east-2: it is not attached"),
        (BOTH, "15.10", "14.6 to 15.10 is no minor upgrade"),
        (BOTH, "14.10", "no upgrade from 14.6 to 14.10; offered: 14.9, 14.22"),
        (with_clusters(WRITER, replace(COPY, version="14.9", targets=frozenset())), NEW, "offered: none"),
    ],
)
def test_what_aws_would_refuse_is_refused_before_anything_is_begun(
    seen: Seen, version: str, why: str
) -> None:
    refused = objection(seen, version)
    assert refused is not None
    assert why in str(refused)


def test_a_copy_that_falls_off_while_it_restarts_is_waited_for() -> None:
    restarting = with_clusters(WRITER, replace(COPY, attached=False, status="upgrading"))
    assert objection(restarting, NEW) is not None
    assert objection(restarting, NEW, begun=True) is None


def test_what_runs_the_version_already_needs_no_target() -> None:
    done = with_clusters(WRITER, replace(COPY, version=NEW, targets=frozenset()))
    assert objection(done, NEW) is None


@dataclass
class World:
    """Clusters that take a few looks to be upgraded; `lost` answers do not come."""

    clusters: dict[str, Cluster] = field(default_factory=lambda: {HERE: WRITER, THERE: COPY})
    begun: list[Upgrade] = field(default_factory=list)
    looks: int = 0
    lost: int = 0
    stuck: bool = False

    def seen(self) -> Seen:
        if self.lost > 0:
            self.lost -= 1
            raise Unavailable("ledger in us-east-2: ConnectTimeoutError")
        self.looks += 1
        if self.looks % 3 == 0 and not self.stuck:
            for region, cluster in self.clusters.items():
                if cluster.status == "upgrading":
                    self.clusters[region] = replace(cluster, status="available", version=NEW)
        return Seen("available", None, tuple(self.clusters.values()))

    def begin(self, step: Upgrade) -> None:
        self.begun.append(step)
        cluster = self.clusters[step.region]
        assert cluster.status == "available"
        others = [one for region, one in self.clusters.items() if region != step.region]
        assert all(one.runs(one.version) for one in others), "one at a time"
        self.clusters[step.region] = replace(cluster, status="upgrading")


def test_both_are_upgraded_one_after_the_other_whatever_answers_are_lost() -> None:
    world = World(lost=2)
    said: list[str] = []
    seen = upgraded(world, NEW, Clock(), said.append, patience=600)
    assert [step.region for step in world.begun] == [THERE, HERE]
    assert next_step(seen, NEW) == Done()
    assert said == [
        "upgrade the ledger in us-east-2 to 14.22 ...",
        "upgrade the ledger in us-east-1 to 14.22 ...",
    ]


def test_a_run_that_was_broken_off_is_gone_on_with() -> None:
    world = World()
    world.clusters[THERE] = replace(COPY, status="upgrading")
    upgraded(world, NEW, Clock(), lambda _: None, patience=600)
    assert [step.region for step in world.begun] == [HERE]


def test_a_cluster_that_takes_too_long_ends_the_run() -> None:
    with pytest.raises(
        Rejected, match=r"not upgraded within 60 s: .*us-east-2 runs 14\.6, upgrading; run the same"
    ):
        upgraded(World(stuck=True), NEW, Clock(), lambda _: None, patience=60)


def test_what_the_stacks_say_is_compared_with_what_runs() -> None:
    new = with_clusters(replace(WRITER, version=NEW), replace(COPY, version=NEW, declared=NEW))
    assert upgrade.document(new, NEW, [HERE])["undeclared"] == [HERE]
    assert "deploy this build now, the stacks in us-east-1 say another" in upgrade.text(new, NEW, [HERE])
    said = with_clusters(*(replace(cluster, declared=NEW) for cluster in new.clusters))
    assert upgrade.text(said, NEW, []) == "both regions run 14.22 already"


def test_what_it_costs_is_said_before() -> None:
    said = upgrade.announced(BOTH, NEW)
    assert "us-east-2 (copy) 14.6, then us-east-1 (writer) 14.6" in said
    assert "RDS may refuse to change the writer" in said
