"""A region's functions are killed by name, a caller by its connection, not whoever has their pid now."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lab.function_processes import find_function, kill_caller, kill_functions

_ARN = "arn:aws:lambda:{region}:000000000000:function:{name}"


@contextmanager
def function(
    directory: Path, region: str, name: str, code: str = "input()"
) -> Iterator[subprocess.Popen[str]]:
    """A process that waits, recorded as the embedded AWS records a function's."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        record(directory, process.pid, region, name)
        try:
            yield process
        finally:
            process.kill()


def record(directory: Path, pid: int, region: str, name: str, age: float = 0.0) -> None:
    described = {
        "function": _ARN.format(region=region, name=name),
        "started": psutil.Process(pid).create_time() - age,
        "subnets": [],
        "security_groups": [],
    }
    (directory / f"{pid}.json").write_text(json.dumps(described))


def test_functions_of_a_name_and_region_are_killed_and_no_others(tmp_path: Path) -> None:
    with (
        function(tmp_path, "us-east-1", "payments-api") as api,
        function(tmp_path, "us-east-1", "payments-sweep") as sweep,
        function(tmp_path, "us-east-2", "payments-api") as elsewhere,
    ):
        assert kill_functions(tmp_path, "us-east-1", "*-api") == ["payments-api"]
        assert api.wait(timeout=10) == -9
        assert (sweep.poll(), elsewhere.poll()) == (None, None)
        assert kill_functions(tmp_path, "us-east-1") == ["payments-sweep"]


def test_whoever_has_the_pid_of_a_function_that_ended_is_left_alone(tmp_path: Path) -> None:
    with function(tmp_path, "us-east-1", "payments-api") as reused:
        record(tmp_path, reused.pid, "us-east-1", "payments-api", age=60)
        assert kill_functions(tmp_path, "us-east-1") == []
        assert reused.poll() is None


def test_a_caller_is_killed_by_its_end_of_a_connection(tmp_path: Path) -> None:
    connects = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.stdin.readline()))); input()"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        function(tmp_path, "us-east-1", "payments-api", connects) as caller,
        function(tmp_path, "us-east-1", "payments-sweep"),
    ):
        assert caller.stdin
        caller.stdin.write(f"{server.getsockname()[1]}\n")
        caller.stdin.flush()
        connection, peer = server.accept()
        with connection:
            found = find_function(tmp_path, peer)
            assert found
            assert (found.name, found.region) == ("payments-api", "us-east-1")
            assert kill_caller(tmp_path, peer) == "payments-api"
            assert caller.wait(timeout=10) == -9
            assert kill_caller(tmp_path, ("127.0.0.1", 1)) is None
