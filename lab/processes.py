"""Processes the lab started: tied to their parent's life, recognised later, ended, and nobody else's."""

import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_LOOK_EVERY = 0.02
_SAME_START = 1.0  # seconds; psutil derives the start time from the boot time, which may be adjusted


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Enough to know a process again: a pid alone is reused sooner or later."""

    name: str
    pid: int
    started: float
    command: str

    def running(self) -> psutil.Process | None:
        """The process, if this pid is still the one that was recorded."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START
            alive = same and process.status() != psutil.STATUS_ZOMBIE
            return process if alive and "\0".join(process.cmdline()) == self.command else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def record_process(name: str, pid: int) -> ProcessRecord:
    process = psutil.Process(pid)
    return ProcessRecord(name, pid, process.create_time(), "\0".join(process.cmdline()))


def write_records(file: Path, records: Iterable[ProcessRecord]) -> None:
    scratch = file.with_suffix(".tmp")
    scratch.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n")
    scratch.replace(file)


def read_records(file: Path) -> tuple[ProcessRecord, ...]:
    """What was recorded; nothing when there is no such file."""
    try:
        return tuple(ProcessRecord(**value) for value in json.loads(file.read_text()))
    except FileNotFoundError:
        return ()


class Registry:
    """The processes that are ours now, in a file, for whoever must clean up after a crash."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._records: dict[str, ProcessRecord] = {}

    def add(self, name: str, pid: int) -> None:
        self._records[name] = record_process(name, pid)
        write_records(self._file, self._records.values())

    def remove(self, name: str) -> None:
        self._records.pop(name, None)
        write_records(self._file, self._records.values())


def end(processes: Iterable[psutil.Process], *, patience: float) -> None:
    """SIGTERM, then SIGKILL to what has not ended after `patience` seconds, children included."""
    families = {member for process in processes for member in _family(process)}
    for process in families:
        _signal(process, signal.SIGTERM)
    for process in wait_ended(families, patience):
        _signal(process, signal.SIGKILL)
    wait_ended(families, patience)


def has_ended(process: psutil.Process) -> bool:
    """Also while nobody has taken note of it: what adopts orphans in a container may take its time."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_ended(processes: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    """The ones that still run after `patience` seconds."""
    deadline = time.monotonic() + patience
    left = [process for process in processes if not has_ended(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        left = [process for process in left if not has_ended(process)]
    return left


def tied_to_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn`: Linux then signals the child when the *thread* that started it ends; None elsewhere.

    Where it is None, start the child through `lifeline_command`.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(
        None, use_errno=True
    ).prctl  # resolved before the fork: only a system call is left after it

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)

    return tie


def lifeline_command(command: list[str]) -> list[str]:
    """The command itself on Linux, elsewhere under a watcher that ends it when its parent is gone."""
    return command if sys.platform == "linux" else [sys.executable, "-m", "lab.lifeline", *command]


def last_lines(file: Path, count: int = 15) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(no log was written)"


def run_quietly(command: list[str], **options: object) -> str:
    """Run to the end; raises RuntimeError with what the command said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {said[-2000:]}")
    return str(done.stdout)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return
