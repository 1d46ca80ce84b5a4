"""What deploying does, again and with a change, and what it never does."""

import os
import subprocess
import sys
from typing import Any

import pytest

from lab import environment
from tests.integration.system.deployment import Client, System, tool

_STATEFUL = {
    "AWS::DynamoDB::GlobalTable",
    "AWS::EC2::VPC",
    "AWS::KMS::Key",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::RDS::GlobalCluster",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}


def _events(system: System) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every stack event so far, by region, stack and event id."""
    return {
        (region, stack, event["EventId"]): event
        for region in system.regions
        for stack, described in system.stacks(region).items()
        for event in system.aws("cloudformation", region).describe_stack_events(
            StackName=described["StackId"]
        )["StackEvents"]
    }


def _code(system: System) -> dict[tuple[str, str], str]:
    """The hash of every function's code."""
    return {
        (region, function["FunctionName"]): function["CodeSha256"]
        for region in system.regions
        for function in system.aws("lambda", region).list_functions()["Functions"]
    }


def test_every_stack_is_complete_in_the_regions_it_belongs_to(system: System) -> None:
    expected = {
        system.primary: {"zone", "root", "foundation", "data", "service"},
        system.secondary: {"foundation", "data", "service"},
        system.witness: {"witness"},
    }
    for region in expected:
        stacks = system.stacks(region)
        assert set(stacks) == expected[region]
        assert {stack["StackStatus"] for stack in stacks.values()} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_deploying_again_says_that_nothing_changed(system: System) -> None:
    before = _events(system)

    said = system.deploy("lab")

    assert "No changes to deploy" in said
    assert _events(system) == before


def test_a_changed_function_is_updated_in_both_regions_and_nothing_stateful_is_touched(
    system: System, client: Client
) -> None:
    source = system.workspace / "src" / "handlers" / "api.py"
    source.write_text(f"{source.read_text()}\n# A change that changes nothing but the package.\n")
    events, code = _events(system), _code(system)

    system.build()
    system.deploy("lab")

    fresh = [event for key, event in _events(system).items() if key not in events]
    touched = {event["ResourceType"] for event in fresh}
    assert "AWS::Lambda::Function" in touched
    assert not touched & _STATEFUL
    changed = {name for name, digest in _code(system).items() if code[name] != digest}
    assert {
        (region, f"payments-api-{place}-lab")
        for region, place in zip(system.regions, ("primary", "secondary"), strict=True)
    } <= changed
    assert client.pay().status_code == 201


def _refused(system: System, variables: dict[str, str], *options: str) -> str:
    """What a deployment that has to fail says on both streams."""
    done = subprocess.run(
        [tool("sam"), "deploy", *options],
        cwd=system.workspace,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.parametrize("config_env", ["lab", "lab-zone"])
def test_what_was_built_for_another_environment_is_refused(system: System, config_env: str) -> None:
    """Before there is a change set: nothing of the stack is touched."""
    before = _events(system)
    variables = environment.for_child(system.plan, os.environ)

    said = _refused(
        system, variables, "--config-env", config_env, "--parameter-overrides", "Environment=prod"
    )

    assert "Failed to create changeset" in said
    assert "AllowedValues" in said
    assert _events(system) == before


def test_without_a_lab_the_lab_deployment_reaches_no_aws(system: System, tmp_path: Any) -> None:
    """As on a developer's machine: real credentials may be around, the lab's profile is not."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    variables |= {"HOME": str(tmp_path), "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true"}

    said = _refused(system, variables, "--config-env", "lab")

    assert "payments-lab" in said
    assert "could not be found" in said


def test_building_twice_gives_the_same_bytes(system: System, tmp_path: Any) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        subprocess.run(
            [sys.executable, "build.py", "--environment", "lab", "--out", str(out)],
            cwd=system.workspace,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    one, two = (
        {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
        for out in outs
    )
    assert one == two
