"""The Region switch plan, in the region that is to be active: there it is found, started and known."""

from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from failover.planner import Mode

ASKED: Final = "Region switch"


class Found(NamedTuple):
    arn: str
    execution: str | None
    """The one under way, if any."""


def find_plan(client: Any, name: str) -> Found | None:
    """By its name: the ARN ends in a suffix that nobody can compute."""
    with unknown_is_unavailable(ASKED):
        pages = client.get_paginator("list_plans_in_region").paginate()
        for plan in (plan for page in pages for plan in page["plans"]):
            if plan["name"] == name:
                return Found(plan["arn"], plan.get("activePlanExecution"))
    return None


def start_plan(client: Any, arn: str, target: str, mode: Mode, comment: str) -> str | None:
    """The execution; None where another one is in the way: somebody else was faster."""
    try:
        with unknown_is_unavailable(ASKED):
            answer = client.start_plan_execution(
                planArn=arn, targetRegion=target, action="activate", mode=mode.value, comment=comment
            )
    except ClientError as error:
        if code(error) == "IllegalStateException":
            return None
        raise
    return str(answer["executionId"])
