"""What works behind the API is started by the clock, in both regions; what cannot be is told to somebody."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from templates.schedules import REHEARSAL
from tests.integration.system.comparison import only
from tests.integration.system.deployment import Client, System, eventually
from tests.integration.system.stacks import Stack

_REHEARSED = ("fence", "recover", "decide")
_STARTED = ("sweep", "settle", "ship", "audit", "finish", *_REHEARSED)
_ALL_TIME: dict[str, Any] = {"StartTime": "2000-01-01", "EndTime": "2100-01-01", "Period": 86400 * 365}


@pytest.fixture(params=["primary", "secondary"])
def place(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _region(system: System, place: str) -> str:
    name: str = system.plan.region_at(place).name
    return name


def _measured(
    system: System, region: str, namespace: str, metric: str, statistic: str, **dimension: str
) -> float | None:
    (name, value), *_ = dimension.items()
    points = system.aws("cloudwatch", region).get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value}],
        Statistics=[statistic],
        **_ALL_TIME,
    )["Datapoints"]
    return float(only(points)[statistic]) if points else None


def _queue(system: System, region: str) -> str:
    _, url = Stack(system, region, "service").listed["DeadLetters"]
    return url


@pytest.mark.parametrize("component", _STARTED)
def test_a_function_is_started_in_both_regions_and_ends_well(
    system: System, place: str, component: str
) -> None:
    """Whichever part its region plays: where it is not its turn it says so."""
    region, name = _region(system, place), f"payments-{component}-{place}-lab"

    def runs() -> float | None:
        return _measured(system, region, "AWS/Lambda", "Invocations", "Sum", FunctionName=name)

    eventually(runs, f"{name} is started", patience=90)
    assert _measured(system, region, "AWS/Lambda", "Errors", "Sum", FunctionName=name) == 0


@pytest.mark.parametrize("component", _REHEARSED)
def test_what_runs_only_in_a_disaster_finds_what_it_needs_and_changes_nothing(
    system: System, place: str, component: str
) -> None:
    region = _region(system, place)
    tables = system.aws("dynamodb", region)

    def control() -> Any:
        return tables.get_item(
            TableName="payments-control-lab", Key={"id": {"S": "control"}}, ConsistentRead=True
        )["Item"]

    before = control()
    answer = system.aws("lambda", region).invoke(
        FunctionName=f"payments-{component}-{place}-lab", Payload=REHEARSAL
    )
    done = json.load(answer["Payload"])
    assert "FunctionError" not in answer, done
    assert (done["outcome"], done["missing"]) == ("rehearsed: nothing was written", {})
    assert control() == before


def test_what_is_open_is_told_by_the_active_region_only(system: System) -> None:
    def told(region: str) -> float | None:
        return _measured(system, region, "payments/lab", "OpenEntries", "Maximum", service="sweep")

    eventually(lambda: told(system.primary), "the active region counts open entries", patience=90)
    assert told(system.secondary) is None


def test_nothing_is_a_dead_letter(system: System, place: str) -> None:
    region = _region(system, place)
    attributes = system.aws("sqs", region).get_queue_attributes(
        QueueUrl=_queue(system, region), AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "0"


@pytest.fixture
def unable(system: System, place: str) -> Iterator[str]:
    """A region whose scheduler may for a while not start the function `settle`."""
    region, name = _region(system, place), f"payments-settle-schedule-{place}-lab"
    iam = system.aws("iam", region)
    granted = iam.get_role_policy(RoleName=name, PolicyName="schedule")["PolicyDocument"]
    less = [one for one in granted["Statement"] if one["Sid"] != "StartFunction"]

    def grant(statements: Any) -> None:
        document = json.dumps({**granted, "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="schedule", PolicyDocument=document)

    grant(less)
    yield region
    grant(granted["Statement"])
    # The alarm is over when somebody has read and removed what is there.
    system.aws("sqs", region).purge_queue(QueueUrl=_queue(system, region))


def test_what_cannot_be_started_is_kept_and_told(system: System, place: str, unable: str) -> None:
    sqs, cloudwatch = system.aws("sqs", unable), system.aws("cloudwatch", unable)

    def kept() -> Any:
        answer = sqs.receive_message(
            QueueUrl=_queue(system, unable), MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        return answer.get("Messages")

    message = eventually(kept, "a dead letter is in the queue", patience=90)[0]
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert said["ERROR_CODE"] == "AccessDeniedException"
    assert said["TARGET_ARN"].endswith(f":function:payments-settle-{place}-lab")

    def state() -> bool | None:
        alarms = cloudwatch.describe_alarms(AlarmNames=[f"payments-dead-letters-{place}-lab"])
        return only(alarms["MetricAlarms"])["StateValue"] == "ALARM" or None

    eventually(state, "the alarm rings", patience=90)


def test_an_accepted_payment_is_settled_by_the_standby(system: System, client: Client) -> None:
    """By what the clock starts, and nothing else: its entry is no longer on the list of open ones."""
    payment_id = client.pay().json()["payment_id"]
    journal = system.aws("dynamodb", system.primary)

    def settled() -> bool | None:
        item = journal.get_item(
            TableName="payments-journal-lab", Key={"payment_id": {"S": payment_id}}, ConsistentRead=True
        )["Item"]
        return "open" not in item or None

    eventually(settled, "the standby settles the payment", patience=150)
