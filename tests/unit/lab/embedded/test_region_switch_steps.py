"""What Region switch asks of RDS, by how the plan was started."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from lab import outages
from lab.embedded.region_switch_state import Execution
from lab.embedded.region_switch_steps import Block, Cancelled, StepFailed, promote
from lab.outages import Outages
from lab.plan import PLAN_VARIABLE, plan_lab

_CLUSTERS = [f"arn:aws:rds:{region}:000000000000:cluster:ledger" for region in ("us-east-1", "us-east-2")]
_CONFIG = {
    "globalClusterIdentifier": "ledger",
    "databaseClusterArns": _CLUSTERS,
    "behavior": "switchoverOnly",
    "ungraceful": {"ungraceful": "failover"},
    "timeoutMinutes": 1,
}


@dataclass
class Rds:
    """The writer changes after so many looks at it; never without having been asked."""

    writer: str = _CLUSTERS[0]
    looks: int = 0
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    under_way: str = ""
    looked: Callable[[], None] = lambda: None

    def describe_global_clusters(self, **_: str) -> dict[str, Any]:
        self.looked()
        if self.asked:
            self.looks -= 1
            if self.looks < 0:
                self.writer = self.asked[0][1]["TargetDbClusterIdentifier"]
        towards = {"FailoverState": {"ToDbClusterArn": self.under_way}} if self.under_way else {}
        members = [{"DBClusterArn": arn, "IsWriter": arn == self.writer} for arn in _CLUSTERS]
        return {"GlobalClusters": [{"GlobalClusterMembers": members, **towards}]}

    def switchover_global_cluster(self, **request: Any) -> None:
        self.asked.append(("switchover", request))

    def failover_global_cluster(self, **request: Any) -> None:
        self.asked.append(("failover", request))


def _block(rds: Rds, mode: str, **config: Any) -> Block:
    execution = Execution(
        plan={}, plan_arn="arn", version=1, region="us-east-2", action="activate", mode=mode
    )
    execution.begin_step("promote", "AuroraGlobalDatabase")
    return Block(execution, "promote", {**_CONFIG, **config}, lambda _: rds)


_WANTED = {"GlobalClusterIdentifier": "ledger", "TargetDbClusterIdentifier": _CLUSTERS[1]}


def test_graceful_loses_nothing_and_waits_for_the_new_writer() -> None:
    rds = Rds(looks=1)
    promote(_block(rds, "graceful"))
    assert rds.asked == [("switchover", _WANTED)]
    assert rds.writer == _CLUSTERS[1]


def test_ungraceful_fails_over_where_the_step_says_so() -> None:
    rds = Rds()
    promote(_block(rds, "ungraceful"))
    assert rds.asked == [("failover", {**_WANTED, "AllowDataLoss": True})]
    rds = Rds()
    promote(_block(rds, "ungraceful", ungraceful={}))
    assert rds.asked == [("switchover", _WANTED)]


def test_a_step_that_is_switched_fails_over_once_nothing_else_is_under_way() -> None:
    rds = Rds(looks=100)
    block = _block(rds, "graceful")
    looks = iter(range(100))

    def looked() -> None:
        look = next(looks)
        rds.under_way = _CLUSTERS[1] if 0 < look < 3 else ""
        if look == 1:
            block.execution.switch_step_to_ungraceful("promote")
        if [kind for kind, _ in rds.asked] == ["switchover", "failover"]:
            rds.looks = 0

    rds.looked = looked
    promote(block)
    assert [kind for kind, _ in rds.asked] == ["switchover", "failover"]
    assert next(looks) > 3


def test_a_step_that_is_set_to_fail_over_always_does() -> None:
    rds = Rds()
    promote(_block(rds, "graceful", behavior="failover"))
    assert [name for name, _ in rds.asked] == ["failover"]


def test_whoever_is_the_writer_is_not_promoted_again() -> None:
    rds = Rds(writer=_CLUSTERS[1])
    promote(_block(rds, "ungraceful"))
    assert not rds.asked


def test_a_promotion_that_somebody_else_began_is_waited_for() -> None:
    rds = Rds(under_way=_CLUSTERS[1])

    def ended() -> None:
        rds.writer = _CLUSTERS[1]

    rds.looked = lambda: threading.Timer(0.2, ended).start()
    promote(_block(rds, "graceful"))
    assert not rds.asked


def test_a_promotion_of_somebody_else_s_that_came_to_nothing_is_begun_again() -> None:
    rds = Rds(under_way=_CLUSTERS[1])

    def cancelled() -> None:
        rds.under_way = ""

    rds.looked = lambda: threading.Timer(0.2, cancelled).start()
    promote(_block(rds, "graceful"))
    assert rds.asked == [("switchover", _WANTED)]


def test_a_promotion_that_does_not_end_fails_the_step() -> None:
    with pytest.raises(StepFailed, match="is not the writer of ledger"):
        promote(_block(Rds(looks=1000), "graceful", timeoutMinutes=0.001))


def test_a_step_stands_still_with_its_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}
    plan = plan_lab(directory=tmp_path, regions=regions, domain="payments.test")
    plan = replace(plan, runtime_directory=tmp_path)
    plan.write()
    monkeypatch.setenv(PLAN_VARIABLE, str(plan.file))

    def dies_while_it_is_asked() -> None:
        if not back.is_alive() and not is_back.is_set():
            outages.write(plan.outages_file, Outages(down=frozenset({"us-east-2"})))
            back.start()
            raise EndpointConnectionError(endpoint_url="https://rds.us-east-2.amazonaws.com")
        assert is_back.is_set(), "asked while the region was dead"

    def comes_back() -> None:
        is_back.set()
        outages.write(plan.outages_file, Outages())

    is_back, back = threading.Event(), threading.Timer(0.5, comes_back)
    rds = Rds(looked=dies_while_it_is_asked)
    promote(_block(rds, "graceful"))
    assert rds.asked == [("switchover", _WANTED)]


def test_a_cancelled_execution_does_not_wait() -> None:
    rds = Rds(looks=1000)
    block = _block(rds, "graceful")
    rds.looked = lambda: threading.Timer(0.05, block.execution.cancelled.set).start()
    with pytest.raises(Cancelled):
        promote(block)


def test_a_region_without_a_cluster_fails_the_step() -> None:
    with pytest.raises(StepFailed, match="nothing in us-east-2"):
        promote(_block(Rds(), "graceful", databaseClusterArns=_CLUSTERS[:1]))
