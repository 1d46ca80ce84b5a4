"""When the probe votes, when it does not, and what it survives: the text as it is deployed, executed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import BadStatusLine
from ssl import SSLCertVerificationError
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from botocore.exceptions import ConnectTimeoutError

from generator.render import PROBE, render
from tests.unit.templates.rendering import settings

HERE, PEER, WITNESS = "us-east-2", "us-east-1", "us-west-2"
_HOSTS = f"{PEER}=primary.payments.example.com,{HERE}=secondary.payments.example.com"


@pytest.fixture(scope="module")
def text() -> dict[str, Any]:
    """The text's names, after it ran as Lambda runs it: alone."""
    names: dict[str, Any] = {"__name__": "index"}
    exec(compile(PROBE.read_text("utf-8"), "index.py", "exec"), names)  # noqa: S102 - ours
    return names


class World:
    """Two replicas of the control record, two front doors, two CloudWatches; and what was asked of them."""

    def __init__(self) -> None:
        self.active: dict[str, object] = {PEER: PEER, HERE: PEER}
        self.health: dict[str, object] = {"primary": 200, "secondary": 200}
        self.asked: list[str] = []
        self.votes: list[tuple[str, str, str, float]] = []
        self.refusals = 0

    def client(self, service: str, region: str) -> Any:
        def get_item(**_: Any) -> Any:
            self.asked.append(region)
            found = self.active[region]
            if isinstance(found, Exception):
                raise found
            return {"Item": {"active": {"S": found}}} if found else {}

        def put_metric_data(Namespace: str, MetricData: list[Any]) -> None:  # noqa: N803 - as AWS has it
            if self.refusals:
                self.refusals -= 1
                raise ConnectTimeoutError(endpoint_url=region)
            (datum,) = MetricData
            assert (datum["MetricName"], datum["StorageResolution"]) == ("ActiveRegionUnreachable", 1)
            assert Namespace == "payments/prod"
            said = {one["Name"]: one["Value"] for one in datum["Dimensions"]}
            self.votes.append((region, said["Region"], said["Voter"], datum["Value"]))

        return SimpleNamespace(get_item=get_item, put_metric_data=put_metric_data)

    @contextmanager
    def open(self, url: str, timeout: float) -> Iterator[Any]:
        assert timeout == 3
        found = self.health[url.removeprefix("https://").split(".")[0]]
        if isinstance(found, Exception):
            raise found
        yield SimpleNamespace(status=found)


def witness(text: dict[str, Any], world: World, **changed: str) -> Any:
    both = f"{PEER},{HERE}"
    given = {"REPLICAS": both, "VOTE_REGIONS": both, "VOTER": "witness", "HOSTS": _HOSTS}
    fixed = {"CONTROL_TABLE": "control", "NAMESPACE": "payments/prod"}
    numbers = {"PROBE_MISSES": "3", "PROBE_TIMEOUT_SECONDS": "3"}
    return text["Probe"]({**given, **fixed, **numbers, **changed}, world.client, world.open)


def standby(text: dict[str, Any], world: World) -> Any:
    host = f"{PEER}=primary.payments.example.com"
    return witness(text, world, REPLICAS=HERE, VOTE_REGIONS=HERE, VOTER="own", HOSTS=host)


def looks(probe: Any, many: int, first: float = 1000) -> None:
    for number in range(many):
        probe.look(first + 10 * number)


def refused(code: int) -> HTTPError:
    return HTTPError("https://primary", code, "", {}, None)  # type: ignore[arg-type] # no headers


@pytest.mark.parametrize(
    "answer",
    [
        503,
        204,
        refused(503),
        refused(403),
        URLError(ConnectionRefusedError()),
        TimeoutError(),
        SSLCertVerificationError("expired"),
        BadStatusLine("?"),
        OSError("no such host"),
    ],
    ids=repr,
)
def test_the_third_miss_in_a_row_and_every_one_after_it_is_a_vote(
    text: dict[str, Any], answer: object
) -> None:
    world = World()
    world.health["primary"] = answer
    probe = standby(text, world)
    looks(probe, 2)
    assert not world.votes
    looks(probe, 2, 1020)
    assert world.votes == [(HERE, PEER, "own", 1)] * 2


def test_a_region_that_answers_is_forgiven_and_heard_of_once_a_minute(text: dict[str, Any]) -> None:
    world = World()
    probe = standby(text, world)
    looks(probe, 13)
    assert world.votes == [(HERE, PEER, "own", 0)] * 3
    world.votes.clear()
    for number, answer in enumerate((503, 503, 200, 503, 503, 200)):
        world.health["primary"] = answer
        probe.look(1130 + 10 * number)
    assert not [vote for vote in world.votes if vote[3]]


def test_a_region_that_answers_again_is_heard_of_at_once(text: dict[str, Any]) -> None:
    """CloudWatch looks back further than one period: without this the alarm rings on for a while."""
    world = World()
    probe = standby(text, world)
    looks(probe, 1)
    world.health["primary"] = 503
    looks(probe, 3, 1010)
    world.health["primary"] = 200
    looks(probe, 2, 1040)
    assert [vote[3] for vote in world.votes] == [0, 1, 0]


def test_a_miss_of_the_last_run_but_one_is_not_in_a_row(text: dict[str, Any]) -> None:
    """A process waits for its next run for as long as Lambda likes."""
    world = World()
    world.health["primary"] = 503
    probe = standby(text, world)
    looks(probe, 2)
    looks(probe, 2, 1100)
    assert not world.votes


def test_misses_are_of_one_active_region(text: dict[str, Any]) -> None:
    world = World()
    world.health = {"primary": 503, "secondary": 503}
    probe = witness(text, world)
    looks(probe, 2)
    world.active = {PEER: HERE, HERE: HERE}
    looks(probe, 2, 1020)
    assert not world.votes
    looks(probe, 1, 1040)
    assert world.votes == [(PEER, HERE, "witness", 1)]


def test_nobody_votes_about_itself_and_nobody_is_told_of_itself(text: dict[str, Any]) -> None:
    world = World()
    world.health = {"primary": 503, "secondary": 503}
    world.active = {PEER: HERE, HERE: HERE}
    looks(standby(text, world), 5)
    assert not world.votes
    looks(witness(text, world), 3)
    assert [region for region, *_ in world.votes] == [PEER]


@pytest.mark.parametrize("unknown", [ConnectTimeoutError(endpoint_url="x"), None, KeyError("active")])
def test_without_the_control_record_there_is_no_vote(text: dict[str, Any], unknown: object) -> None:
    world = World()
    world.health["primary"] = 503
    world.active = {PEER: unknown, HERE: unknown}
    probe = witness(text, world)
    for _ in range(5):
        with pytest.raises((ConnectTimeoutError, KeyError)):
            probe.look(1000)
    assert not world.votes


def test_the_replica_of_the_region_that_may_be_gone_is_asked_last(text: dict[str, Any]) -> None:
    world = World()
    probe = witness(text, world)
    probe.look(1000)
    world.asked.clear()
    world.active[PEER] = ConnectTimeoutError(endpoint_url="x")
    looks(probe, 2)
    assert world.asked == [HERE, HERE]
    world.active = {PEER: PEER, HERE: ConnectTimeoutError(endpoint_url="x")}
    world.asked.clear()
    probe.look(1020)
    assert world.asked == [HERE, PEER]


class Clock:
    """Sleeps in no time."""

    def __init__(self) -> None:
        self.at = 50.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def time(self) -> float:
        return 1_000_000 + self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


def test_a_run_looks_on_time_however_long_a_look_took(text: dict[str, Any]) -> None:
    clock, seen = Clock(), []

    def look(now: float) -> None:
        seen.append(now)
        clock.at += 4 if len(seen) < 3 else 12

    assert text["run"](SimpleNamespace(look=look), 4, 10, clock) == {"failed": []}
    assert [at - 1_000_050 for at in seen] == [0, 10, 20, 32]


def test_a_look_that_fails_ends_no_run_and_a_run_of_such_looks_fails(text: dict[str, Any]) -> None:
    world = World()
    world.active = {PEER: PEER, HERE: PEER}
    probe = standby(text, world)
    world.refusals = 1
    assert text["run"](probe, 3, 10, Clock())["failed"][0].startswith("ConnectTimeoutError")
    world.active = {HERE: ConnectTimeoutError(endpoint_url="x")}
    with pytest.raises(RuntimeError, match="ConnectTimeoutError"):
        text["run"](probe, 3, 10, Clock())


def test_one_text_is_deployed_in_all_three_regions_and_is_short_enough_for_a_template() -> None:
    rendered = {name: json.loads(body) for name, body in render(settings()).items()}
    texts = {
        rendered[name]["Resources"]["ProbeFunction"]["Properties"]["Code"]["ZipFile"]
        for name in ("service", "witness")
    }
    assert texts == {PROBE.read_text("utf-8")}
    assert len(PROBE.read_text("utf-8")) <= 4096
