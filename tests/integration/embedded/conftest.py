"""One embedded AWS for the session, started as the lab starts it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lab.plan import plan_lab
from tests.integration.embedded.embedded_aws import REGIONS, ROOT, EmbeddedAws, eventually
from tests.ports import free_port


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    directory = tmp_path_factory.mktemp("embedded")
    plan = plan_lab(directory=directory, regions=REGIONS, domain="payments.test", base_port=free_port())
    # There is no proxy here: functions talk to the embedded AWS itself.
    straight: dict[str, Any] = {"address": plan.gateway_address, "proxy_port": plan.gateway_port}
    often: dict[str, Any] = {"alarm_seconds": 0.2, "trail_seconds": 0.5}  # what takes minutes on AWS
    plan = replace(
        plan,
        **often,
        dns_port=free_port(),
        regions={name: replace(region, **straight) for name, region in plan.regions.items()},
    )
    plan.write()
    log = directory / "embedded.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.embedded", "--plan", str(plan.file)],
            cwd=ROOT,
            env={**os.environ, "LOG_LEVEL": "WARNING"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def answers() -> bool:
            if process.poll() is not None:
                pytest.fail(f"the embedded AWS ended with {process.returncode}:\n{log.read_text()}")
            with socket.socket() as probe:
                return probe.connect_ex((plan.gateway_address, plan.gateway_port)) == 0

        eventually(answers, "the embedded AWS answers")
        yield EmbeddedAws(plan, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
