"""One lab for these tests, in a directory of its own, next to whatever else runs on the machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import boto3.session
import pytest

from lab import environment, lifecycle
from lab.plan import LabPlan, plan_lab

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
