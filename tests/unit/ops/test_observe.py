"""Asking: every question for itself, none waits for another."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber

from failover.errors import Unavailable
from failover.planner import Unknown
from lab.certificates import new_authority, write_server_certificate
from ops.cli import main
from ops.observation import QUESTIONS, DnsAnswer, OpenEntries
from ops.observe import Asked, answered, lag, led_to, observe, observed, open_entries, ringing
from ops.resolver import Answer
from ops.surroundings import CA_FILE, DOORS, ENDPOINTS, NAME_SERVER, TIME_SCALE, Surroundings
from payments.ports import Backlog
from templates.config import ConfigurationError, load
from tests.name_servers import name_server

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONFIGURATION = Path(__file__).parents[3] / "deployment.toml"


def failing(error: Exception) -> Any:
    def ask() -> None:
        raise error

    return ask


def test_each_question_has_its_answer_or_its_reason() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "DescribeAlarms")
    hanging = threading.Event()
    try:
        answers = answered(
            {
                ("here", "known"): lambda: 7,
                ("here", "missing"): failing(Unavailable("journal: ConnectTimeoutError")),
                ("here", "denied"): failing(denied),
                ("here", "nobody"): failing(NoCredentialsError()),
                ("here", "odd"): failing(ValueError("makes no sense")),
                ("there", "slow"): hanging.wait,
            },
            0.2,
        )
    finally:
        hanging.set()
    assert {name: getattr(answer, "why", answer) for (_, name), answer in answers.items()} == {
        "known": 7,
        "missing": "journal: ConnectTimeoutError",
        "denied": "DescribeAlarms: AccessDenied",
        "nobody": "NoCredentialsError: Unable to locate credentials",
        "odd": "ValueError: makes no sense",
        "slow": "no answer within 0.2 s",
    }


def test_a_question_nobody_expected_to_fail_is_unknown_as_well() -> None:
    (answer,) = answered({("here", "mistake"): failing(ZeroDivisionError("ours"))}, 5).values()
    assert answer == Unknown("ZeroDivisionError: ours")


def test_both_regions_are_asked_everything_at_the_same_time() -> None:
    together = threading.Barrier(2 * len(QUESTIONS) + 1)

    def ask() -> Any:
        together.wait(5)
        return Unknown("x")

    questions = dict.fromkeys(QUESTIONS, ask)
    asked = Asked("us-east-1", "primary", questions), Asked("us-east-2", "secondary", questions)
    seen = observe(asked, ask, NOW, 10)
    assert seen.dns == Unknown("x")
    assert [len(one.unanswered) for one in seen.regions] == [len(QUESTIONS)] * 2
    assert {unknown.why for one in seen.regions for unknown in one.unanswered.values()} == {"x"}


def test_where_nobody_listens_everything_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    settings = load(CONFIGURATION, "lab", {})
    nowhere = dict.fromkeys(("us-east-1", "us-east-2"), "http://127.0.0.1:9")
    seen = observed(settings, Surroundings(ssl.create_default_context(), nowhere, ("127.0.0.1", 9)))
    assert isinstance(seen.dns, Unknown)
    assert [len(one.unanswered) for one in seen.regions] == [len(QUESTIONS)] * 2
    assert isinstance(seen.control, Unknown)


class FakeWork:
    """Shard 00 has more than is counted, 01 a few."""

    def backlog(self, shard: str, limit: int) -> Backlog:
        found = {"00": Backlog(limit, NOW - timedelta(seconds=9)), "01": Backlog(2, NOW - timedelta(hours=1))}
        return found.get(shard, Backlog(0, None))


def test_open_entries_are_counted_over_all_shards() -> None:
    work: Any = FakeWork()
    assert open_entries(work, 10) == OpenEntries(12, at_least=True, oldest=NOW - timedelta(hours=1))


@pytest.fixture
def cloudwatch() -> Iterator[tuple[Any, Stubber]]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("cloudwatch", region_name="us-east-1", **keys)  # type: ignore[call-overload]
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_alarms_are_those_of_the_region_s_own_environment(cloudwatch: tuple[Any, Stubber]) -> None:
    client, stubber = cloudwatch
    names = ("payments-lag-primary-prod", "payments-lag-primary-test", "payments-lag-secondary-prod")
    asked = {
        "StateValue": "ALARM",
        "AlarmNamePrefix": "payments-",
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
    }
    stubber.add_response(
        "describe_alarms", {"MetricAlarms": [{"AlarmName": name} for name in names], "NextToken": "n"}, asked
    )
    composite = [{"AlarmName": "payments-dead-primary-prod"}]
    stubber.add_response("describe_alarms", {"CompositeAlarms": composite}, {**asked, "NextToken": "n"})
    assert ringing(client, "payments-", "-primary-prod") == (
        "payments-dead-primary-prod",
        "payments-lag-primary-prod",
    )


@pytest.mark.parametrize(
    ("values", "latest"),
    [(([], []), None), (([12.0, 90.0], []), 12.0), (([], [0.0]), 0.0), (([12.0], [9.0, 8.0]), 12.0)],
)
def test_the_lag_is_the_latest_under_either_dimensions(
    cloudwatch: tuple[Any, Stubber], values: tuple[list[float], list[float]], latest: float | None
) -> None:
    client, stubber = cloudwatch
    results = [
        {
            "Id": f"lag{number}",
            "Values": found,
            "Timestamps": [NOW - timedelta(minutes=minutes) for minutes in range(len(found))],
        }
        for number, found in enumerate(values)
    ]
    stubber.add_response("get_metric_data", {"MetricDataResults": results})
    assert lag(client, "ledger", "us-east-2", NOW) == latest


@pytest.fixture
def region(tmp_path: Path) -> Iterator[tuple[Path, tuple[str, int]]]:
    """A public endpoint that says 503 to everybody, and the authority that vouches for it."""
    authority = new_authority("CA", datetime.now(UTC))
    file, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    ca.write_bytes(authority.pem())
    write_server_certificate(authority, file, hosts=("a.test",), addresses=(), now=datetime.now(UTC))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), plain, tls.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield ca, listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)


def test_health_is_asked_by_its_public_name(region: tuple[Path, tuple[str, int]]) -> None:
    ca, (address, port) = region
    addresses = {"a.test.": "192.0.2.1", "b.test.": "192.0.2.1", "c.test.": "192.0.2.3"}
    doors = {DOORS: json.dumps({"192.0.2.1": [address, port], "192.0.2.3": [address, 9]})}
    with name_server(addresses) as (host, dns_port):
        variables = doors | {NAME_SERVER: f"{host}:{dns_port}"}
        around = Surroundings.of({CA_FILE: str(ca), **variables})
        assert around.status("a.test", "/health", 5) == 503
        with pytest.raises(Unavailable, match=r"https://b\.test/health: its certificate is not trusted"):
            around.status("b.test", "/health", 5)
        with pytest.raises(Unavailable, match=r"https://c\.test/health: .*refused"):
            around.status("c.test", "/health", 5)
        with pytest.raises(Unavailable, match=r"d\.test: .*does not exist"):
            around.status("d.test", "/health", 5)
        with pytest.raises(Unavailable, match="not trusted"):
            Surroundings.of(variables).status("a.test", "/health", 5)


@pytest.mark.parametrize(
    "variables",
    [
        {CA_FILE: "/nowhere/ca.pem"},
        {DOORS: "{"},
        {DOORS: '{"a": 1}'},
        {ENDPOINTS: "x"},
        {NAME_SERVER: "127.0.0.1"},
        {TIME_SCALE: "fast"},
    ],
)
def test_a_lab_that_is_gone_is_explained(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="is the lab up"):
        Surroundings.of(variables)


OWN = {"own.one": ("192.0.2.1", "192.0.2.2"), "own.two": ("192.0.2.9",), "d-1.one": ("192.0.2.5",)}


@pytest.mark.parametrize(
    ("addresses", "region"),
    [
        (("192.0.2.2", "192.0.2.3"), "one"),  # one of several in common is enough
        (("192.0.2.9",), "two"),
        (("192.0.2.5",), "one"),
        (("192.0.2.77",), None),
    ],
)
def test_the_domain_s_addresses_are_the_region_s_that_has_them_too(
    addresses: tuple[str, ...], region: str | None
) -> None:
    asked: list[str] = []

    def look_up(name: str) -> Answer:
        asked.append(name)
        return Answer(addresses if name == "domain" else OWN[name], 42.0)

    ends = [("one", "own.one"), ("two", "own.two"), ("one", "d-1.one")]
    led = led_to(look_up, "domain", [(where, lambda name=name: name) for where, name in ends])  # type: ignore[misc]
    assert led == DnsAnswer(addresses, region, 42.0)
    assert asked[0] == "domain"


def test_a_region_that_does_not_say_its_names_hides_not_the_other_s() -> None:
    def look_up(name: str) -> Answer:
        return Answer(("192.0.2.9",), 1.0)

    ends = [("one", failing(Unavailable("gone"))), ("two", lambda: "own.two")]
    assert led_to(look_up, "domain", ends).region == "two"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_ends_with_1_where_something_is_unknown(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv(ENDPOINTS, json.dumps(dict.fromkeys(("us-east-1", "us-east-2"), "http://127.0.0.1:9")))
    monkeypatch.setenv(NAME_SERVER, "127.0.0.1:9")
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(CONFIGURATION), "--environment", "lab", "status", *options])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert "control: control record: EndpointConnectionError" in shown.out
    assert not shown.err
    if options:
        assert json.loads(shown.out)["healthy"] is False


def test_bad_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(CONFIGURATION), "status", "us-east-1"])
    assert ended.value.code == 2
    assert capsys.readouterr().err
