"""Who may connect to a region's database: a function if its network leads there; people's tools always."""

import asyncio
import sys

from botocore.exceptions import BotoCoreError, ClientError

from lab import outages
from lab.described import Described
from lab.flows import Flows
from lab.function_processes import Peer, find_function
from lab.network import obstacle_to_database
from lab.plan import LabPlan, RegionPlan


class Admission:
    def __init__(self, plan: LabPlan, described: Described, flows: Flows) -> None:
        self._directory = plan.functions_directory
        self._outages_file = plan.outages_file
        self._described = described
        self._flows = flows

    async def decide(self, region: RegionPlan, client: Peer, _endpoint: Peer) -> str | None:
        """The obstacle, None when there is none. What cannot be found out is an obstacle too."""
        try:
            reason = await asyncio.to_thread(self._obstacle, region, client)
        except (BotoCoreError, ClientError, LookupError) as error:
            reason = f"cannot tell what the network allows: {error}"
        if reason:
            sys.stderr.write(f"refused a connection to the database of {region.name}: {reason}\n")
            sys.stderr.flush()
        return reason

    async def decide_restored(self, client: Peer, _endpoint: Peer) -> str | None:
        """A cluster restored from a snapshot is for people: nothing that is deployed knows of it."""
        caller = await asyncio.to_thread(find_function, self._directory, client)
        return f"{caller.arn}: restored clusters are reached by people's tools only" if caller else None

    def _obstacle(self, where: RegionPlan, client: Peer) -> str | None:
        caller = find_function(self._directory, client)
        if caller is None:
            return None
        region = where.name
        if not outages.read(self._outages_file).reaches(caller.region, region):
            return f"{caller.arn}: {region} is out of reach"
        obstacle = obstacle_to_database(
            self._described.network(caller.region),
            caller.placement,
            self._described.network(region),
            self._described.database(region),
            same_region=caller.region == region,
        )
        self._flows.to_database(caller.region, caller.placement, client[1], where, obstacle)
        return obstacle and f"{caller.arn}: {obstacle}"


class Callers:
    """Notes which connections to a region's AWS APIs are a function's, and of which."""

    def __init__(self, plan: LabPlan, region: RegionPlan, flows: Flows) -> None:
        self._directory = plan.functions_directory
        self._region = region
        self._flows = flows

    async def identify(self, client: Peer) -> str:
        """The function's name, "" where it is none's or has ended meanwhile."""
        caller = await asyncio.to_thread(find_function, self._directory, client)
        if caller is None:
            return ""
        if caller.placement.subnets:
            self._flows.to_aws(caller.region, caller.placement, client[1], self._region)
        return caller.name
