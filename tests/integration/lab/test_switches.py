"""Regions die and come back: what runs in them, what asks them, and what operators see of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3.session
import psutil
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import HTTPClientError

from lab import environment
from lab.control import Control, ControlError
from lab.plan import LabPlan
from lab.processes import has_ended
from lab.requests import forbidden, read
from tests.integration.lab.conftest import eventually, running_lab
from tests.integration.lab.stacks import Region, Template, function_with_api, resource

pytestmark = pytest.mark.lab
HERE, THERE, WITNESS = "us-east-1", "us-east-2", "us-west-2"
AT_ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
CODE = """\
import boto3, time
from botocore.config import Config

at_once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)

def handle(event, context):
    if "wait" in event:
        time.sleep(event["wait"])
    if "of" in event:
        return boto3.client("s3", region_name=event["of"], config=at_once).list_buckets()["Owner"]
    return "here"
"""


def asking() -> Template:
    """A function that asks other regions, and is started every minute besides."""

    def trust(service: str) -> Template:
        principal = {"Principal": {"Service": service}, "Effect": "Allow", "Action": "sts:AssumeRole"}
        return {"Version": "2012-10-17", "Statement": [principal]}

    def may(action: str) -> list[Template]:
        grant = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return [{"PolicyName": "may", "PolicyDocument": {"Version": "2012-10-17", "Statement": [grant]}}]

    return {
        "Resources": {
            "Role": resource(
                "AWS::IAM::Role",
                AssumeRolePolicyDocument=trust("lambda.amazonaws.com"),
                Policies=may("s3:ListAllMyBuckets"),
            ),
            "Starts": resource(
                "AWS::IAM::Role",
                AssumeRolePolicyDocument=trust("scheduler.amazonaws.com"),
                Policies=may("lambda:InvokeFunction"),
            ),
            "Function": resource(
                "AWS::Lambda::Function",
                FunctionName="asking",
                Runtime="python3.11",
                Handler="index.handle",
                Timeout=60,
                Role={"Fn::GetAtt": ["Role", "Arn"]},
                Code={"ZipFile": CODE},
            ),
            "Schedule": resource(
                "AWS::Scheduler::Schedule",
                ScheduleExpression="rate(1 minute)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target={
                    "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
                    "RoleArn": {"Fn::GetAtt": ["Starts", "Arn"]},
                },
            ),
        }
    }


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPlan]:
    """Not the one the other tests share: what dies here is started again there."""
    with running_lab(tmp_path_factory.mktemp("switches")) as plan:
        yield plan


@pytest.fixture(scope="module")
def aws(lab: LabPlan) -> boto3.session.Session:
    return boto3.session.Session(**environment.credentials(lab), region_name=HERE)


@pytest.fixture(scope="module")
def regions(lab: LabPlan, aws: boto3.session.Session) -> dict[str, Region]:
    regions = {name: Region(lab, aws, name) for name in (HERE, THERE)}
    for region in regions.values():
        region.deploy("asking", asking())
    regions[HERE].deploy("seen", function_with_api("primary.payments.test"))
    return regions


@pytest.fixture
def control(lab: LabPlan) -> Iterator[Control]:
    control = Control(lab.control_socket)
    yield control
    for region in lab.regions:
        control.restore_region(region)
    control.heal()


def operator(lab: LabPlan, aws: boto3.session.Session, service: str, region: str) -> Any:
    """As a person's tools ask: all regions through the endpoint that the shell was given."""
    return aws.client(  # type: ignore[call-overload] # any
        service, region_name=region, endpoint_url=lab.aws_endpoint_url, config=AT_ONCE
    )


def asked(lab: LabPlan, aws: boto3.session.Session, region: str, **event: object) -> Any:
    """What the function of a region says; its error where it failed."""
    answer = operator(lab, aws, "lambda", region).invoke(
        FunctionName="asking", Payload=json.dumps(event).encode()
    )
    said = json.loads(answer["Payload"].read())
    return said["errorMessage"] if "FunctionError" in answer else said


def healthy(lab: LabPlan) -> bool:
    where = lab.regions[HERE]
    url = f"https://{where.address}:{where.front_door_port}/health"
    return requests.get(url, verify=str(lab.ca_file), timeout=20).status_code == 200


def processes(lab: LabPlan, region: str) -> set[int]:
    found = set()
    for file in lab.functions_directory.glob("*.json"):
        recorded = json.loads(file.read_text())
        pid = int(file.stem)
        if recorded["function"].split(":")[3] == region and psutil.pid_exists(pid):
            found |= set() if has_ended(psutil.Process(pid)) else {pid}
    return found


def run(lab: LabPlan, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "lab", *arguments, "--directory", str(lab.directory)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def states(lab: LabPlan) -> dict[str, str]:
    said: dict[str, str] = Control(lab.control_socket).status()["regions"]
    return said


def test_a_dead_region_answers_nobody_and_comes_back_as_it_was(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    assert healthy(lab)
    assert asked(lab, aws, HERE) == "here"
    assert processes(lab, HERE)
    assert run(lab, "kill", HERE) == (0, "us-east-1 is down.\n", "")
    assert run(lab, "kill", HERE) == (0, "us-east-1 is down already.\n", "")
    assert states(lab) == {HERE: "down", THERE: "up", WITNESS: "up"}
    eventually(lambda: not processes(lab, HERE))
    with pytest.raises(requests.ConnectionError):
        healthy(lab)
    for service, look in (("lambda", "list_functions"), ("rds", "describe_events"), ("iam", "list_roles")):
        with pytest.raises(HTTPClientError):
            getattr(operator(lab, aws, service, HERE), look)()
    operator(lab, aws, "rds", THERE).describe_events()
    assert asked(lab, aws, THERE) == "here"
    assert asked(lab, aws, THERE, of=WITNESS)
    assert "Connection was closed" in asked(lab, aws, THERE, of=HERE)
    assert run(lab, "restore", HERE) == (0, "us-east-1 is up again.\n", "")
    assert run(lab, "restore", HERE) == (0, "us-east-1 is not down.\n", "")
    assert healthy(lab)
    assert asked(lab, aws, HERE) == "here"
    assert asked(lab, aws, THERE, of=HERE)
    assert states(lab) == dict.fromkeys((HERE, THERE, WITNESS), "up")


def test_one_call_to_a_region_that_is_dead_is_noticed(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    since = time.time()
    assert asked(lab, aws, THERE, of=HERE)
    assert control.kill_region(HERE)
    died = time.time()
    assert asked(lab, aws, THERE, of=WITNESS)
    with pytest.raises(HTTPClientError):
        operator(lab, aws, "iam", HERE).list_roles()
    assert not forbidden(read(lab.logs), HERE, died, time.time())
    assert "Connection was closed" in asked(lab, aws, THERE, of=HERE)
    eventually(lambda: forbidden(read(lab.logs), HERE, died, time.time()))
    (found,) = forbidden(read(lab.logs), HERE, died, time.time())
    assert str(found).endswith("asking in us-east-2 asked us-east-1: s3 GET / (0): the region is dead")
    assert len(forbidden(read(lab.logs), HERE, since, time.time())) == 2


def test_the_witness_dies_alone(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    assert control.kill_region(WITNESS)
    assert "Connection was closed" in asked(lab, aws, HERE, of=WITNESS)
    assert asked(lab, aws, HERE, of=THERE)
    assert control.restore_region(WITNESS)
    assert asked(lab, aws, HERE, of=WITNESS)


def test_what_is_under_way_to_a_region_that_dies_is_never_answered(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    client = operator(lab, aws, "lambda", HERE)
    client.invoke(FunctionName="asking", InvocationType="Event", Payload=b'{"wait": 30}')
    eventually(lambda: processes(lab, HERE))
    began = time.monotonic()
    assert control.kill_region(HERE)
    eventually(lambda: not processes(lab, HERE))
    assert time.monotonic() - began < 5
    control.restore_region(HERE)
    eventually(lambda: processes(lab, HERE))  # an event that was queued is tried again


def test_of_a_region_only_the_functions_of_one_name_or_the_database_die(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    assert asked(lab, aws, HERE) == "here"
    assert run(lab, "kill", HERE, "--functions", "nothing") == (0, "No function was killed.\n", "")
    assert asked(lab, aws, HERE) == "here"
    code, out, errors = run(lab, "kill", HERE, "--functions", "asking")
    assert (code, out.startswith("Killed asking"), errors) == (0, True, "")
    assert states(lab)[HERE] == "up"
    code, _, errors = run(lab, "kill", HERE, "--ledger")
    assert (code, errors) == (1, "lab: us-east-1 has no database cluster\n")


def test_no_region_is_not_one(lab: LabPlan, control: Control) -> None:
    code, out, errors = run(lab, "kill", "eu-north-1")
    assert (code, out) == (2, "")
    assert errors == "lab: there is no region eu-north-1\nSay one of us-east-1, us-east-2, us-west-2.\n"
    with pytest.raises(ControlError, match="there is no region eu-north-1"):
        control.restore_region("eu-north-1")


def test_a_region_that_is_cut_off_is_reached_from_the_internet_only(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    assert run(lab, "partition", HERE) == (0, "us-east-1 is cut off.\n", "")
    assert run(lab, "partition", HERE) == (0, "us-east-1 is cut off already.\n", "")
    assert states(lab) == {HERE: "partitioned", THERE: "up", WITNESS: "up"}
    assert healthy(lab)
    assert asked(lab, aws, HERE, of=HERE)
    assert "Connection was closed" in asked(lab, aws, HERE, of=THERE)
    assert "Connection was closed" in asked(lab, aws, THERE, of=HERE)
    assert asked(lab, aws, THERE, of=WITNESS)
    assert control.kill_region(HERE)
    assert control.restore_region(HERE)
    assert states(lab)[HERE] == "partitioned"
    assert run(lab, "heal") == (0, "Partitions, delays and freezes have ended.\n", "")
    assert run(lab, "heal") == (0, "There was nothing to heal.\n", "")
    assert asked(lab, aws, HERE, of=THERE)
    assert asked(lab, aws, THERE, of=HERE)


def test_a_region_that_stands_still_goes_on_with_what_it_did(
    lab: LabPlan, aws: boto3.session.Session, regions: dict[str, Region], control: Control
) -> None:
    assert asked(lab, aws, HERE) == "here"
    assert run(lab, "freeze", HERE) == (0, "us-east-1 stands still.\n", "")
    assert run(lab, "freeze", HERE) == (0, "us-east-1 stands still already.\n", "")
    assert states(lab)[HERE] == "frozen"
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(asked, lab, aws, HERE) for _ in range(2)]  # one needs a new environment
        time.sleep(2)
        assert not any(one.done() for one in both)
        assert asked(lab, aws, THERE) == "here"
        assert control.heal()
        assert [one.result() for one in both] == ["here", "here"]
    assert states(lab)[HERE] == "up"
    assert control.freeze_region(HERE)
    assert control.kill_region(HERE)
    eventually(lambda: not processes(lab, HERE))
    with pytest.raises(ControlError, match="us-east-1 is down"):
        control.freeze_region(HERE)
    assert control.restore_region(HERE)
    assert states(lab)[HERE] == "up"


def test_a_delay_is_said_and_checked(lab: LabPlan, control: Control) -> None:
    said = "What is sent to the database of us-east-2 arrives 2.5 s late.\n"
    assert run(lab, "delay", THERE, "2.5") == (0, said, "")
    assert control.status()["databases"][THERE]["replication_delay"] == 2.5
    assert run(lab, "delay", THERE, "31")[0] == 2
    assert run(lab, "delay", WITNESS, "1")[::2] == (1, "lab: there are no databases in us-west-2\n")
    assert control.heal()
    assert control.status()["databases"][THERE]["replication_delay"] == 0
