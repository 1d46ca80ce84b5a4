"""A service runs a function only where the function's own policy lets it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.embedded.embedded_aws import EmbeddedAws, eventually, unique
from tests.integration.embedded.sessions import Role, allow
from tests.integration.embedded.stage_template import DeployedStage, deployed_stage
from tests.integration.embedded.zipped import zipped

HEARS = """
heard = []
def handle(event, context):
    if event.get("asks"):
        return heard
    heard.append(event)
"""


def test_api_gateway_does_not_invoke_what_it_may_not(aws: EmbeddedAws) -> None:
    stage = deployed_stage(aws, unique("stage"))
    functions = aws.client("lambda")
    (statement,) = json.loads(functions.get_policy(FunctionName=stage.name)["Policy"])["Statement"]
    assert answered(stage) == (200, None)
    functions.remove_permission(FunctionName=stage.name, StatementId=statement["Sid"])
    assert answered(stage) == (500, {"message": "Internal server error"})
    permit(aws, stage, "other", f"{stage.api}/other/*")
    permit(aws, stage, "method", f"{stage.api}/live/GET/payments")
    assert answered(stage)[0] == 500
    permit(aws, stage, "right", f"{stage.api}/live/POST/payments")
    assert answered(stage)[0] == 200
    assert [line["errorType"] for line in stage.lines(f"/aws/apigateway/{stage.name}")] == [
        "-",
        "API_CONFIGURATION_ERROR",
        "API_CONFIGURATION_ERROR",
        "-",
    ]


def answered(stage: DeployedStage) -> tuple[int, Any]:
    status, body, _ = stage.ask("/payments", method="POST", body=b'{"amount": 1}', Idempotency_Key="k")
    return status, None if status == 200 else body


def permit(aws: EmbeddedAws, stage: DeployedStage, sid: str, called: str) -> None:
    aws.client("lambda").add_permission(
        FunctionName=stage.name,
        StatementId=sid,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:{aws.plan.account_id}:{called}",
    )


@dataclass(frozen=True)
class Listener:
    aws: EmbeddedAws
    name: str
    arn: str

    def let_in(self, service: str, source_arn: str) -> None:
        self.aws.client("lambda").add_permission(
            FunctionName=self.name,
            StatementId=unique("sid"),
            Action="lambda:InvokeFunction",
            Principal=service,
            SourceArn=source_arn,
        )

    def heard(self) -> list[Any]:
        answer = self.aws.client("lambda").invoke(FunctionName=self.name, Payload=b'{"asks": true}')
        events: list[Any] = json.loads(answer["Payload"].read())
        return events


@pytest.fixture
def listener(aws: EmbeddedAws) -> Iterator[Listener]:
    functions, name = aws.client("lambda"), unique("listener")
    role = Role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    created = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handle",
        Role=role.arn,
        Code={"ZipFile": zipped(HEARS)},
    )
    yield Listener(aws, name, created["FunctionArn"])
    functions.delete_function(FunctionName=name)


def failures(aws: EmbeddedAws, namespace: str, metric: str, **dimension: str) -> float:
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


def test_a_topic_does_not_invoke_what_it_may_not(aws: EmbeddedAws, listener: Listener) -> None:
    sns, name = aws.client("sns"), unique("topic")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=listener.arn)
    listener.let_in("sns.amazonaws.com", f"{topic}-other")
    sns.publish(TopicArn=topic, Message="unheard")
    eventually(
        lambda: failures(aws, "AWS/SNS", "NumberOfNotificationsFailed", TopicName=name) == 1,
        "the delivery fails",
    )
    listener.let_in("sns.amazonaws.com", topic)
    sns.publish(TopicArn=topic, Message="heard")
    (event,) = eventually(listener.heard, "the function is told")
    assert event["Records"][0]["Sns"]["Message"] == "heard"
    sns.delete_topic(TopicArn=topic)


def test_a_rule_does_not_invoke_what_it_may_not(aws: EmbeddedAws, listener: Listener) -> None:
    events, name = aws.client("events"), unique("rule")
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": listener.arn}])

    def put(detail: str) -> None:
        entry = {"Source": name, "DetailType": "said", "Detail": json.dumps({"says": detail})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    put("unheard")
    eventually(
        lambda: failures(aws, "AWS/Events", "FailedInvocations", RuleName=name) == 1, "the invocation fails"
    )
    listener.let_in("events.amazonaws.com", rule)
    put("heard")
    (event,) = eventually(listener.heard, "the function is told")
    assert event["detail"] == {"says": "heard"}
    events.remove_targets(Rule=name, Ids=["function"])
    events.delete_rule(Name=name)
