"""Rolling a build out, the standby first, whichever region that is; or to the one region that is left.

Where `root` can be deployed, `sam` deploys it with the order of the regions as a parameter, and its StackSets
do the rest. Where a region is gone no StackSet gets anywhere: then the other one's service stack is changed
directly, and the next release through `root` finds it as it is to be.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from failover.control import ControlRecord, Phase
from failover.planner import Unknown
from ops.directory import Rejected
from ops.observation import Observation
from ops.observe import answered
from ops.sam import Sam, built
from ops.service_stack import Plan, Tell, direct, publish, updated
from ops.stacks import PATIENT, find_stack
from ops.surroundings import Surroundings
from templates.config import Settings

ORDER: Final = "ServiceRegionOrder"  # the parameter of `root`
_PATIENCE_SECONDS: Final = 20.0


def checked_build(settings: Settings, dist: Path) -> None:
    """Raises Rejected where what was built is for another environment."""
    build = built(dist / "build.json")
    if (build["service"], build["environment"]) != (settings.service, settings.environment):
        what = f"was built for {build['service']} in {build['environment']}"
        again = f"python build.py --environment {settings.environment}"
        raise Rejected(f"{dist}: {what}; run `{again}`, or check --environment", 2)


def silent(settings: Settings, around: Surroundings) -> dict[str, Unknown]:
    """The data regions whose CloudFormation does not answer, and why not."""
    regions = (settings.regions.primary, settings.regions.secondary)
    ask = {
        (region, ""): partial(
            find_stack, around.client("cloudformation", region, PATIENT), f"{settings.service}-none"
        )
        for region in regions
    }
    found = answered(ask, _PATIENCE_SECONDS)
    return {region: why for (region, _), why in found.items() if isinstance(why, Unknown)}


def objection(
    settings: Settings, seen: Observation, only: str | None, gone: Mapping[str, Unknown]
) -> Rejected | None:
    """Why not to begin: where, what, what to do next."""
    regions = (settings.regions.primary, settings.regions.secondary)
    if only is not None and only not in regions:
        return Rejected(f"--only: {only} has no service stack; use {' or '.join(regions)}", 2)
    record = seen.control
    if not isinstance(record, ControlRecord):
        todo = "which region is the standby is not known; nothing is released before it is"
        return Rejected(f"control record: {record.why}; {todo}", 1)
    if record.phase is not Phase.STEADY:
        todo = "wait until `status` says steady"
        return Rejected(f"control record: the takeover of {record.active} is {record.phase}; {todo}", 1)
    if only is None and gone:
        (region, why), *_ = gone.items()
        left = next((one for one in regions if one not in gone), None)
        todo = f"wait; or release to the other one alone: --only {left}" if left else "wait"
        return Rejected(f"{region}: CloudFormation does not answer ({why.why}); {todo}", 1)
    if only is not None:
        other = next(one for one in regions if one != only)
        if only in gone:
            return Rejected(f"{only}: CloudFormation does not answer ({gone[only].why}); wait", 1)
        if other not in gone:
            todo = "release to both, the standby first: without --only"
            return Rejected(f"--only: CloudFormation of {other} answers; {todo}", 1)
        if record.active != only:
            todo = f"`failover --to {only}` comes first"
            return Rejected(f"--only: {other} is active and does not answer; {todo}", 1)
    return None


def planned(
    settings: Settings, around: Surroundings, seen: Observation, dist: Path, only: str | None
) -> tuple[Plan, Callable[[Tell], bool]]:
    """What is to be done, and what does it and says whether anything changed."""
    if only is None:
        sam = Sam.of(settings, dist, "root")
        plan, options = by_root(settings, seen, sam)
        return plan, lambda _: deployed(sam, options)
    client = around.client("cloudformation", only, PATIENT)
    plan, target = direct(settings, client, only, dist)
    s3 = around.client("s3", only, PATIENT)

    def carry_out(tell: Tell) -> bool:
        publish(s3, target, tell)
        return updated(client, target, tell)

    return plan, carry_out


def by_root(settings: Settings, seen: Observation, sam: Sam) -> tuple[Plan, tuple[str, ...]]:
    """What is to be done, and what `sam deploy` is told besides what its section says."""
    record = seen.control
    assert isinstance(record, ControlRecord)
    standby = next(one.region for one in seen.regions if one.region != record.active)
    order = (standby, record.active)
    # On the command line they replace the section's.
    overrides = f"Environment={settings.environment} {ORDER}={','.join(order)}"
    options = ("--parameter-overrides", overrides)
    call = f'sam deploy --config-env {sam.section} --parameter-overrides "{overrides}"'
    rollout = "its StackSets update " + ", ".join(_rolled_out(sam.document()))
    notes = (f"{record.active} is active and stays it; `diff` says what changes in detail",)
    return Plan("by root", order, (call, rollout), notes=notes), options


def _rolled_out(root: Mapping[str, Any]) -> Iterator[str]:
    for resource in root["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::StackSet":
            yield str(resource["Properties"]["StackSetName"])


def deployed(sam: Sam, options: tuple[str, ...]) -> bool:
    """Whether anything changed."""
    return sam.deploy("--no-fail-on-empty-changeset", *options).get("status") != "no_changes"
