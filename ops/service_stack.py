"""One region's service stack, changed directly: where the other region is gone, no StackSet gets anywhere.

Its code goes to the region's code bucket, its template and parameters are those that `root` would have used.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from adapters.aws import status, unknown_is_unavailable
from failover.errors import Unavailable
from ops.changes import Change, Deployed, compared, outputs_changed
from ops.directory import Rejected
from ops.sam import built
from ops.stacks import DeployedStack, find_instance
from templates.config import Settings
from templates.names import Place

_NOT_FOUND, _PRECONDITION_FAILED = 404, 412
_LOOK_EVERY_SECONDS: Final = 1.0
_LONGEST_UPDATE_SECONDS: Final = 3600.0
# What is changed in one region for the whole world, so it cannot be while that region is gone.
_GLOBAL_REGION: Final = "us-east-1"
_GLOBAL: Final = ("AWS::IAM::", "AWS::Route53::")
_ENDED_WELL: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be done: `calls` in order, in words; `changes` of resources, where they are known."""

    way: str
    regions: tuple[str, ...]
    calls: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    nothing: bool = False

    @property
    def text(self) -> str:
        lines = [f"release to {', then '.join(self.regions)}, {self.way}"]
        lines += [f"  {number}. {call}" for number, call in enumerate(self.calls, 1)]
        lines += [f"  {change.text}" for change in self.changes]
        return "\n".join((*lines, *self.notes))

    @property
    def document(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "regions": list(self.regions),
            "calls": list(self.calls),
            "changes": [change.text for change in self.changes],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Direct:
    """One region's service stack, and what it is to become. `kept` are parameters, `zips` keys of the code
    bucket.
    """

    region: str
    stack: DeployedStack
    bucket: str
    template: str
    kept: tuple[str, ...]
    zips: Mapping[str, Path]

    @property
    def template_key(self) -> str:
        return f"templates/service-{hashlib.sha256(self.template.encode()).hexdigest()}.json"


def direct(settings: Settings, client: Any, region: str, dist: Path) -> tuple[Plan, Direct]:
    """Reads only. Raises Rejected where what would change is not a release's to change."""
    names = settings.names
    place: Place = "primary" if region == settings.regions.primary else "secondary"
    other = next(one for one in (settings.regions.primary, settings.regions.secondary) if one != region)
    stack = find_instance(client, names.shared("service"))
    if stack is None:
        raise Rejected(
            f"{region}: there is no stack of {names.shared('service')}; it takes root to make it", 1
        )
    if stack.status not in _ENDED_WELL:
        raise Rejected(f"{stack.name}: it is {stack.status}; wait, or repair it, and run this again", 1)
    template = built(dist / "service.json")
    lacking = sorted(
        name
        for name, parameter in template["Parameters"].items()
        if name not in stack.parameters and "Default" not in parameter
    )
    if lacking:
        todo = "only root knows their values: wait for its region"
        raise Rejected(f"{stack.name}: has no value for {', '.join(lacking)}; {todo}", 1)
    now = Deployed(stack.template(client), region, stack.parameters)
    then = Deployed(template, region, stack.parameters)
    changes = compared(now, then)
    refuse(changes, stack.name)
    zips = {key: dist / key for key in sorted(set(_keys(template)))}
    kept = tuple(sorted(stack.parameters.keys() & template["Parameters"].keys()))
    target = Direct(region, stack, names.bucket("code", place), json.dumps(template), kept, zips)
    calls = (
        *(f"s3 PutObject {target.bucket}/{key}, unless it is there" for key in (*zips, target.template_key)),
        f"cloudformation CreateChangeSet, ExecuteChangeSet: {stack.name} in {region}, parameters as they are",
    )
    notes = [f"{other} is left as it is: release again, without --only, once it answers"]
    notes += _beside(settings, client, region, dist)
    if other == _GLOBAL_REGION and (needed := [one for one in changes if one.type.startswith(_GLOBAL)]):
        notes.append(
            f"{', '.join(one.resource for one in needed)}: changed in {_GLOBAL_REGION} only, which does not"
            " answer: expect this to fail, and to be rolled back"
        )
    nothing = not changes and not outputs_changed(now, then)
    return Plan("directly", (region,), calls, changes, tuple(notes), nothing), target


def refuse(changes: tuple[Change, ...], stack: str) -> None:
    """Raises Rejected where something stateful would be lost, left behind or interrupted."""
    grave = [change.text for change in changes if change.effect is not None]
    if grave:
        todo = "nothing was begun; build without that, or wait until root can be deployed"
        raise Rejected(f"{stack}: {'; '.join(grave)}; {todo}", 1)


def _beside(settings: Settings, client: Any, region: str, dist: Path) -> Iterator[str]:
    """What the build changes in the region's other stacks, and this release does not."""
    for name in ("foundation", "data"):
        stack = find_instance(client, settings.names.shared(name))
        if stack is None:
            continue
        now = Deployed(stack.template(client), region, stack.parameters)
        then = Deployed(built(dist / f"{name}.json"), region, stack.parameters)
        if compared(now, then):
            yield f"{name} differs from the build, too, and is not touched: it takes root"


def _keys(template: Mapping[str, Any]) -> Iterator[str]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            key = resource["Properties"]["Code"].get("S3Key")
            if key is not None:
                yield str(key)


def publish(s3: Any, target: Direct, tell: Tell) -> None:
    """Only ever adds keys; each is named by what it holds, so what is there is the same."""
    contents = {key: file.read_bytes() for key, file in target.zips.items()}
    contents[target.template_key] = target.template.encode()
    for key, content in contents.items():
        if not _is_there(s3, target.bucket, key):
            _put(s3, target.bucket, key, content)
            tell(f"put {target.bucket}/{key}")


def _is_there(s3: Any, bucket: str, key: str) -> bool:
    try:
        with unknown_is_unavailable(f"bucket {bucket}"):
            s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if status(error) == _NOT_FOUND:
            return False
        raise
    return True


def _put(s3: Any, bucket: str, key: str, content: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    try:
        with unknown_is_unavailable(f"bucket {bucket}"):
            s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumSHA256=digest, IfNoneMatch="*")
    except ClientError as error:
        if status(error) != _PRECONDITION_FAILED:
            raise


def updated(client: Any, target: Direct, tell: Tell, clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether anything changed. CloudFormation is asked what it would do before it does it.

    Raises Rejected where it would touch what a release may not, or did not get through.
    """
    stack = target.stack
    name = f"release-{hashlib.sha256(target.template.encode()).hexdigest()[:12]}-{time.time_ns():x}"
    suffix = ".cn" if target.region.startswith("cn-") else ""
    # As sam names a template: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html#path-style-access
    url = f"https://s3.{target.region}.amazonaws.com{suffix}/{target.bucket}/{target.template_key}"
    with unknown_is_unavailable(f"stack {stack.name}"):
        change_set = client.create_change_set(
            StackName=stack.id,
            ChangeSetName=name,
            ChangeSetType="UPDATE",
            TemplateURL=url,
            Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in target.kept],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )["Id"]
        described = _ended(
            lambda: client.describe_change_set(ChangeSetName=change_set), "Status", "_IN_PROGRESS", clock
        )
    if described["Status"] != "CREATE_COMPLETE":
        why = described.get("StatusReason", "")
        client.delete_change_set(ChangeSetName=change_set)
        if "didn't contain changes" in why or "No updates" in why:
            return False
        raise Rejected(f"{stack.name}: {why}; nothing was begun", 1)
    with unknown_is_unavailable(f"stack {stack.name}"):
        client.execute_change_set(ChangeSetName=change_set)
        tell(f"{stack.name} is being updated")
        since = described.get("CreationTime")
        described = _ended(
            lambda: client.describe_stacks(StackName=stack.id)["Stacks"][0],
            "StackStatus",
            "_IN_PROGRESS",
            clock,
        )
    if described["StackStatus"] != "UPDATE_COMPLETE":
        failed = "; ".join(_failures(client, stack.id, since)) or described.get("StackStatusReason", "")
        todo = "it is as it was before; repair that, build, and run this again"
        if not described["StackStatus"].endswith("ROLLBACK_COMPLETE"):
            todo = "look at it in CloudFormation"
        raise Rejected(f"{stack.name}: it is {described['StackStatus']}: {failed}; {todo}", 1)
    return True


def _ended(look: Callable[[], Any], field: str, going_on: str, clock: Callable[[], float]) -> Any:
    give_up = clock() + _LONGEST_UPDATE_SECONDS
    while True:
        found = look()
        if not found[field].endswith((going_on, "CREATE_PENDING")):
            return found
        if clock() >= give_up:
            raise Unavailable(f"CloudFormation: still {found[field]}")
        time.sleep(_LOOK_EVERY_SECONDS)


def _failures(client: Any, stack: str, since: Any) -> Iterator[str]:
    pages = client.get_paginator("describe_stack_events").paginate(StackName=stack)
    for page in pages:
        for event in page["StackEvents"]:
            if since is not None and event["Timestamp"] < since:
                return
            if event["ResourceStatus"].endswith("FAILED") and "cancelled" not in event.get(
                "ResourceStatusReason", ""
            ):
                yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}"
