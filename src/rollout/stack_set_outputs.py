"""Custom::StackSetOutputs: waits for every instance of a StackSet, then reads the regional outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import boto3

from adapters.custom_resource import Failed, Request
from rollout.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_BROKEN: Final = "INOPERABLE"

CloudFormation = Callable[["str | None"], "CloudFormationClient"]


def stack_set_outputs(request: Request) -> Mapping[str, str]:
    return read_outputs(request, lambda region: boto3.client("cloudformation", region_name=region))


def read_outputs(
    request: Request, cloudformation: CloudFormation, *, every: float = 5.0
) -> Mapping[str, str]:
    """Data {"PrimaryVpcId": ...}: each wanted output of each place. The StackSet lives in our own region."""
    name = str(request.properties["StackSetName"])
    regions = {str(place): str(region) for place, region in request.properties["Regions"].items()}
    stacks = until(
        lambda: _current_stacks(cloudformation(None), name, frozenset(regions.values())),
        deadline=request.deadline,
        what=f"every instance of StackSet {name} to be CURRENT",
        every=every,
    )
    data: dict[str, str] = {}
    for place, region in regions.items():
        outputs = _outputs(cloudformation(region), stacks[region])
        for output in request.properties["Outputs"]:
            if output not in outputs:
                raise Failed(f"the stack of StackSet {name} in {region} has no output {output}")
            data[f"{place}{output}"] = outputs[output]
    return data


def _current_stacks(
    client: CloudFormationClient, name: str, regions: frozenset[str]
) -> dict[str, str] | None:
    """Stack ids by region, once every wanted region has a current instance."""
    stacks: dict[str, str] = {}
    for page in client.get_paginator("list_stack_instances").paginate(StackSetName=name):
        for instance in page["Summaries"]:
            region = instance.get("Region", "")
            if instance.get("Status") == _BROKEN:
                raise Failed(f"StackSet {name} is {_BROKEN} in {region}: delete and recreate that instance")
            if instance.get("Status") == "CURRENT" and "StackId" in instance:
                stacks[region] = instance["StackId"]
    return stacks if regions <= stacks.keys() else None


def _outputs(client: CloudFormationClient, stack: str) -> dict[str, str]:
    described = client.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
