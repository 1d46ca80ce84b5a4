import hashlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapters.custom_resource import Failed, Request
from failover.control import ControlRecord, Phase
from rollout.control_record import write_first
from rollout.handler import act
from rollout.published_code import publish
from rollout.stack_set_outputs import read_outputs
from rollout.stack_set_roles import wait_for_roles
from rollout.waiting import until
from tests.unit.adapters.fakes import refused

FAR = float("inf")


def request(deadline: float = FAR, action: str = "Create", **properties: Any) -> Request:
    return Request(action, "Custom::Thing", properties, deadline)


class FakeSts:
    """Administration can assume execution after a number of attempts; only with its credentials."""

    def __init__(self, refusals: list[ClientError]) -> None:
        self.refusals = refusals
        self.assumed: list[tuple[str, str]] = []
        self.sessions: set[str] = set()

    def client(self, credentials: Any) -> Any:
        sts, holder = self, credentials["AccessKeyId"] if credentials else "rollout"

        class Client:
            def assume_role(self, *, RoleArn: str, RoleSessionName: str) -> Any:  # noqa: N803 - boto3's names
                if sts.refusals:
                    raise sts.refusals.pop(0)
                sts.assumed.append((holder, RoleArn))
                sts.sessions.add(RoleSessionName)
                return {"Credentials": {"AccessKeyId": RoleArn}}

        return Client()


def roles(sts: FakeSts, deadline: float = FAR) -> None:
    arns = {"AdministrationRoleArn": "administration", "ExecutionRoleArn": "execution"}
    wait_for_roles(request(deadline, SessionName="trial", **arns), sts.client, every=0)


def test_roles_are_waited_for_by_assuming_them() -> None:
    sts = FakeSts([refused("AccessDenied"), refused("AccessDenied"), refused("InvalidClientTokenId")])
    roles(sts)
    assert sts.assumed[-2:] == [("rollout", "administration"), ("administration", "execution")]
    assert sts.sessions == {"trial"}


def test_waiting_for_roles_ends_in_time() -> None:
    with pytest.raises(Failed, match="administration to be allowed to assume execution"):
        roles(FakeSts([refused("AccessDenied")] * 9), deadline=0)


def test_only_a_refusal_is_waited_for() -> None:
    with pytest.raises(ClientError):
        roles(FakeSts([refused("RegionDisabledException")]))


class FakeS3:
    def __init__(self, head: int = 404, refusals: list[ClientError] | None = None) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.head = head
        self.refusals = refusals or []

    def head_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803 - boto3's names
        if (Bucket, Key) not in self.objects:
            raise refused(str(self.head), self.head)
        return {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str, ChecksumSHA256: str) -> Any:  # noqa: N803 - as above
        if self.refusals:
            raise self.refusals.pop(0)
        if (Bucket, Key) in self.objects:
            raise refused("PreconditionFailed", 412)
        self.objects[Bucket, Key] = Body
        return {}


def packaged(directory: Path, content: bytes = b"zip") -> str:
    key = f"functions/service-{hashlib.sha256(content).hexdigest()}.zip"
    (directory / "functions").mkdir()
    (directory / key).write_bytes(content)
    return key


def publishing(key: str, deadline: float = FAR) -> Request:
    return request(deadline, Buckets={"us-east-1": "one", "us-east-2": "two"}, Keys=[key])


def test_code_is_published_into_each_regions_bucket_once(tmp_path: Path) -> None:
    key, s3 = packaged(tmp_path), {"us-east-1": FakeS3(), "us-east-2": FakeS3()}
    clients: Any = s3.__getitem__
    publish(publishing(key), tmp_path, clients)
    assert s3["us-east-1"].objects == {("one", key): b"zip"}
    assert s3["us-east-2"].objects == {("two", key): b"zip"}
    (tmp_path / key).unlink()  # what is there already is not even read
    publish(publishing(key), tmp_path, clients)


@pytest.mark.parametrize("key", ["functions/missing.zip", "../secret.zip", "/etc/passwd"])
def test_only_what_the_package_carries_is_published(tmp_path: Path, key: str) -> None:
    (tmp_path.parent / "secret.zip").write_bytes(b"x")
    s3: Any = FakeS3()
    with pytest.raises(Failed, match="not in this function's package"):
        publish(publishing(key), tmp_path, lambda _: s3)


def test_a_zip_that_is_not_what_its_name_says_is_not_published(tmp_path: Path) -> None:
    key = packaged(tmp_path)
    (tmp_path / key).write_bytes(b"other")
    s3: Any = FakeS3()
    with pytest.raises(Failed, match="SHA-256"):
        publish(publishing(key), tmp_path, lambda _: s3)


def test_forbidden_is_not_taken_for_absent(tmp_path: Path) -> None:
    s3: Any = FakeS3(head=403)
    with pytest.raises(Failed, match="still waiting for this function to be allowed to use bucket one"):
        publish(publishing(packaged(tmp_path), deadline=0), tmp_path, lambda _: s3, every=0)
    assert not s3.objects


def test_a_grant_by_a_key_s_alias_that_has_not_arrived_yet_is_waited_for(tmp_path: Path) -> None:
    key, s3 = packaged(tmp_path), FakeS3(refusals=[refused("AccessDenied", 403)] * 2)
    clients: Any = lambda _: s3  # noqa: E731 - typed as what it stands in for
    publish(publishing(key), tmp_path, clients, every=0)
    assert s3.objects == {("one", key): b"zip", ("two", key): b"zip"}


def test_only_a_refusal_to_publish_is_waited_for(tmp_path: Path) -> None:
    s3: Any = FakeS3(refusals=[refused("NoSuchBucket", 404)])
    with pytest.raises(ClientError):
        publish(publishing(packaged(tmp_path)), tmp_path, lambda _: s3, every=0)


def test_the_first_control_record_waits_for_the_grant_too() -> None:
    refusals, records = [refused("AccessDeniedException")] * 2, []

    def create(first: ControlRecord) -> bool:
        if refusals:
            raise refusals.pop()
        records.append(first)
        return True

    asked = request(Table="control", Active="us-east-1")
    assert write_first(asked, create, every=0) == {"Written": "yes"}
    assert [(one.active, one.epoch, one.phase) for one in records] == [("us-east-1", 1, Phase.STEADY)]
    refusals += [refused("AccessDeniedException")] * 2
    with pytest.raises(
        Failed, match="still waiting for this function to be allowed to write to table control"
    ):
        write_first(request(deadline=0, Table="control", Active="us-east-1"), create, every=0)


class FakeCloudFormation:
    def __init__(self, *rounds: list[dict[str, str]]) -> None:
        self.rounds = list(rounds)
        self.asked: list[tuple[str | None, str]] = []

    def client(self, region: str | None) -> Any:
        cloudformation = self

        class Client:
            def get_paginator(self, _name: str) -> Any:
                return self

            def paginate(self, **_request: Any) -> Any:
                rounds = cloudformation.rounds
                found = rounds.pop(0) if len(rounds) > 1 else rounds[0]
                return [{"Summaries": [instance]} for instance in found]

            def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803 - boto3's names
                cloudformation.asked.append((region, StackName))
                return {"Stacks": [{"Outputs": [{"OutputKey": "VpcId", "OutputValue": f"vpc-{region}"}]}]}

        return Client()


def instance(region: str, status: str = "CURRENT") -> dict[str, str]:
    return {"Region": region, "Status": status, "StackId": f"stack-{region}"}


def outputs(cloudformation: FakeCloudFormation, *wanted: str, deadline: float = FAR) -> dict[str, str]:
    regions = {"Primary": "us-east-1", "Secondary": "us-east-2"}
    asked = request(
        deadline, StackSetName="foundation", Regions=regions, Outputs=list(wanted), TemplateHash="x"
    )
    return dict(read_outputs(asked, cloudformation.client, every=0))


def test_outputs_are_read_once_every_instance_is_current() -> None:
    both = [instance("us-east-1"), instance("us-east-2")]
    cloudformation = FakeCloudFormation(
        [], [instance("us-east-1")], [instance("us-east-1"), instance("us-east-2", "OUTDATED")], both
    )
    assert outputs(cloudformation, "VpcId") == {
        "PrimaryVpcId": "vpc-us-east-1",
        "SecondaryVpcId": "vpc-us-east-2",
    }
    assert cloudformation.asked == [("us-east-1", "stack-us-east-1"), ("us-east-2", "stack-us-east-2")]


@pytest.mark.parametrize(
    ("instances", "wanted", "reason"),
    [
        ([instance("us-east-1")], "VpcId", "still waiting for every instance of StackSet foundation"),
        ([instance("us-east-1", "INOPERABLE")], "VpcId", "INOPERABLE in us-east-1"),
        ([instance("us-east-1"), instance("us-east-2")], "Other", "no output Other"),
    ],
)
def test_what_cannot_be_read_is_said(instances: list[dict[str, str]], wanted: str, reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        outputs(FakeCloudFormation(instances), wanted, deadline=0)


def test_waiting_never_sleeps_past_its_deadline() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(Failed, match="still waiting for rain"):
        until(lambda: None, deadline=10, what="rain", every=3, sleep=sleep, monotonic=lambda: now[0])
    assert now[0] == 9


def test_deleting_takes_nothing_back_and_unknown_types_are_refused() -> None:
    assert act(request(action="Delete")) == {}
    with pytest.raises(Failed, match="Custom::Thing is not a type"):
        act(request())
