"""Through the front door to a function, which sees Lambda's environment and nothing of the host's."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3.session
import psutil
import pytest
import requests

from lab.control import Control
from lab.faults import Mode, Rule
from lab.plan import LabPlan
from lab.processes import has_ended
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, function_with_api

pytestmark = pytest.mark.lab
HOST = "primary.payments.test"


@pytest.fixture(scope="module")
def region(lab: LabPlan, aws: boto3.session.Session) -> Iterator[Region]:
    region = Region(lab, aws, "us-east-1")
    region.deploy("seen", function_with_api(HOST))
    yield region
    region.remove("seen")


def ask(region: Region, **event: object) -> Any:
    answer = region.functions.invoke(FunctionName="seen", Payload=json.dumps(event))
    value = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, value
    return value


def url(lab: LabPlan, path: str) -> str:
    where = lab.regions["us-east-1"]
    return f"https://{where.address}:{where.front_door_port}{path}"


def test_the_region_s_address_stands_for_its_host_name(lab: LabPlan, region: Region) -> None:
    answer = requests.get(url(lab, "/health"), verify=str(lab.ca_file), timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Seen"] == "yes"
    assert answer.json()["path"] == "/health"
    assert answer.json()["headers"]["host"] == HOST


def test_method_query_headers_and_body_arrive_as_they_were_sent(lab: LabPlan, region: Region) -> None:
    body = '{"amount": 1,  "reference": "ü"}'.encode()
    answer = requests.post(
        url(lab, "/payments?a=1&b=%2F"),
        data=body,
        headers={"Host": HOST, "Idempotency-Key": "k 1", "Content-Type": "application/json"},
        verify=str(lab.ca_file),
        timeout=20,
    )
    seen = answer.json()
    assert (seen["httpMethod"], seen["path"]) == ("POST", "/payments")
    assert seen["queryStringParameters"] == {"a": "1", "b": "/"}
    assert seen["body"].encode() == body
    assert seen["headers"]["idempotency-key"] == "k 1"


@pytest.mark.parametrize("host", ["payments.test", "elsewhere.example"])
def test_a_host_name_without_a_mapping_is_forbidden(lab: LabPlan, region: Region, host: str) -> None:
    answer = requests.get(url(lab, "/health"), headers={"Host": host}, verify=str(lab.ca_file), timeout=20)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_a_region_with_nothing_deployed_is_forbidden(lab: LabPlan, region: Region) -> None:
    where = lab.regions["us-east-2"]
    address = f"https://{where.address}:{where.front_door_port}/health"
    assert requests.get(address, verify=str(lab.ca_file), timeout=20).status_code == 403


def test_a_body_over_ten_megabytes_is_too_long(lab: LabPlan, region: Region) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    answer = requests.post(url(lab, "/payments"), data=body, verify=str(lab.ca_file), timeout=20)
    assert answer.status_code == 413


def test_a_function_sees_its_own_region_and_nothing_of_the_host(lab: LabPlan, region: Region) -> None:
    environment = ask(region, asks="environment")
    assert environment["AWS_ENDPOINT_URL"] == lab.regions["us-east-1"].proxy_url
    assert environment["PGSSLROOTCERT"] == str(lab.ca_file)
    assert environment["OWN"] == "value"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["AWS_ACCESS_KEY_ID"] != lab.account_id, "a function has its role's session, not root"
    assert not {"HOME", "VIRTUAL_ENV", "PAYMENTS_LAB_PLAN", "GATEWAY_PORT", "USER"} & environment.keys()
    assert environment["PATH"] == os.defpath


def test_a_function_can_import_the_runtime_s_packages_and_no_others(region: Region) -> None:
    theirs = ["boto3", "botocore", "urllib3", "dateutil", "jmespath", "six"]
    ours = ["psycopg", "aws_lambda_powertools", "ministack", "lab", "payments", "templates", "requests"]
    found = ask(region, asks="imports", names=theirs + ours)
    assert found == {**dict.fromkeys(theirs, True), **dict.fromkeys(ours, False)}


def test_a_function_s_calls_pass_its_region_s_proxy_and_are_logged(lab: LabPlan, region: Region) -> None:
    region.s3.create_bucket(Bucket="seen-by-the-proxy")
    assert "seen-by-the-proxy" in ask(region, asks="buckets")
    log = (lab.logs / "requests-us-east-1.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in log]
    from_function = [c for c in calls if c["service"] == "s3" and c["access_key"].startswith("ASIA")]
    assert from_function
    assert from_function[-1]["status"] == 200
    region.s3.delete_bucket(Bucket="seen-by-the-proxy")


def test_a_function_is_killed_whatever_it_does_and_started_again(lab: LabPlan, region: Region) -> None:
    control = Control(lab.control_socket)
    ask(region, asks="environment")
    assert control.kill_functions("us-east-2") == []
    assert set(control.kill_functions("us-east-1", "seen")) == {"seen"}
    eventually(lambda: not processes(lab))
    assert ask(region, asks="environment")["OWN"] == "value"


def test_a_function_dies_between_a_call_and_its_answer(lab: LabPlan, region: Region) -> None:
    """What it asked for was done, it never knew, and its client is told that something went wrong."""
    control = Control(lab.control_socket)
    control.set_faults("us-east-1", Rule(Mode.KILL, service="s3", operation="GET /"))
    try:
        died = region.functions.invoke(FunctionName="seen", Payload=json.dumps({"asks": "buckets"}))
        assert died["FunctionError"] == "Unhandled"
        (rule,) = control.faults("us-east-1")
        assert rule["applied"] == 1
    finally:
        control.set_faults("us-east-1")
    log = (lab.logs / "requests-us-east-1.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in log if '"fault": "kill"' in line] == [0]
    assert isinstance(ask(region, asks="buckets"), list)


def test_an_environment_that_does_not_come_up_takes_no_other_with_it(
    lab: LabPlan, region: Region, tmp_path: Path
) -> None:
    """Killed while it starts, it fails its own invocation and nobody else's."""
    until = tmp_path / "now"
    event = {"asks": "wait", "until": str(until)}
    with ThreadPoolExecutor(2) as threads:
        Control(lab.control_socket).kill_functions("us-east-1")
        eventually(lambda: not processes(lab))
        waiting = threads.submit(ask, region, **event)
        eventually(lambda: processes(lab))
        (busy,) = before = processes(lab)
        starting = threads.submit(region.functions.invoke, FunctionName="seen", Payload=json.dumps(event))
        eventually(lambda: processes(lab) - before)
        (started,) = processes(lab) - before
        os.kill(started, signal.SIGKILL)
        assert starting.result()["FunctionError"] == "Unhandled"
        until.touch()
        assert waiting.result()
        assert busy in processes(lab)


def test_every_environment_of_a_function_runs_the_same_files(region: Region, tmp_path: Path) -> None:
    until = tmp_path / "now"
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ask, region, asks="wait", until=str(until)) for _ in range(2)]
        until.touch()
        assert len({one.result() for one in both}) == 1


def processes(lab: LabPlan) -> set[int]:
    """That run the function, by now."""
    recorded = {int(file.stem) for file in lab.functions_directory.glob("*.json")}
    return {pid for pid in recorded if psutil.pid_exists(pid) and not has_ended(psutil.Process(pid))}


def test_a_burst_is_answered_by_few_processes(region: Region, lab: LabPlan) -> None:
    """On two cores a process for each request would take longer to start than all of them to be answered."""
    burst = 24
    Control(lab.control_socket).kill_functions("us-east-1")
    with ThreadPoolExecutor(burst) as threads:
        answered = list(threads.map(lambda _: ask(region, asks="process"), range(burst)))
    assert len(answered) == burst
    assert len(set(answered)) < burst // 2
