"""What a deployed stack was meant to hold, and what CloudFormation says it holds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.integration.system.deployment import System
from tests.integration.system.intrinsics import Intrinsics

IN_DATA_REGIONS = ("foundation", "data", "service")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as its template has it, every intrinsic function resolved, and the id AWS gave it."""

    stack: "Stack" = field(repr=False)
    logical_id: str
    type: str
    physical_id: str
    properties: Mapping[str, Any]

    @property
    def region(self) -> str:
        return self.stack.region

    @property
    def system(self) -> System:
        return self.stack.system

    def aws(self, service: str, region: str | None = None) -> Any:
        return self.stack.system.aws(service, region or self.stack.region)


class Stack:
    """One instance of a template, in a region."""

    def __init__(self, system: System, region: str, kind: str) -> None:
        self.system = system
        self.region = region
        self.kind = kind
        self.described: dict[str, Any] = system.stacks(region)[kind]
        self.template: dict[str, Any] = json.loads((system.workspace / "dist" / f"{kind}.json").read_text())

    @cached_property
    def listed(self) -> dict[str, tuple[str, str]]:
        """Type and physical id of each resource that CloudFormation lists."""
        pages = self.system.aws("cloudformation", self.region).get_paginator("list_stack_resources")
        return {
            one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"])
            for page in pages.paginate(StackName=self.described["StackId"])
            for one in page["StackResourceSummaries"]
            if one["ResourceStatus"] != "DELETE_COMPLETE"
        }

    @cached_property
    def intrinsics(self) -> Intrinsics:
        return Intrinsics(
            clients=self.system.aws,
            region=self.region,
            account=self.system.plan.account_id,
            stack=self.described,
            template=self.template,
            resources=self.listed,
        )

    @cached_property
    def expected(self) -> dict[str, str]:
        """Type of each resource whose condition, if any, holds in this region."""
        return {
            logical_id: resource["Type"]
            for logical_id, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.intrinsics.holds(resource["Condition"])
        }

    def resources(self) -> Iterator[Resource]:
        for logical_id in self.expected.keys() & self.listed.keys():
            listed_type, physical_id = self.listed[logical_id]
            properties = self.template["Resources"][logical_id].get("Properties", {})
            yield Resource(self, logical_id, listed_type, physical_id, self.intrinsics.resolve(properties))

    @property
    def where(self) -> str:
        return f"{self.region} {self.kind}"
