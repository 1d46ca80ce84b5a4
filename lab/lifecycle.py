"""Bringing the lab up and down: one supervisor at a time, and nothing left of one that crashed."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil

from lab import directories
from lab.addresses import require_free
from lab.control import Control, ControlError, NoSupervisorError
from lab.plan import LabPlan, plan_file, read_plan
from lab.processes import end, has_ended, last_lines, read_records, wait_ended

_UP_DEADLINE = 120.0  # seconds; six on a quiet machine
_DOWN_PATIENCE = 30.0  # seconds for an orderly end before processes are killed
_LOOK_EVERY = 0.05
_REPOSITORY = Path(__file__).resolve().parent.parent

Progress = Callable[[str, float], None]


class LabError(Exception):
    """What went wrong and what to do next, for the person at the terminal."""


def running_plan(directory: Path) -> LabPlan | None:
    """The plan of the lab that is up in this directory, with every part of it answering."""
    try:
        plan = read_plan(plan_file(directory))
        return plan if Control(plan.control_socket).status()["ready"] else None
    except (FileNotFoundError, ValueError, ControlError):
        return None


def bring_up(plan: LabPlan, progress: Progress) -> None:
    """Returns when every part answers. Raises PortTakenError or LabError and then leaves nothing behind."""
    require_free(plan.endpoints())
    require_free([plan.dns], by="udp")
    plan.write()
    plan.logs.mkdir(parents=True, exist_ok=True)
    log = plan.logs / "supervisor.log"
    supervisor = _detach([sys.executable, "-m", "lab.supervisor", "--plan", str(plan.file)], log)
    try:
        _wait(supervisor, plan, log, progress)
    except BaseException:  # Ctrl-C too: a lab that is half up is nobody's
        if supervisor.is_running():
            _end_in_order(supervisor)
        tear_down(plan.directory)
        raise


def tear_down(directory: Path) -> bool:
    """Ends the lab, crashed or not, and removes what it left; False when there was none."""
    try:
        plan = read_plan(plan_file(directory))
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise LabError(
            f"{plan_file(directory)}: {error}; remove the file if it is not yours to keep"
        ) from error
    records = read_records(plan.processes_file)
    supervisor = next((r.running() for r in records if r.name == "supervisor"), None)
    if supervisor is not None:
        _end_in_order(supervisor)
    orphans = [process for record in records if (process := record.running())]
    end([*orphans, *_strays(plan)], patience=_DOWN_PATIENCE / 3)
    directories.clean(plan)
    return True


@contextmanager
def only_one(directory: Path, *, make: bool = True) -> Iterator[None]:
    """Two `up` or `down` at a time take turns. Only `make` makes the directory: else none was there."""
    lock = None
    try:
        if make or (directory / "lock").exists():
            directory.mkdir(parents=True, exist_ok=True)
            lock = (directory / "lock").open("w")
    except OSError as error:
        raise LabError(
            f"{error.filename}: {error.strerror}\nChoose another place with --directory."
        ) from error
    with lock or nullcontext():
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(supervisor: psutil.Process, plan: LabPlan, log: Path, progress: Progress) -> None:
    control, seen = Control(plan.control_socket), 0
    deadline = time.monotonic() + _UP_DEADLINE
    while time.monotonic() < deadline:
        if has_ended(supervisor):
            raise LabError(f"{log}: the lab did not come up:\n{last_lines(log)}\n{_advice(plan)}")
        try:
            status: dict[str, Any] = control.status()
        except NoSupervisorError:
            status = {"stages": [], "ready": False}
        finished = [stage for stage in status["stages"] if stage["seconds"] is not None]
        for stage in finished[seen:]:
            progress(stage["name"], stage["seconds"])
        seen = len(finished)
        if status["ready"]:
            return
        time.sleep(_LOOK_EVERY)
    unfinished = [stage["name"] for stage in status["stages"] if stage["seconds"] is None]
    waiting_for = ", ".join(unfinished) or "the supervisor"
    raise LabError(
        f"the lab is not up after {_UP_DEADLINE:.0f} s; still waiting for {waiting_for}\n{_advice(plan)}"
    )


def _advice(plan: LabPlan) -> str:
    return f"All logs are in {plan.logs}. When the cause is gone, run `python -m lab up` again."


def _detach(command: list[str], log: Path) -> psutil.Process:
    """A process that outlives this one and its terminal; `subprocess` would want to be told how it ends."""
    log.touch()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inherited()]
    pid = os.posix_spawn(command[0], command, _environment(), file_actions=actions, setsid=True)
    return psutil.Process(pid)


def _inherited() -> list[int]:
    """What a shell gives its programs, such as the file of a `flock`, which the lab would hold for ever."""
    found = []
    for number in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the one by which the directory was read
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found


def _end_in_order(supervisor: psutil.Process) -> None:
    try:
        supervisor.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
    end(wait_ended([supervisor], _DOWN_PATIENCE), patience=_DOWN_PATIENCE / 3)


def _strays(plan: LabPlan) -> list[psutil.Process]:
    """Functions whose embedded AWS was killed: Python programs started from the lab's scratch directory."""
    scratch = f"{plan.aws_config_file.parent}{os.sep}"
    found = []
    for process in psutil.process_iter(["cmdline"]):
        program, *arguments = process.info["cmdline"] or [""]
        if Path(program).name.startswith("python") and any(
            word.startswith(scratch) for word in arguments[:4]
        ):
            found.append(process)
    return found


def _environment() -> dict[str, str]:
    """The host's AWS settings, proxies and Python paths are none of the lab's business."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    paths = os.pathsep.join((str(_REPOSITORY), str(_REPOSITORY / "src")))
    return {**kept, "PATH": os.defpath, "PYTHONPATH": paths, "AWS_EC2_METADATA_DISABLED": "true"}
