"""`python -m lab` as a user runs it: up and down again and again, after crashes, beside others' processes."""

import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import psutil
import psycopg
import pytest

from lab.plan import LabPlan, plan_file, read_plan
from lab.processes import has_ended, read_records
from tests.integration.lab.conftest import eventually

pytestmark = pytest.mark.lab
REPOSITORY = Path(__file__).resolve().parents[3]


def lab_command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *arguments, "--directory", str(directory)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    lab_command(tmp_path / "lab", "down")


@pytest.fixture
def up(directory: Path) -> LabPlan:
    done = lab_command(directory, "up")
    assert done.returncode == 0, done.stderr
    return read_plan(plan_file(directory))


def processes(plan: LabPlan) -> list[psutil.Process]:
    own = [process for record in read_records(plan.processes_file) if (process := record.running())]
    return [member for process in own for member in (process, *process.children(recursive=True))]


def test_up_and_down_may_be_said_twice(directory: Path, up: LabPlan) -> None:
    again = lab_command(directory, "up")
    assert (again.returncode, again.stdout.strip()) == (0, "The lab is up already.")
    running = processes(up)
    assert len(running) >= 2
    first = lab_command(directory, "down")
    assert (first.returncode, first.stdout.strip()) == (0, "The lab is down.")
    assert all(has_ended(process) for process in running)
    assert not up.runtime_directory.exists()
    assert sorted(path.name for path in directory.iterdir()) == ["lock", "logs"]
    second = lab_command(directory, "down")
    assert (second.returncode, second.stdout.strip()) == (0, "The lab is down already.")


def test_a_lock_that_the_starter_held_is_free_once_the_starter_has_ended(
    directory: Path, tmp_path: Path
) -> None:
    with (tmp_path / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "lab", "up", "--directory", str(directory)]
        subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120, pass_fds=[held.fileno()])
    with (tmp_path / "held").open("w") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_down_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for place in ("mine", "not/there"):
        done = lab_command(tmp_path / place, "down")
        assert (done.returncode, done.stdout.strip()) == (0, "The lab is down already.")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("module", ["lab", "ops"])
def test_without_a_command_usage_is_told_on_stderr(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Usage: python -m {module}" in done.stderr
    assert "Missing command" in done.stderr


def test_every_port_is_bound_on_loopback_only(lab: LabPlan) -> None:
    listening = {
        connection.laddr.ip
        for process in processes(lab)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert all(ip_address(address).is_loopback for address in listening)


def test_status_without_a_lab_says_what_to_do(directory: Path) -> None:
    done = lab_command(directory, "status", "--json")
    assert done.returncode == 1
    assert "python -m lab up" in done.stderr
    assert not done.stdout


def test_status_has_the_shape_of_the_contract(lab: LabPlan) -> None:
    status = json.loads(lab_command(lab.directory, "status", "--json").stdout)
    assert status.keys() == {"dns", "domain", "aws_endpoint_url", "ca_file", "regions", "merchants"}
    host, port = status["dns"].pop("host"), status["dns"].pop("port")
    assert not status["dns"]
    assert (host, port) == lab.dns
    assert status["regions"].keys() == {region.name for region in lab.data_regions}
    for region in status["regions"].values():
        assert region.keys() == {"state", "api_base_url", "postgres_dsn"}
        assert region["state"] == "up"
        parameters = psycopg.conninfo.conninfo_to_dict(region["postgres_dsn"])
        assert parameters["sslmode"] == "verify-full"
        assert parameters["sslrootcert"] == status["ca_file"]


def test_the_environment_leads_to_the_lab_whatever_was_set_before(lab: LabPlan) -> None:
    exports = lab_command(lab.directory, "env").stdout
    asked = (
        "import boto3, os; print(boto3.client('sts').get_caller_identity()['Arn']);"
        "print(*sorted(name for name in os.environ if name.startswith('AWS_')))"
    )
    host = {
        **os.environ,
        "AWS_PROFILE": "someone",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_CLOUDFORMATION": "https://cloudformation.us-east-1.amazonaws.com",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9",
        "AWS_CA_BUNDLE": "/nowhere.pem",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_SOMETHING_NEW": "two words\nAWS_LINE=of its own",
    }
    script = f"set -eu\n{exports}\n{shlex.quote(sys.executable)} -c {shlex.quote(asked)}"
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-c", script], env=host, capture_output=True, text=True, check=False)
        caller, left = done.stdout.splitlines() or ("", done.stderr)
        assert caller == f"arn:aws:iam::{lab.account_id}:root", done.stderr
        assert left.split() == [
            "AWS_CONFIG_FILE",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_ENDPOINT_URL",
            "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
        ]


def test_without_a_lab_its_profile_does_not_exist(directory: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    asked = "import boto3; boto3.Session(profile_name='payments-lab').client('sts')"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=False
    )
    assert "ProfileNotFound" in done.stderr


def test_a_taken_port_is_named_with_its_holder(directory: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = lab_command(directory, "up", "--base-port", str(port))
        assert done.returncode == 2
        assert f"127.0.0.1:{port} is in use by" in done.stderr
        assert f"(pid {os.getpid()})" in done.stderr
        assert "--base-port" in done.stderr
    assert not plan_file(directory).exists()


def test_when_the_supervisor_is_killed_its_parts_end_and_up_starts_anew(directory: Path, up: LabPlan) -> None:
    running = processes(up)
    supervisor = next(r for r in read_records(up.processes_file) if r.name == "supervisor")
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: all(has_ended(process) for process in running))
    done = lab_command(directory, "up")
    assert done.returncode == 0, done.stderr
    assert "Removed what an earlier lab left." in done.stderr
    assert not up.runtime_directory.exists()


def test_a_pid_that_is_somebody_else_s_by_now_is_left_alone(directory: Path, up: LabPlan) -> None:
    records = json.loads(up.processes_file.read_text())
    lab_command(directory, "down")
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        up.write()
        up.processes_file.write_text(json.dumps([{**record, "pid": stranger.pid} for record in records]))
        assert lab_command(directory, "down").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_when_the_embedded_aws_dies_the_lab_ends_and_says_why(directory: Path, up: LabPlan) -> None:
    running = processes(up)
    embedded = next(r for r in read_records(up.processes_file) if r.name == "embedded AWS")
    os.kill(embedded.pid, signal.SIGKILL)
    eventually(lambda: all(has_ended(process) for process in running))
    assert "the embedded AWS ended by itself" in (up.logs / "supervisor.log").read_text()
    assert lab_command(directory, "status").returncode == 1


def interrupted_while_starting(directory: Path) -> tuple[int, str, LabPlan, list[psutil.Process]]:
    """How `lab up` ended that was sent Ctrl-C as soon as it had begun, what it said, and its processes."""
    command = [sys.executable, "-m", "lab", "up", "--directory", str(directory)]
    starting = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    eventually(plan_file(directory).exists)
    plan = read_plan(plan_file(directory))
    eventually(plan.processes_file.exists)
    running = processes(plan)
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=30)
    return starting.returncode, said, plan, running


def test_control_c_while_starting_leaves_nothing(directory: Path) -> None:
    for _ in range(5):
        code, said, plan, running = interrupted_while_starting(directory)
        if code != 0:
            break
        assert lab_command(directory, "down").returncode == 0  # it was up before the signal came
    assert code == 130, said
    assert all(has_ended(process) for process in running)
    assert not plan.file.exists()
    assert not plan.runtime_directory.exists()
