"""Who follows whom: how the databases of two regions change their roles, as Aurora's global databases do.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import psycopg

from lab.databases import DatabaseError, Databases, slot_name
from lab.postgres import Server, destroy
from lab.replicas import (
    drop_slots,
    follow,
    is_to_follow,
    last_words,
    replayed,
    reserve,
    rewind,
    streams,
    written,
)

_CATCH_UP = 60.0  # seconds for what was written before; the writer still takes more
_LAST_WORDS = 45.0  # seconds for the rest; nobody can write meanwhile
_STREAMING = 15.0
_LOOK_EVERY = 0.02
_FAILURES = (DatabaseError, RuntimeError, psycopg.Error, OSError)


class Roles:
    """Changes of roles; each either comes to its end or leaves a database that is being worked on as it was,
    or down, to be attached again.
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def switch_over(self, region: str) -> None:
        """The region's database takes writes, with everything its source ever committed.

        The source is down then: `reattach` makes it a replica. Raises DatabaseError, with the roles as they
        were, when either is not healthy or the replica does not have everything in time.
        """
        databases = self._databases
        old, source, replica = self._pair(region)
        goal = await asyncio.to_thread(written, source)

        def caught_up() -> bool:
            self._pair(region)  # both are still there
            return replayed(replica) >= goal

        await self._until(caught_up, _CATCH_UP, f"{region} does not catch up")
        async with databases.changing(old, region):
            if self._pair(region)[0] != old:
                raise DatabaseError(f"{region} follows another region by now")
            await databases.end(old, patience=_LAST_WORDS)  # it sends all it has before it ends
            running = databases.require(old)
            running.down = True
            try:
                last = await asyncio.to_thread(last_words, source)
                await self._until(lambda: replayed(replica) > last, _LAST_WORDS, f"{region} lacks something")
                await databases.take_writes(region)
            except _FAILURES as error:
                if await self._still_follows(region):
                    await databases.launch(old)
                    await databases.set_endpoints(old)
                    raise DatabaseError(str(error)) from error
                databases.require(region).source = None
            with suppress(*_FAILURES):  # then it is rewound later
                await asyncio.to_thread(reserve, replica, slot_name(old))
                by = await databases.link(old, replica)
                await asyncio.to_thread(follow, source, by, slot_name(old))
                running.source = region

    async def fail_over(self, region: str) -> None:
        """The region's database takes writes with what it has. Its source is not asked: if it is alive, it
        still takes writes too, until it is attached again.
        """
        async with self._databases.changing(region):
            if self._databases.require(region).source is None:
                raise DatabaseError(f"{region} follows nobody")
            try:
                await self._databases.take_writes(region)
            except (RuntimeError, psycopg.Error) as error:
                raise DatabaseError(f"{region}: {error}") from error

    async def reattach(self, region: str, source: str, keep: str | None = None) -> int | None:
        """The region's database is a replica of `source`, whatever it was and had; done already is fine.

        By rewinding, or by a copy where that is not possible. What it had is kept in a backup of the name
        `keep`, if one is given and it answers; the size of that in bytes. Raises DatabaseError when either
        cannot be worked on now.
        """
        databases = self._databases
        async with databases.changing(region):
            running, origin = databases.require(region), databases.server(source)
            if running.stopped or running.frozen or not databases.reaches(region, source):
                raise DatabaseError(f"{region} cannot be attached to {source} now")
            if running.source == source and running.answers:
                return self._databases.size_of_backup(keep) if keep else None
            kept = await self._kept(region, keep) if keep else None
            if not running.down:
                await databases.end(region)
                running.down = True
            by = await databases.link(region, origin)
            slot = slot_name(region)
            try:
                try:
                    await asyncio.to_thread(_rewound, running.server, origin, by, slot)
                    await self._follows(region, source)
                except _FAILURES:
                    await databases.end(region)
                    running.down = True
                    await asyncio.to_thread(_copied, running.server, origin, by, slot)
                    await self._follows(region, source)
                settings = databases.require(source).parameters
                await asyncio.to_thread(
                    running.server.set_parameters, running.parameters, set(settings) - set(running.parameters)
                )
                await asyncio.to_thread(drop_slots, running.server)
            except _FAILURES as error:
                raise DatabaseError(f"{region}: {error}") from error
            await databases.set_endpoints(region)
            return kept

    async def _kept(self, region: str, name: str) -> int | None:
        """Nobody writes any more once it is kept. Done already is fine, and so is that it cannot be."""
        databases = self._databases
        size = databases.size_of_backup(name)
        if size is not None or databases.require(region).down:
            return size
        await databases.refuse_connections(region)
        with suppress(*_FAILURES):
            return await databases.back_up(region, name)
        return None

    async def healthy(self, region: str) -> bool:
        """Whether the region's database is a replica that receives from a source that answers."""
        try:
            _, source, replica = self._pair(region)
            return await asyncio.to_thread(streams, replica) and await asyncio.to_thread(
                source.accepts_connections
            )
        except _FAILURES:
            return False

    def _pair(self, region: str) -> tuple[str, Server, Server]:
        """The source's region and server, and the replica; both answer, and nothing keeps them apart."""
        replica = self._databases.server(region)
        source = self._databases.require(region).source
        if source is None:
            raise DatabaseError(f"{region} follows nobody")
        if not self._databases.reaches(region, source):
            raise DatabaseError(f"{region} does not reach {source}")
        return source, self._databases.server(source), replica

    async def _still_follows(self, region: str) -> bool:
        """Whether a replica that may have been promoted was not: also when it does not say."""
        server = self._databases.require(region).server
        try:
            return await asyncio.to_thread(server.is_replica)
        except psycopg.Error:
            return is_to_follow(server)

    async def _follows(self, region: str, source: str) -> None:
        running = self._databases.require(region)
        running.source = source  # as its directory has it; it may be started by somebody else
        await self._databases.launch(region)
        await self._until(lambda: streams(running.server), _STREAMING, f"{region} receives nothing")

    async def _until(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await asyncio.to_thread(condition):
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise DatabaseError(f"{otherwise} within {seconds:.0f} s") from None
        except psycopg.Error as error:
            raise DatabaseError(str(error)) from error


def _rewound(server: Server, source: Server, by: tuple[str, int], slot: str) -> None:
    rewind(server, source)
    reserve(source, slot)
    follow(server, by, slot)


def _copied(server: Server, source: Server, by: tuple[str, int], slot: str) -> None:
    fresh = replace(server, data=server.data.with_suffix(".fresh"))
    destroy(fresh)
    source.drop_slot(slot)
    fresh.clone(source, slot, by)
    destroy(server)  # not before there is something better
    fresh.data.rename(server.data)
