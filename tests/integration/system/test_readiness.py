"""`python -m ops readiness` against the deployed system, with what a failover needs taken away."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from typing import Any

from lab import environment
from ops.surroundings import ENDPOINTS
from tests.integration.system.deployment import Client, System, eventually

_NOBODY_LISTENS = 9
_KEY = "alias/payments-data-secondary-lab"


def readiness(system: System, *arguments: str, lost: Collection[str] = ()) -> tuple[int, dict[str, Any]]:
    """As somebody sees it who gets no answer from AWS in these regions."""
    variables = environment.for_child(system.plan, os.environ)
    endpoints = json.loads(variables[ENDPOINTS])
    for region in lost:
        endpoints[region] = f"http://{system.plan.regions[region].address}:{_NOBODY_LISTENS}"
    done = subprocess.run(
        [sys.executable, "-m", "ops", "--environment", "lab", "readiness", "--json", *arguments],
        cwd=system.workspace,
        env=variables | {ENDPOINTS: json.dumps(endpoints)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def answers(said: dict[str, Any]) -> dict[tuple[str, str | None], str]:
    """But for alarms, which the doings of other tests may ring."""
    return {(one["name"], one["region"]): one["answer"] for one in said["checks"] if one["name"] != "alarms"}


def test_the_deployed_system_is_ready(system: System, client: Client) -> None:
    assert client.pay().status_code == 201

    def known() -> dict[str, Any] | None:
        """The lab measures how far the copy is behind every half minute, and may be slow at first."""
        code, said = readiness(system)
        assert code == (0 if said["ready"] else 1)
        return None if "unknown" in answers(said).values() else said

    said = eventually(known, "a readiness without anything unknown", patience=120)
    assert said["target"] == system.secondary
    against = [one for one in said["checks"] if one["answer"] != "yes" and one["name"] != "alarms"]
    assert not against
    (ledgers,) = [one for one in said["checks"] if one["name"] == "ledgers"]
    assert ledgers["why"].startswith("the newest ")
    assert ledgers["why"] != "the newest 0 payments are the same"


def test_what_a_failover_would_lack_is_named(system: System) -> None:
    kms, lambdas = (system.aws(service, system.secondary) for service in ("kms", "lambda"))
    fence = "payments-fence-secondary-lab"
    key = kms.describe_key(KeyId=_KEY)["KeyMetadata"]["KeyId"]
    lambdas.put_function_concurrency(FunctionName=fence, ReservedConcurrentExecutions=0)
    kms.disable_key(KeyId=key)
    try:
        code, said = readiness(system)
    finally:
        kms.enable_key(KeyId=key)
        lambdas.delete_function_concurrency(FunctionName=fence)
    assert code == 1
    found = answers(said)
    assert found["key", system.secondary] == "no"
    assert found["functions", system.secondary] == "no"
    assert found["key", system.primary] == "yes"


def test_a_region_that_does_not_answer_is_unknown(system: System) -> None:
    code, said = readiness(system, lost=[system.primary])
    assert code == 1
    assert said["target"] == system.secondary
    found = answers(said)
    assert found["tables", system.primary] == "unknown"
    assert found["tables", system.secondary] == "yes"
    assert found["ledgers", None] == "yes"  # its own function still reaches both databases
    assert "no" not in found.values()


def test_the_other_direction_is_asked_for_by_name(system: System) -> None:
    """Which is not to be gone: the region is active."""
    code, said = readiness(system, "--to", system.primary)
    assert (code, said["target"]) == (1, system.primary)
    (control,) = [one for one in said["checks"] if one["name"] == "control record"]
    assert control["why"] == f"{system.primary} is active already"
