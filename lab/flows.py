"""The connections the lab knows of, one line each: what the flow logs of a VPC are made from."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from lab.network import Obstacle, Placement
from lab.plan import LabPlan, RegionPlan


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection that a function in a VPC opened, or tried to.

    `left` and `entered`: whether the security groups of its two ends let it pass. None: it did not come that
    far, or the other end is not in a VPC.
    """

    at: float
    region: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    source_port: int
    target_region: str
    target_address: str
    target_port: int
    left: bool
    entered: bool | None


def flows_file(plan: LabPlan) -> Path:
    return plan.logs / "flows.jsonl"


def read_flow(line: str) -> Flow:
    value = json.loads(line)
    return Flow(
        **{**value, "subnets": tuple(value["subnets"]), "security_groups": tuple(value["security_groups"])}
    )


class Flows:
    """Writes whole lines, from any thread."""

    def __init__(self, plan: LabPlan) -> None:
        self._file = flows_file(plan)
        self._output: IO[str] | None = None

    def __enter__(self) -> Self:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._output = self._file.open("a", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None

    def to_database(
        self,
        region: str,
        origin: Placement,
        source_port: int,
        target: RegionPlan,
        obstacle: Obstacle | None,
    ) -> None:
        if obstacle is Obstacle.NO_VPC:
            return  # no interface of a VPC saw it
        entered = {None: True, Obstacle.NOT_LET_IN: False}.get(obstacle)
        self._write(
            region,
            origin,
            source_port,
            (target.name, target.address, 5432),
            left=obstacle is not Obstacle.NOT_LET_OUT,
            entered=entered,
        )

    def to_aws(self, region: str, origin: Placement, source_port: int, target: RegionPlan) -> None:
        where = (target.name, target.address, 443)
        self._write(region, origin, source_port, where, left=True, entered=None)

    def _write(
        self,
        region: str,
        origin: Placement,
        source_port: int,
        target: tuple[str, str, int],
        *,
        left: bool,
        entered: bool | None,
    ) -> None:
        target_region, address, port = target
        flow = Flow(
            at=time.time(),
            region=region,
            subnets=origin.subnets,
            security_groups=origin.security_groups,
            source_port=source_port,
            target_region=target_region,
            target_address=address,
            target_port=port,
            left=left,
            entered=entered,
        )
        if self._output is not None:
            self._output.write(json.dumps(asdict(flow)) + "\n")
