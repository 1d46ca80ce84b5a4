"""What deploying the present build would change: by change sets where `sam` deploys, else by comparison."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.global_cluster import global_database
from failover.errors import Unavailable
from failover.planner import Unknown
from ops.changes import Action, Change, Deployed, compared, effect, outputs_changed
from ops.directory import Rejected
from ops.drift import Drift, drifts, expected_after
from ops.observe import answered
from ops.sam import Sam, built
from ops.stacks import PATIENT, find_instance, find_stack
from ops.surroundings import Surroundings
from templates.config import Settings

_PATIENCE_SECONDS: Final = 60.0
_UNNAMED: Final = "some, which a change set does not name"
_STACK_SET: Final = "AWS::CloudFormation::StackSet"


@dataclass(frozen=True, slots=True)
class StackDiff:
    """`absent`: there is no such stack yet, and deploying makes it."""

    stack: str
    region: str
    changes: tuple[Change, ...] = ()
    outputs: tuple[str, ...] = ()
    absent: bool = False

    @property
    def differs(self) -> bool:
        return bool(self.absent or self.changes or self.outputs)


@dataclass(frozen=True, slots=True)
class Difference:
    """By stack and region, in the order of deployment; Unknown where somebody did not answer."""

    stacks: Mapping[tuple[str, str], StackDiff | Unknown]
    drift: tuple[Drift, ...]
    drift_unknown: Mapping[str, Unknown]  # by region

    @property
    def differs(self) -> bool:
        return any(isinstance(one, StackDiff) and one.differs for one in self.stacks.values())

    @property
    def unknown(self) -> bool:
        return any(isinstance(one, Unknown) for one in self.stacks.values())

    @property
    def grave(self) -> bool:
        """Something stateful is lost, left behind or interrupted."""
        known = (one for one in self.stacks.values() if isinstance(one, StackDiff))
        return any(change.effect is not None for one in known for change in one.changes)


@dataclass(frozen=True, slots=True)
class RolledOut:
    """A StackSet of `root`, and the build's template for it."""

    template: str
    stack_set: str
    regions: tuple[str, ...]


def rolled_out(root: Mapping[str, Any]) -> Iterator[RolledOut]:
    """In the order they are in the template, which is that of their titles."""
    for resource in root["Resources"].values():
        if resource["Type"] == _STACK_SET:
            properties = resource["Properties"]
            regions = [region for group in properties["StackInstancesGroup"] for region in group["Regions"]]
            name = Path(properties["TemplateURL"]).stem
            yield RolledOut(name, properties["StackSetName"], tuple(regions))


def difference(settings: Settings, around: Surroundings, dist: Path) -> Difference:
    root = Sam.of(settings, dist, "root")
    by_sam = {"root": root}
    if settings.dns.hosted_zone_id is None:
        by_sam["zone"] = Sam.of(settings, dist, "zone")
    questions: dict[tuple[str, str], Callable[[], Any]] = {}
    for each in rolled_out(root.document()):
        document = built(dist / f"{each.template}.json")
        for region in each.regions:
            there = around.client("cloudformation", region, PATIENT)
            ask = partial(_of_instance, there, each.template, region, each.stack_set, document)
            questions[each.template, region] = ask
    stacks: dict[tuple[str, str], StackDiff | Unknown] = {}
    for title, sam in by_sam.items():
        client = around.client("cloudformation", sam.region, PATIENT)
        stacks[title, sam.region] = _known(partial(by_change_set, client, title, sam))
    stacks |= answered(questions, _PATIENCE_SECONDS)
    drift, unknown = _drift(settings, around)
    return Difference(stacks, drift, unknown)


def _known(ask: Callable[[], StackDiff]) -> StackDiff | Unknown:
    """In this thread, unlike the other questions: interrupted, it still deletes its change set."""
    try:
        return ask()
    except ClientError as error:
        return Unknown(f"{error.operation_name}: {code(error)}")
    except (BotoCoreError, Unavailable, Rejected) as error:
        return Unknown(str(error))


def _of_instance(
    client: Any, title: str, region: str, stack_set: str, document: Mapping[str, Any]
) -> StackDiff:
    return _against(client, title, region, find_instance(client, stack_set), document)


def _against(client: Any, title: str, region: str, stack: Any, document: Mapping[str, Any]) -> StackDiff:
    if stack is None:
        then = Deployed(document, region, {})
        return StackDiff(title, region, compared(Deployed({}, region, {}), then), absent=True)
    now = Deployed(stack.template(client), region, stack.parameters)
    then = Deployed(document, region, stack.parameters)
    return StackDiff(title, region, compared(now, then), outputs_changed(now, then))


class Deployer(Protocol):
    """What `Sam` is, as far as a change set needs it."""

    @property
    def stack(self) -> str: ...

    @property
    def region(self) -> str: ...

    def document(self) -> Mapping[str, Any]: ...

    def deploy(self, *options: str) -> Mapping[str, Any]: ...


def by_change_set(client: Any, title: str, sam: Deployer) -> StackDiff:
    """One that is deleted again. There is none where there is no stack, for then one would stay."""
    if find_stack(client, sam.stack) is None:
        then = Deployed(sam.document(), sam.region, {})
        return StackDiff(title, sam.region, compared(Deployed({}, sam.region, {}), then), absent=True)
    said = sam.deploy("--no-execute-changeset", "--no-fail-on-empty-changeset")
    if said.get("status") == "no_changes":
        _forget_failed(client, sam.stack)
        return StackDiff(title, sam.region)
    try:
        with unknown_is_unavailable("change set"):
            pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=said["changeset_id"])
            changes = [change_of(change) for page in pages for change in page["Changes"]]
    finally:
        with unknown_is_unavailable("change set"):
            client.delete_change_set(ChangeSetName=said["changeset_id"])
    outputs = () if changes else (_UNNAMED,)
    return StackDiff(title, sam.region, tuple(sorted(changes, key=lambda one: one.resource)), outputs)


def _forget_failed(client: Any, stack: str) -> None:
    """Those that found nothing to do, which sam leaves behind; nobody can execute them."""
    with unknown_is_unavailable("change sets"):
        pages = client.get_paginator("list_change_sets").paginate(StackName=stack)
        listed = [summary for page in pages for summary in page["Summaries"]]
        for one in listed:
            if one["Status"] == "FAILED" and one["ChangeSetName"].startswith("samcli-deploy"):
                client.delete_change_set(ChangeSetName=one["ChangeSetId"])


def change_of(described: Mapping[str, Any]) -> Change:
    """What CloudFormation says it would do to one resource of `root`."""
    change = described["ResourceChange"]
    replacement, kind = change.get("Replacement"), change["ResourceType"]
    action = _ACTIONS.get(change["Action"], Action.UNKNOWN)
    if action is Action.CHANGE and replacement == "True":
        action = Action.REPLACE
    perhaps = action is Action.CHANGE and replacement == "Conditional"
    policy = change.get("PolicyAction", "").removeprefix("ReplaceAnd") or None
    details = [one["Target"] for one in change.get("Details", ())]
    names = tuple(sorted({one.get("Name") or one["Attribute"] for one in details}))
    return Change(
        change["LogicalResourceId"],
        kind,
        action,
        names,
        perhaps,
        effect(kind, action, perhaps, policy, names),
    )


_ACTIONS: Final = {"Add": Action.ADD, "Import": Action.ADD, "Modify": Action.CHANGE, "Remove": Action.REMOVE}


def _drift(settings: Settings, around: Surroundings) -> tuple[tuple[Drift, ...], dict[str, Unknown]]:
    """What CloudFormation last found, and what a role swap makes it find."""
    places = settings.regions
    regions = (places.primary, places.secondary)
    questions: dict[tuple[str, str], Callable[[], Any]] = {}
    for region in dict.fromkeys((*regions, places.witness)):
        client = around.client("cloudformation", region, PATIENT)
        questions[region, "drift"] = partial(drifts, client, settings, region)
    for region in regions:
        rds = around.client("rds", region, PATIENT)
        questions[region, "writer"] = partial(_writer, rds, settings.names.shared("ledger"))
    found = answered(questions, _PATIENCE_SECONDS)
    known: list[Drift] = []
    unknown: dict[str, Unknown] = {}
    for (region, question), seen in found.items():
        if question == "drift" and isinstance(seen, Unknown):
            unknown[region] = seen
        elif question == "drift":
            known += seen
    writers = {found[region, "writer"] for region in regions if isinstance(found[region, "writer"], str)}
    if len(writers) == 1 and (writer := writers.pop()) != settings.regions.primary:
        known += [one for one in expected_after(settings, writer) if one not in known]
    return tuple(known), unknown


def _writer(client: Any, cluster: str) -> str:
    try:
        known = global_database(client, cluster)
    except ClientError as error:
        if code(error) == "GlobalClusterNotFoundFault":
            return ""
        raise
    return next((member.region for member in known.members if member.writer), "")
