"""One lab for these tests, in a directory of its own, next to whatever else runs on the machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import boto3.session
import pytest

from lab import environment, lifecycle
from lab.control import Control
from lab.plan import LabPlan, plan_lab
from tests.integration.lab.clusters import MASTER, PRIMARY, SECONDARY, connect
from tests.integration.lab.global_ledger import GLOBAL, LONG, OTHER, Global
from tests.integration.lab.stacks import cluster, global_cluster

REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}


@contextmanager
def running_lab(directory: Path) -> Iterator[LabPlan]:
    plan = plan_lab(directory=directory, regions=REGIONS, domain="payments.test")
    plan = replace(plan, alarm_seconds=1.0, rejoin_seconds=1.0)  # what takes minutes on AWS
    lifecycle.bring_up(plan, lambda _stage, _seconds: None)
    yield plan
    lifecycle.tear_down(plan.directory)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPlan]:
    with running_lab(tmp_path_factory.mktemp("lab")) as plan:
        yield plan


@pytest.fixture(scope="session")
def aws(lab: LabPlan) -> boto3.session.Session:
    return boto3.session.Session(**environment.credentials(lab), region_name="us-east-1")


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Until it holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def ledger(lab: LabPlan, aws: boto3.session.Session) -> Iterator[Global]:
    """In both regions, with a table; taken away whoever writes in the end."""
    made = Global(lab, aws)
    made.regions[PRIMARY].deploy("global", global_cluster(GLOBAL))
    made.regions[PRIMARY].deploy("database", cluster("ledger-primary", GLOBAL, **MASTER))
    made.regions[SECONDARY].deploy("database", cluster("ledger-secondary", GLOBAL))
    with connect(lab, PRIMARY) as writer:
        writer.execute("CREATE TABLE posted (id bigint PRIMARY KEY)")
    yield made
    control = Control(lab.control_socket)
    control.heal()
    for region in OTHER:
        control.restore_region(region)
        control.delay_replication(region, 0)
        control.isolate_database(region, isolated=False)
        control.start_database(region)
        control.freeze_database(region, frozen=False)
    eventually(made.is_settled, LONG)
    writer_region = made.writer()
    made.regions[OTHER[writer_region]].remove("database")
    made.regions[writer_region].remove("database")
    made.regions[PRIMARY].remove("global")


@pytest.fixture
def control(lab: LabPlan) -> Control:
    return Control(lab.control_socket)
