"""What an audience is shown: a region dies and comes back, is cut off, stands still, and all ends again.

Each is one change of `lab.outages`, which proxies and the embedded AWS go by, and what has to be done to the
processes and the listeners of a region besides. Done already is fine.
"""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab import outages
from lab.databases import DatabaseError, Databases
from lab.doors import Door
from lab.function_processes import kill_functions, signal_functions
from lab.outages import Outages, State
from lab.plan import LabPlan
from lab.proxy import Proxy


@dataclass(slots=True)
class Switches:
    """`proxies` and `doors` are filled as the lab comes up."""

    plan: LabPlan
    databases: Databases
    proxies: Mapping[str, Proxy]
    doors: Mapping[str, Door]
    outages: Outages = field(default_factory=Outages)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def state(self, region: str) -> State:
        return self.outages.state(self._known(region))

    async def kill(self, region: str) -> bool:
        """Nothing of the region runs or answers any more; what is on its disks stays. False: it was dead."""
        async with self._turn:
            now = self.outages
            if self._known(region) in now.down:
                return False
            self._come_to(Outages(now.down | {region}, now.cut, now.frozen - {region}))
            functions = asyncio.to_thread(kill_functions, self.plan.functions_directory, region)
            door = [self.doors[region].close()] if region in self.doors else []
            await asyncio.gather(functions, self.databases.kill(region), *door)
            return True

    async def restore(self, region: str) -> bool:
        """All of it is back, in the role it had; its database also where only that was stopped. False: all
        of it was there.

        Raises DatabaseError when its database did not come up with it.
        """
        async with self._turn:
            now = self.outages
            if self._known(region) not in now.down:
                return await self.databases.restore(region)
            problem: DatabaseError | None = None
            try:
                await self.databases.restore(region)
            except DatabaseError as error:
                problem = error
            self._come_to(Outages(now.down - {region}, now.cut, now.frozen))
            if region in self.doors:
                await self.doors[region].open()
            if problem is not None:
                raise DatabaseError(f"{region} is up without its database: {problem}") from problem
            return True

    async def partition(self, region: str) -> bool:
        """Nothing gets from the region to another or back, but what clients on the internet ask of it.

        False: it was cut off.
        """
        async with self._turn:
            now = self.outages
            if self._known(region) in now.cut:
                return False
            self._come_to(Outages(now.down, now.cut | {region}, now.frozen))
            if region in self.databases.regions:
                await self.databases.isolate(region, True)
            return True

    async def freeze(self, region: str) -> bool:
        """Functions and database of the region stand still, connected as they are. False: they did."""
        async with self._turn:
            now = self.outages
            if self._known(region) in now.down:
                raise DatabaseError(f"{region} is down")
            if region in now.frozen:
                return False
            self._come_to(Outages(now.down, now.cut, now.frozen | {region}))
            await self._signal(region, signal.SIGSTOP)
            if self._has_database(region):
                await self.databases.freeze(region, True)
            return True

    async def heal(self) -> bool:
        """Every partition, delay and freeze ends; who is dead stays so. False: there was none."""
        async with self._turn:
            now = self.outages
            late = [one for one in self.databases.regions if self.databases.delay(one)]
            self._come_to(Outages(down=now.down))
            for region in self.databases.regions:
                await self.databases.isolate(region, False)
                await self.databases.delay_replication(region, 0.0)
            for region in now.frozen:
                if self._has_database(region):
                    await self.databases.freeze(region, False)
                await self._signal(region, signal.SIGCONT)
            return bool(now.cut or now.frozen or late)

    async def _signal(self, region: str, number: signal.Signals) -> None:
        await asyncio.to_thread(signal_functions, self.plan.functions_directory, region, number)

    def _has_database(self, region: str) -> bool:
        return region in self.databases.regions and bool(self.databases.describe(region)["exists"])

    def _come_to(self, now: Outages) -> None:
        self.outages = now
        outages.write(self.plan.outages_file, now)
        for proxy in self.proxies.values():
            proxy.go_by(now)

    def _known(self, region: str) -> str:
        if region not in self.plan.regions:
            raise DatabaseError(f"there is no region {region}; there are {', '.join(self.plan.regions)}")
        return region
