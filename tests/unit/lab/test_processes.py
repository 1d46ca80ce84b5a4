"""A process is known by more than its pid, and only what is known is ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.processes import (
    Registry,
    end,
    has_ended,
    read_records,
    record_process,
    run_quietly,
    tied_to_parent,
    wait_ended,
)

WAITS = "import signal; signal.signal(signal.SIGTERM, signal.{}); print('ready', flush=True); input()"


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[str]]:
    with _python(WAITS.format("SIG_IGN")) as process:
        yield process
        process.kill()


def _python(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_record_finds_its_process_again(tmp_path: Path) -> None:
    file = tmp_path / "processes.json"
    registry = Registry(file)
    registry.add("we", os.getpid())
    registry.add("they", os.getppid())
    registry.remove("they")
    (record,) = read_records(file)
    found = record.running()
    assert found is not None
    assert found.pid == os.getpid()


def test_another_start_time_or_command_is_another_process() -> None:
    record = record_process("we", os.getpid())
    assert replace(record, started=record.started - 60).running() is None
    assert replace(record, command="postgres").running() is None


def test_nothing_was_recorded_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none.json") == ()


def test_who_ignores_the_request_to_end_is_killed(stubborn: subprocess.Popen[str]) -> None:
    end([psutil.Process(stubborn.pid)], patience=0.2)
    assert stubborn.wait(5) == -signal.SIGKILL


def test_a_process_nobody_waited_for_has_ended_all_the_same() -> None:
    with _python(WAITS.format("SIG_DFL")) as process:
        watched = psutil.Process(process.pid)
        process.kill()
        assert wait_ended([watched], patience=5) == []
        assert has_ended(watched)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_a_tied_child_ends_with_its_parent() -> None:
    child = WAITS.format("SIG_DFL")
    parent = (
        "import signal, subprocess, sys\n"
        "from lab.processes import tied_to_parent\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE,\n"
        "    preexec_fn=tied_to_parent(signal.SIGTERM), stdout=subprocess.PIPE, text=True)\n"
        "child.stdout.readline(); print('ready', flush=True); print(child.pid, flush=True); input()"
    )
    with _python(parent) as process:
        assert process.stdout
        grandchild = psutil.Process(int(process.stdout.readline()))
        process.kill()
        assert wait_ended([grandchild], patience=5) == []
    assert tied_to_parent(signal.SIGTERM) is not None


def test_a_failed_command_says_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="ended with 3: no such luck"):
        run_quietly([sys.executable, "-c", "import sys; sys.stderr.write('no such luck'); sys.exit(3)"])
