"""What runs by the clock: started by a role lent to the scheduler, and kept where it came to nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import EmbeddedAws, delete, deploy, eventually, reasons, unique
from tests.integration.embedded.sessions import Role, Statement, allow, document
from tests.integration.embedded.zipped import zipped

HEARS = """
import json
def handle(event, context):
    print("heard " + json.dumps(event))
    if event.get("fails"):
        raise ValueError("as it was told")
"""


@dataclass(frozen=True)
class Function:
    """One that says what it was started with."""

    aws: EmbeddedAws
    name: str
    arn: str
    role: Role

    def heard(self) -> list[Any]:
        """From its log: it may run in several processes."""
        logs = self.aws.client("logs")
        said = logs.filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
        found = [one["message"].partition("heard ")[2] for one in said]
        return [json.loads(one) for one in found if one]

    def start(self, **event: Any) -> None:
        self.aws.client("lambda").invoke(
            FunctionName=self.name, InvocationType="Event", Payload=json.dumps(event)
        )


@dataclass(frozen=True)
class Queue:
    aws: EmbeddedAws
    url: str
    arn: str

    def take(self) -> Any:
        """The first message, and what it is marked with."""

        def found() -> Any:
            answer = self.aws.client("sqs").receive_message(QueueUrl=self.url, MessageAttributeNames=["All"])
            return answer.get("Messages")

        return eventually(found, "a message is in the queue")[0]

    def waiting(self) -> int:
        asked = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(asked["Attributes"]["ApproximateNumberOfMessages"])


def measured(aws: EmbeddedAws, namespace: str, metric: str, **dimension: str) -> float:
    (name, value), *_ = dimension.items()
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value}],
        StartTime="2000-01-01",
        EndTime="2100-01-01",
        Period=86400 * 365,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in found))


@pytest.fixture
def function(aws: EmbeddedAws) -> Iterator[Function]:
    functions, name = aws.client("lambda"), unique("started")
    aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
    role = Role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    created = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handle",
        Role=role.arn,
        Code={"ZipFile": zipped(HEARS)},
    )
    yield Function(aws, name, created["FunctionArn"], role)
    functions.delete_function(FunctionName=name)


@pytest.fixture
def key(aws: EmbeddedAws) -> Iterator[str]:
    kms = aws.client("kms")
    arn = str(kms.create_key()["KeyMetadata"]["Arn"])
    yield arn
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)


@pytest.fixture
def queue(aws: EmbeddedAws, key: str) -> Iterator[Queue]:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique("dead"), Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = document(refusal(arn, without_tls=True))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    yield Queue(aws, url, arn)
    sqs.delete_queue(QueueUrl=url)


def refusal(queue: str, *, without_tls: bool) -> Statement:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"Bool": {"aws:SecureTransport": "false" if without_tls else "true"}},
    }


def use(key: str, service: str, **more: Any) -> Statement:
    return allow(
        ["kms:Decrypt", "kms:GenerateDataKey"],
        key,
        Condition={"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}, **more},
    )


@dataclass
class Timer:
    """A schedule in a group of its own; made when its role and its key are as a test wants them."""

    aws: EmbeddedAws
    function: Function
    queue: Queue
    key: str
    group: str
    role: Role

    @property
    def arn(self) -> str:
        return f"arn:aws:scheduler:us-east-1:{self.aws.plan.account_id}:schedule/{self.group}/timer"

    def may(self, *more: Statement, start: bool = True, decrypt: bool = True) -> None:
        """What the role may do; everything it needs, unless told otherwise."""
        own = {"StringEquals": {"kms:EncryptionContext:aws:scheduler:schedule:arn": self.arn}}
        self.role.may(
            allow("sqs:SendMessage", self.queue.arn),
            use(self.key, "sqs"),
            *([allow("lambda:InvokeFunction", self.function.arn)] if start else []),
            *([allow("kms:Decrypt", self.key, Condition=own)] if decrypt else []),
            *more,
        )

    def trusted_for(self, group: str) -> None:
        arn = f"arn:aws:scheduler:us-east-1:{self.aws.plan.account_id}:schedule-group/{group}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceArn": arn, "aws:SourceAccount": self.aws.plan.account_id}
            },
        }
        self.aws.client("iam").update_assume_role_policy(
            RoleName=self.role.name, PolicyDocument=document(statement)
        )

    def make(self, expression: str = "rate(1 minute)", **target: Any) -> None:
        self.aws.client("scheduler").create_schedule(
            Name="timer",
            GroupName=self.group,
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            KmsKeyArn=self.key,
            Target={
                "Arn": self.function.arn,
                "RoleArn": self.role.arn,
                "Input": json.dumps({"by": "clock"}),
                "DeadLetterConfig": {"Arn": self.queue.arn},
                **target,
            },
        )


@pytest.fixture
def timer(aws: EmbeddedAws, function: Function, queue: Queue, key: str) -> Iterator[Timer]:
    scheduler, group = aws.client("scheduler"), unique("group")
    scheduler.create_schedule_group(Name=group)
    made = Timer(
        aws, function, queue, key, group, Role(aws, allow("logs:*"), service="scheduler.amazonaws.com")
    )
    made.trusted_for(group)
    made.may()
    yield made
    scheduler.delete_schedule_group(Name=group)


def test_a_rate_begins_with_its_schedule_and_says_what_it_was_told(timer: Timer) -> None:
    timer.make()
    assert eventually(timer.function.heard, "the function is started") == [{"by": "clock"}]
    assert timer.queue.waiting() == 0


def test_it_is_started_again_when_its_time_has_come(timer: Timer) -> None:
    timer.make("rate(1 minute)")
    eventually(lambda: len(timer.function.heard()) == 2, "the function is started twice", deadline=90)


def test_what_the_role_may_not_start_is_kept_with_the_reason(timer: Timer) -> None:
    timer.may(start=False)
    timer.make()
    message = timer.queue.take()
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert json.loads(message["Body"]) == {"by": "clock"}
    assert said["ERROR_CODE"] == "AccessDeniedException"
    assert f"not authorized to perform lambda:InvokeFunction on {timer.function.arn}" in said["ERROR_MESSAGE"]
    assert (said["SCHEDULE_ARN"], said["TARGET_ARN"]) == (timer.arn, timer.function.arn)
    assert not timer.function.heard()


def test_what_it_cannot_decrypt_is_not_started(timer: Timer) -> None:
    timer.may(decrypt=False)
    timer.make()
    said = timer.queue.take()["MessageAttributes"]
    assert "kms:Decrypt" in said["ERROR_MESSAGE"]["StringValue"]
    assert not timer.function.heard()


def test_a_function_that_is_gone_is_told(timer: Timer) -> None:
    timer.make(Arn=f"{timer.function.arn}-gone", RoleArn=timer.role.arn)
    timer.may(allow("lambda:InvokeFunction"))
    # The first run may have come before the leave to start it.
    eventually(lambda: timer.queue.waiting() > 0, "a dead letter is there")


def test_a_role_lent_for_another_group_makes_no_schedule(timer: Timer) -> None:
    timer.trusted_for("another")
    with pytest.raises(ClientError, match="must allow AWS EventBridge Scheduler to assume the role"):
        timer.make()


def test_a_schedule_that_is_deleted_starts_nothing_more(timer: Timer) -> None:
    """And one of the same name that is made after it begins anew."""
    timer.make()
    eventually(timer.function.heard, "the function is started")
    timer.aws.client("scheduler").delete_schedule(Name="timer", GroupName=timer.group)
    timer.make()
    eventually(lambda: len(timer.function.heard()) == 2, "it is started again at once")
    timer.aws.client("scheduler").delete_schedule_group(Name=timer.group)
    assert not timer.aws.client("scheduler").list_schedules(GroupName=timer.group)["Schedules"]
    timer.aws.client("scheduler").create_schedule_group(Name=timer.group)


def may_send(function: Function, queue: Queue, key: str) -> None:
    function.role.may(allow("logs:*"), allow("sqs:SendMessage", queue.arn), use(key, "sqs"))


def configure(function: Function, queue: Queue, retries: int) -> None:
    function.aws.client("lambda").put_function_event_invoke_config(
        FunctionName=function.name,
        Qualifier="$LATEST",
        MaximumRetryAttempts=retries,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": queue.arn}},
    )


@pytest.mark.parametrize("retries", [0, 1])
def test_what_fails_is_tried_as_often_as_configured_and_then_kept(
    function: Function, queue: Queue, key: str, retries: int
) -> None:
    may_send(function, queue, key)
    configure(function, queue, retries)
    function.start(fails=True)
    told = json.loads(queue.take()["Body"])
    eventually(lambda: function.heard() == [{"fails": True}] * (retries + 1), "every attempt is in the log")
    assert told["requestContext"]["condition"] == "RetriesExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == retries + 1
    assert told["requestContext"]["functionArn"] == f"{function.arn}:$LATEST"
    assert told["requestPayload"] == {"fails": True}
    assert told["responsePayload"]["errorMessage"] == "as it was told"


def test_what_succeeds_is_not_kept(function: Function, queue: Queue, key: str) -> None:
    may_send(function, queue, key)
    configure(function, queue, 0)
    function.start(works=True)
    assert eventually(function.heard, "it ran") == [{"works": True}]
    assert queue.waiting() == 0


def test_a_function_that_may_not_send_gets_no_destination(function: Function, queue: Queue, key: str) -> None:
    with pytest.raises(ClientError, match="does not have permissions to call SendMessage"):
        configure(function, queue, 0)
    function.role.may(allow("logs:*"), allow("sqs:SendMessage", queue.arn))
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        configure(function, queue, 0)
    may_send(function, queue, key)
    configure(function, queue, 0)


def test_who_sends_and_who_reads_needs_the_queue_s_key(aws: EmbeddedAws, queue: Queue, key: str) -> None:
    role = Role(aws, allow("sqs:*"))
    sqs = role.client("sqs")
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        sqs.send_message(QueueUrl=queue.url, MessageBody="unheard")
    with pytest.raises(ClientError, match="kms:Decrypt"):
        sqs.receive_message(QueueUrl=queue.url)
    role.may(allow("sqs:*"), use(key, "sqs"))
    sqs.send_message(QueueUrl=queue.url, MessageBody="heard")
    assert queue.take()["Body"] == "heard"


def test_a_queue_may_refuse_whoever_comes_without_tls(aws: EmbeddedAws, queue: Queue, key: str) -> None:
    """All that reaches this lab counts as encrypted: the other way round shows that the policy is asked."""
    policy = document(refusal(queue.arn, without_tls=False))
    aws.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy})
    sqs = Role(aws, allow("sqs:*"), use(key, "sqs")).client("sqs")
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        sqs.send_message(QueueUrl=queue.url, MessageBody="unheard")
    aws.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": ""})


def test_what_waits_in_a_queue_is_measured(aws: EmbeddedAws, queue: Queue) -> None:
    aws.client("sqs").send_message(QueueUrl=queue.url, MessageBody="unread")

    name = queue.arn.rpartition(":")[2]
    metric = "ApproximateNumberOfMessagesVisible"
    eventually(lambda: measured(aws, "AWS/SQS", metric, QueueName=name) > 0, "a message is counted")


def test_a_stack_takes_its_schedule_with_it(timer: Timer) -> None:
    """What a template says of a schedule is what the scheduler says of it."""
    stack, name = unique("stack"), unique("schedule")
    properties = {
        "Name": name,
        "GroupName": timer.group,
        "Description": "Starts a function",
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "KmsKeyArn": timer.key,
        "State": "ENABLED",
        "Target": {"Arn": timer.function.arn, "RoleArn": timer.role.arn, "Input": '{"by": "stack"}'},
    }
    own = timer.arn.replace("/timer", f"/{name}")
    context = {"StringEquals": {"kms:EncryptionContext:aws:scheduler:schedule:arn": own}}
    timer.may(allow("kms:Decrypt", timer.key, Condition=context))
    template = {"Resources": {"Timer": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}}
    assert deploy(timer.aws, stack, template) == "CREATE_COMPLETE", reasons(timer.aws, stack)
    scheduler = timer.aws.client("scheduler")
    described = scheduler.get_schedule(Name=name, GroupName=timer.group)
    assert {key: described[key] for key in properties} == properties
    assert eventually(timer.function.heard, "the function is started") == [{"by": "stack"}]
    properties["State"] = "DISABLED"
    assert deploy(timer.aws, stack, template) == "UPDATE_COMPLETE", reasons(timer.aws, stack)
    assert scheduler.get_schedule(Name=name, GroupName=timer.group)["State"] == "DISABLED"
    assert delete(timer.aws, stack) == "DELETE_COMPLETE"
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name=name, GroupName=timer.group)
