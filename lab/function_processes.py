"""The processes that run functions: whose they are, who is at the end of a connection, and killing them."""

import json
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path

import psutil

from lab.network import Placement

_SAME_START = 1.0  # seconds; see lab.processes
Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class FunctionProcess:
    """A function's process, as the embedded AWS recorded it before the function's code ran."""

    arn: str
    pid: int
    started: float
    placement: Placement

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def name(self) -> str:
        return self.arn.split(":")[6]

    def process(self) -> psutil.Process:
        """Raises NoSuchProcess when it has ended, whoever has its pid now."""
        process = psutil.Process(self.pid)
        if abs(process.create_time() - self.started) > _SAME_START:
            raise psutil.NoSuchProcess(self.pid)
        return process


def find_function(directory: Path, client: Peer) -> FunctionProcess | None:
    """The function at this end of a connection; records of processes that ended are removed on the way."""
    holds = _holds_linux(client) if sys.platform == "linux" else _holds(client)
    for file, function in _recorded(directory):
        try:
            if holds(function.process()):
                return function
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            file.unlink(missing_ok=True)
    return None


def _holds(client: Peer) -> Callable[[psutil.Process], bool]:
    def connects(process: psutil.Process) -> bool:
        return any(tuple(one.laddr) == client for one in process.net_connections(kind="tcp"))

    return connects


def _holds_linux(client: Peer) -> Callable[[psutil.Process], bool]:
    """The same by the socket's inode: psutil reads all connections of the machine once for each process."""
    address, port = ip_address(client[0]), client[1]
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    local = "".join(f"{word:08X}" for word in words) + f":{port:04X}"
    inodes = {
        f"socket:[{fields[9]}]"
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()  # a host may do without IPv6
        for line in table.read_text().splitlines()[1:]
        if (fields := line.split())[1] == local
    }

    def connects(process: psutil.Process) -> bool:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if str(descriptor.readlink()) in inodes:
                    return True
        return False

    return connects


def kill_functions(directory: Path, region: str, name: str = "*") -> list[str]:
    """SIGKILL to a region's functions whose names match, whatever they do now; the names of the killed."""
    return signal_functions(directory, region, signal.SIGKILL, name)


def signal_functions(directory: Path, region: str, number: signal.Signals, name: str = "*") -> list[str]:
    """To a region's functions whose names match; the names of those that were told."""
    told = []
    for file, function in _recorded(directory):
        if function.region == region and fnmatchcase(function.name, name):
            try:
                function.process().send_signal(number)
            except psutil.NoSuchProcess:
                file.unlink(missing_ok=True)
            else:
                told.append(function.name)
    return sorted(told)


def kill_caller(directory: Path, client: Peer) -> str | None:
    """SIGKILL to the function at this end of a connection; its name, None when it is nobody's."""
    caller = find_function(directory, client)
    if caller is None:
        return None
    try:
        caller.process().kill()
    except psutil.NoSuchProcess:
        return None
    return caller.name


def _recorded(directory: Path) -> Iterator[tuple[Path, FunctionProcess]]:
    for file in directory.glob("*.json"):
        try:
            value = json.loads(file.read_text())
        except FileNotFoundError:
            continue  # another thread found that its process has ended
        placement = Placement(tuple(value["subnets"]), tuple(value["security_groups"]))
        yield (
            file,
            FunctionProcess(
                arn=value["function"], pid=int(file.stem), started=value["started"], placement=placement
            ),
        )
