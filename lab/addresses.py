"""Loopback addresses and free ports for the lab, and the name of whoever holds a port it needs."""

import random
import socket
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Literal

import psutil

LOOPBACK = "127.0.0.1"
PER_REGION = ("127.0.1.1", "127.0.2.1", "127.0.3.1")
# Below the ephemeral ranges of Linux and macOS, or an outgoing connection may take a port before we do.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000

Endpoint = tuple[str, int]
Protocol = Literal["tcp", "udp"]


class PortTakenError(Exception):
    """A port the lab was told to use belongs to somebody else."""

    def __init__(self, endpoint: Endpoint, by: Protocol = "tcp") -> None:
        self.endpoint = endpoint
        address, port = endpoint
        super().__init__(f"{address}:{port} is in use by {holder(endpoint, by)}")


def region_addresses(count: int) -> tuple[str, ...]:
    """One loopback address per region where the host has all of 127/8 (Linux), else 127.0.0.1 for each."""
    wanted = PER_REGION[:count]
    needed = (*wanted, *map(reader_address, wanted))
    return wanted if all(can_bind((address, 0)) for address in needed) else (LOOPBACK,) * count


def reader_address(address: str) -> str:
    """Where the readers of the database at this address are served: Aurora's two host names share one port.

    A host with one IPv4 loopback address (macOS) still has IPv6's.
    """
    return "::1" if address == LOOPBACK else str(ip_address(address) + 1)


def can_bind(endpoint: Endpoint, by: Protocol = "tcp") -> bool:
    family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
    kind = socket.SOCK_STREAM if by == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if by == "tcp":  # as the servers do: TIME_WAIT is no holder
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(endpoint)
        except OSError:
            return False
    return True


def candidate_bases(size: int) -> Iterator[int]:
    """First ports of `size` consecutive ones, in random order so that two labs seldom meet."""
    bases = list(range(_FIRST_PORT, _LAST_PORT - size, size))
    random.shuffle(bases)
    return iter(bases)


def require_free(endpoints: Iterable[Endpoint], by: Protocol = "tcp") -> None:
    for endpoint in endpoints:
        if not can_bind(endpoint, by):
            raise PortTakenError(endpoint, by)


def holder(endpoint: Endpoint, by: Protocol = "tcp") -> str:
    """'postgres (pid 4711)', as far as the operating system tells this user."""
    address, port = endpoint
    for process in psutil.process_iter(["pid", "name"]):
        try:
            connections = process.net_connections(kind=by)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        for connection in connections:
            open_to_all = by == "udp" or connection.status == psutil.CONN_LISTEN
            if not open_to_all or not connection.laddr or connection.laddr.port != port:
                continue
            if connection.laddr.ip in {address, "0.0.0.0", "::"}:  # noqa: S104 -- compared, not bound
                return f"{process.info['name']} (pid {process.info['pid']})"
    return "a process this user may not see"
