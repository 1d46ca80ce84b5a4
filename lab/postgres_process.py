"""The process of one PostgreSQL server: started until it answers, frozen, ended in order or as by a crash."""

import asyncio
import asyncio.subprocess
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from lab.postgres import Server
from lab.processes import last_lines, lifeline_command, tied_to_parent

_START_DEADLINE = 30.0  # seconds; a replica first replays what the base backup brought along
PATIENCE = 15.0  # seconds for a server to end in order
_LOOK_EVERY = 0.05


class NotUpError(Exception):
    """A server did not come up; the message holds what it logged."""


async def start(server: Server, log: Path) -> asyncio.subprocess.Process:
    """Returns once the server answers. To be called on the main thread, with which the server ends."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *lifeline_command(server.command()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=server.data,
            env={"LC_ALL": "C", "PATH": os.defpath},
            preexec_fn=tied_to_parent(signal.SIGINT),
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops its servers in order
            **server.installation.identity(),
        )
    try:
        async with asyncio.timeout(_START_DEADLINE):
            while not await asyncio.to_thread(server.accepts_connections):
                if process.returncode is not None:
                    raise NotUpError(f"PostgreSQL of {server.data.name} ended:\n{last_lines(log)}")
                await asyncio.sleep(_LOOK_EVERY)
    except BaseException as error:
        await end(process)
        if isinstance(error, TimeoutError):
            raise NotUpError(f"PostgreSQL of {server.data.name} is not up:\n{last_lines(log)}") from error
        raise
    return process


async def end(
    process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGINT, patience: float = PATIENCE
) -> None:
    """SIGINT, the fast shutdown: sessions are ended, everything is written. SIGQUIT: as if it had crashed."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        await asyncio.wait_for(process.wait(), timeout=patience)
    except TimeoutError:
        process.kill()
        await process.wait()


async def kill(process: asyncio.subprocess.Process) -> None:
    """As the machine under it: at once, and none of its processes is left to hold what a new server needs."""
    if process.returncode is not None:
        return
    several = await asyncio.to_thread(_family, process.pid)
    for one in several:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    await process.wait()
    await asyncio.to_thread(psutil.wait_procs, several, PATIENCE)


def _family(pid: int) -> list[psutil.Process]:
    try:
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def freeze(process: asyncio.subprocess.Process, frozen: bool) -> None:
    """Processes of PostgreSQL are in groups of their own, so each is told."""
    number = signal.SIGSTOP if frozen else signal.SIGCONT
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(process.pid)
        server.send_signal(number)
        for child in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
