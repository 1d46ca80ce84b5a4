"""The last part of an environment's life, in a lab of its own: its engine is upgraded, it is torn down."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import environment
from tests.integration.system.deployment import Client, System, deployed, run, tool

_OPS = (sys.executable, "-m", "ops", "--environment", "lab")


@pytest.fixture(scope="module")
def doomed(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with deployed(workspace, tmp_path_factory.mktemp("doomed")) as system:
        yield system


def operate(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_OPS, *arguments],
        cwd=system.workspace,
        env=environment.for_child(system.plan, os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def killed_at(system: System, said: str, *arguments: str) -> None:
    """Ends the command as soon as it says that."""
    with subprocess.Popen(
        [*_OPS, *arguments],
        cwd=system.workspace,
        env=environment.for_child(system.plan, os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        assert command.stdout is not None
        lines = []
        for line in command.stdout:
            lines.append(line)
            if said in line:
                command.kill()
                return
    pytest.fail(f"it never said {said!r}: {''.join(lines)}")


def versions(system: System) -> set[str]:
    clusters = [system.aws("rds", region).describe_db_clusters()["DBClusters"] for region in system.regions]
    return {cluster["EngineVersion"] for found in clusters for cluster in found}


def test_the_engine_is_upgraded_and_then_deployed_as_it_runs(doomed: System) -> None:
    configured = (doomed.workspace / "deployment.toml").read_text()
    later = configured.replace(
        "[environments.lab.database]", '[environments.lab.database]\nengine_version = "14.22"'
    )
    (doomed.workspace / "later.toml").write_text(later)
    build = [sys.executable, "build.py", "--environment", "lab", "--config", "later.toml", "--out", "later"]
    run(build, cwd=doomed.workspace)

    planned = operate(doomed, "--config", "later.toml", "upgrade", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "us-east-2 (copy) 14.6, then us-east-1 (writer) 14.6" in planned.stderr
    assert versions(doomed) == {"14.6"}
    done = operate(doomed, "--config", "later.toml", "upgrade", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.index("upgrade the ledger in us-east-2") < done.stderr.index(
        "upgrade the ledger in us-east-1"
    )
    assert json.loads(done.stdout)["undeclared"] == list(doomed.regions)
    assert versions(doomed) == {"14.22"}

    variables = {**environment.for_child(doomed.plan, os.environ), "SAM_CLI_POLL_DELAY": "1"}
    options = [
        "--config-env",
        "lab",
        "--template-file",
        "later/root.json",
        "--config-file",
        "../samconfig.toml",
    ]
    run([tool("sam"), "deploy", *options, "--no-progressbar"], cwd=doomed.workspace, variables=variables)
    again = operate(doomed, "--config", "later.toml", "upgrade", "--json")
    assert (again.returncode, json.loads(again.stdout)["undeclared"]) == (0, [])
    assert versions(doomed) == {"14.22"}
    with Client(doomed, doomed.primary) as client:
        client.sign_in()
        assert client.pay().status_code == 201


def test_after_a_change_of_roles_nothing_is_to_be_repaired(doomed: System) -> None:
    moved = operate(doomed, "failover", "--to", doomed.secondary, "--yes")
    assert moved.returncode == 0, moved.stderr
    found = operate(doomed, "diff", "--dist", "later", "--exit-code", "--json")
    assert found.returncode == 0, found.stdout
    seen = json.loads(found.stdout)
    assert not seen["differs"]
    assert {(one["stack"], one["name"], one["expected"]) for one in seen["drift"]} >= {
        ("data", "GlobalClusterIdentifier", True),
        ("data", "SourceDBClusterIdentifier", True),
        ("root", "SourceDBClusterIdentifier", True),
    }
    assert all(one["expected"] for one in seen["drift"])


def test_an_environment_is_torn_down_to_the_last_thing_wherever_the_writer_is(doomed: System) -> None:
    tables = doomed.aws("dynamodb", doomed.primary)
    tables.update_table(TableName="payments-journal-lab", DeletionProtectionEnabled=True)

    refused = operate(doomed, "destroy", "--yes", "lab")
    assert refused.returncode == 1
    assert "deletion protection: table payments-journal-lab in us-east-1" in refused.stderr
    misspelt = operate(doomed, "destroy", "--yes", "prod", "--lift-protection")
    assert misspelt.returncode == 2
    assert tables.describe_table(TableName="payments-journal-lab")["Table"]["DeletionProtectionEnabled"]

    whole = ("destroy", "--yes", "lab", "--lift-protection", "--zone")
    killed_at(doomed, "delete service in", *whole)
    killed_at(doomed, "delete data in us-east-1", *whole)
    done = operate(doomed, *whole, "--json")

    assert done.returncode == 0, done.stderr
    assert "delete data in us-east-2" in done.stderr
    left = json.loads(done.stdout)["left"]
    assert {one["what"].split()[0] for one in left} <= {"key"}, left
    assert all("KMS deletes it on" in one["why"] for one in left)
    for region in doomed.plan.regions:
        stacks = doomed.aws("cloudformation", region).describe_stacks()["Stacks"]
        assert {stack["StackName"] for stack in stacks} <= {"aws-sam-cli-managed-default"}
        assert tables.list_tables()["TableNames"] == []
        assert doomed.aws("rds", region).describe_db_clusters()["DBClusters"] == []
    again = operate(doomed, *whole, "--json")
    assert (again.returncode, json.loads(again.stdout)["left"]) == (0, left)

    free = json.loads(operate(doomed, "preflight", "--json").stdout)["checks"]
    assert {one["answer"] for one in free if one["name"] in ("names", "addresses", "stack sets")} == {"yes"}
