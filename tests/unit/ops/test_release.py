"""Whether a release begins, what it would do, and how one region's stack is changed without the other."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from failover.control import Phase
from failover.planner import Unknown
from ops import release, service_stack
from ops.directory import Rejected
from ops.sam import Sam
from templates.config import load
from tests.unit.ops.observations import HEALTHY, HERE, RECORD, SILENT, THERE, both

SETTINGS = load(Path(__file__).parents[3] / "deployment.toml", None, {})
SET = SETTINGS.names.shared("service")
STACK = f"StackSet-{SET}-01234567-89ab-cdef-0123-456789abcdef"
GONE = {HERE: Unknown("EndpointConnectionError")}
ACTIVE_THERE = both(control=replace(RECORD, active=THERE))
ZIP = b"the new code"
KEY = f"functions/service-{hashlib.sha256(ZIP).hexdigest()}.zip"


def why(seen: Any, only: str | None = None, gone: Any = None) -> str:
    refused = release.objection(SETTINGS, seen, only, gone or {})
    return "" if refused is None else f"{refused.exit_code} {refused}"


def test_with_both_regions_there_it_begins() -> None:
    assert why(HEALTHY) == ""


@pytest.mark.parametrize(
    ("seen", "only", "gone", "told"),
    [
        (HEALTHY, "us-west-2", {}, "2 --only: us-west-2 has no service stack; use us-east-1 or us-east-2"),
        (both(control=SILENT), None, {}, "1 control record: us-east-1: ConnectTimeoutError"),
        (
            both(control=replace(RECORD, phase=Phase.FENCING)),
            None,
            {},
            "the takeover of us-east-1 is fencing",
        ),
        (HEALTHY, None, GONE, "or release to the other one alone: --only us-east-2"),
        (HEALTHY, None, {HERE: SILENT, THERE: SILENT}, "does not answer (ConnectTimeoutError); wait"),
        (HEALTHY, THERE, {}, "CloudFormation of us-east-1 answers; release to both"),
        (HEALTHY, HERE, GONE, "1 us-east-1: CloudFormation does not answer"),
        (HEALTHY, THERE, GONE, f"`failover --to {THERE}` comes first"),
    ],
)
def test_it_does_not_begin_where_something_is_unknown_or_the_other_way_is_open(
    seen: Any, only: str | None, gone: Any, told: str
) -> None:
    assert told in why(seen, only, gone)


def test_without_the_other_region_it_is_said_by_name() -> None:
    assert why(ACTIVE_THERE, THERE, GONE) == ""


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    (tmp_path / KEY).write_bytes(ZIP)
    write(tmp_path, "build", {"service": "payments", "environment": "prod"})
    write(tmp_path, "service", template(KEY))
    for name in ("foundation", "data"):
        write(tmp_path, name, {"Resources": {}})
    sets = {
        name: {"Type": "AWS::CloudFormation::StackSet", "Properties": {"StackSetName": name}}
        for name in ("a", "b")
    }
    write(tmp_path, "root", {"Resources": sets})
    return tmp_path


def write(dist: Path, name: str, document: Any) -> None:
    (dist / f"{name}.json").write_text(json.dumps(document))


def template(key: str, **more: Any) -> dict[str, Any]:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Code": {"S3Bucket": "code", "S3Key": key}, "Role": "r"},
    }
    return {
        "Parameters": {"Zone": {"Type": "String"}},
        "Resources": {"ApiFunction": function, **more},
    }


def test_a_build_of_another_environment_is_refused(dist: Path) -> None:
    release.checked_build(SETTINGS, dist)
    write(dist, "build", {"service": "payments", "environment": "lab"})
    with pytest.raises(Rejected, match="was built for payments in lab") as refused:
        release.checked_build(SETTINGS, dist)
    assert refused.value.exit_code == 2
    with pytest.raises(Rejected, match=r"run `python build\.py` first"):
        release.checked_build(SETTINGS, dist / "nowhere")


@pytest.mark.parametrize(("seen", "order"), [(HEALTHY, (THERE, HERE)), (ACTIVE_THERE, (HERE, THERE))])
def test_root_is_told_which_region_is_the_standby(seen: Any, order: Any, dist: Path) -> None:
    sam = Sam.of(SETTINGS, dist, "root")
    plan, options = release.by_root(SETTINGS, seen, sam)
    assert plan.regions == order
    wanted = f"Environment=prod ServiceRegionOrder={','.join(order)}"
    assert options == ("--parameter-overrides", wanted)
    assert plan.calls == (
        f'sam deploy --config-env default --parameter-overrides "{wanted}"',
        "its StackSets update a, b",
    )


def refused(name: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": name, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "X",
    )


@dataclass
class FakeFormation:
    """One region's CloudFormation: a service stack that an update takes one look to change."""

    template: dict[str, Any]
    status: str = "UPDATE_COMPLETE"
    ends: str = "UPDATE_COMPLETE"
    change_set: dict[str, Any] = field(default_factory=lambda: {"Status": "CREATE_COMPLETE"})
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def get_paginator(self, operation: str) -> Any:
        return FakePages(getattr(self, operation))

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        stack = {
            "StackName": STACK,
            "StackId": "id",
            "StackStatus": self.status,
            "Parameters": [{"ParameterKey": "Zone", "ParameterValue": "Z1"}],
        }
        return {"Stacks": [stack]}

    def get_template(self, **_: Any) -> dict[str, Any]:
        return {"TemplateBody": self.template}

    def create_change_set(self, **request: Any) -> dict[str, Any]:
        self.asked.append(("create", request))
        return {"Id": "change"}

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        return self.change_set

    def delete_change_set(self, **request: Any) -> None:
        self.asked.append(("delete", request))

    def execute_change_set(self, **request: Any) -> None:
        self.asked.append(("execute", request))
        self.status = self.ends

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        when = datetime(2026, 11, 22, tzinfo=UTC)
        failed = {"ResourceStatus": "UPDATE_FAILED", "Timestamp": when}
        told = [("ApiFunction", "no such key"), ("Other", "Resource update cancelled")]
        return {
            "StackEvents": [
                {**failed, "LogicalResourceId": name, "ResourceStatusReason": reason} for name, reason in told
            ]
        }


@dataclass
class FakePages:
    answer: Any

    def paginate(self, **request: Any) -> list[Any]:
        return [self.answer(**request)]


def planned(formation: FakeFormation, dist: Path) -> Any:
    return service_stack.direct(SETTINGS, formation, THERE, dist)


def test_one_region_s_stack_is_changed_with_its_own_parameters(dist: Path) -> None:
    formation = FakeFormation(template("functions/service-old.zip"))
    plan, target = planned(formation, dist)
    assert [change.text for change in plan.changes] == ["change ApiFunction (AWS::Lambda::Function): Code"]
    assert target.bucket == SETTINGS.names.bucket("code", "secondary")
    assert list(target.zips) == [KEY]
    assert "left as it is" in plan.text
    told: list[str] = []
    assert service_stack.updated(formation, target, told.append)
    (_, request), (executed, _) = formation.asked
    assert executed == "execute"
    assert request["Parameters"] == [{"ParameterKey": "Zone", "UsePreviousValue": True}]
    where = f"https://s3.us-east-2.amazonaws.com/{target.bucket}/{target.template_key}"
    assert request["TemplateURL"] == where
    assert told == [f"{STACK} is being updated"]


def test_what_is_deployed_already_is_not_touched(dist: Path) -> None:
    formation = FakeFormation(template(KEY))
    plan, target = planned(formation, dist)
    assert plan.nothing
    formation.change_set = {
        "Status": "FAILED",
        "StatusReason": "The submitted information didn't contain changes.",
    }
    assert not service_stack.updated(formation, target, lambda _: None)
    assert [what for what, _ in formation.asked] == ["create", "delete"]


def test_a_change_of_something_stateful_is_refused_before_anything_is_begun(dist: Path) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead-letters"}}
    formation = FakeFormation(template("old", Queue=queue))
    with pytest.raises(Rejected, match=r"remove Queue .*nothing was begun"):
        planned(formation, dist)
    assert not formation.asked


def test_a_global_resource_s_change_is_foretold_while_its_region_is_gone(dist: Path) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}
    write(dist, "service", template(KEY, ApiRole=role))
    plan, _ = planned(FakeFormation(template(KEY)), dist)
    assert "ApiRole: changed in us-east-1 only, which does not answer" in plan.text


def test_what_only_root_knows_waits_for_it(dist: Path) -> None:
    new = template(KEY)
    new["Parameters"]["Fresh"] = {"Type": "String"}
    write(dist, "service", new)
    with pytest.raises(Rejected, match="has no value for Fresh"):
        planned(FakeFormation(template(KEY)), dist)


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_that_is_being_changed_or_broken_is_left_alone(dist: Path, status: str) -> None:
    with pytest.raises(Rejected, match=f"it is {status}"):
        planned(FakeFormation(template(KEY), status=status), dist)


def test_what_differs_beside_the_release_is_told(dist: Path) -> None:
    formation = FakeFormation(template(KEY))
    plan, _ = planned(formation, dist)
    assert "foundation" not in plan.text  # there is no such stack here
    renamed = STACK.replace("service", "foundation")
    answered = formation.describe_stacks()["Stacks"]
    both_stacks = [*answered, {**answered[0], "StackName": renamed}]
    formation.describe_stacks = lambda **_: {"Stacks": both_stacks}  # type: ignore[method-assign]
    plan, _ = planned(formation, dist)
    assert "foundation differs from the build, too, and is not touched" in plan.text


def test_a_failed_update_says_why_and_how_it_stands(dist: Path) -> None:
    formation = FakeFormation(template("old"), ends="UPDATE_ROLLBACK_COMPLETE")
    _, target = planned(formation, dist)
    with pytest.raises(Rejected) as told:
        service_stack.updated(formation, target, lambda _: None)
    assert "ApiFunction: no such key; it is as it was before" in str(told.value)
    assert "Other" not in str(told.value)


@dataclass
class FakeBucket:
    held: dict[str, bytes]
    lost: str = ""

    def head_object(self, **request: Any) -> None:
        if request["Key"] not in self.held:
            raise refused("404", 404)

    def put_object(self, **request: Any) -> None:
        assert request["IfNoneMatch"] == "*"
        if request["Key"] == self.lost:
            raise refused("PreconditionFailed", 412)
        self.held[request["Key"]] = request["Body"]


def test_code_and_template_are_added_and_nothing_is_overwritten(dist: Path) -> None:
    _, target = planned(FakeFormation(template("old")), dist)
    bucket, told = FakeBucket({}), list[str]()
    service_stack.publish(bucket, target, told.append)
    assert bucket.held[KEY] == ZIP
    assert json.loads(bucket.held[target.template_key]) == template(KEY)
    assert len(told) == 2
    service_stack.publish(bucket, target, told.append)
    assert len(told) == 2
    service_stack.publish(FakeBucket({}, lost=KEY), target, told.append)  # somebody else was faster


def test_a_bucket_that_does_not_say_is_not_taken_for_empty(dist: Path) -> None:
    _, target = planned(FakeFormation(template("old")), dist)

    class Denying(FakeBucket):
        def head_object(self, **_: Any) -> None:
            raise refused("403", 403)

    with pytest.raises(ClientError):
        service_stack.publish(Denying({}), target, lambda _: None)
