"""Alarms over alarms: both have to ring, and what they start is started by leave of the function."""

import time
from typing import Any

import pytest

from tests.integration.embedded.embedded_aws import (
    HOME,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    reasons,
    unique,
)

_HEARS = """
def handle(event, context):
    data = event["alarmData"]
    assert event["source"] == "aws.cloudwatch", event
    assert (data["previousState"]["value"], data["state"]["value"]) == ("OK", "ALARM"), event
    assert event["alarmArn"].endswith(":alarm:" + data["alarmName"]), event
"""


def _alarm(name: str, voter: str) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": f"{name}-{voter}",
            "Namespace": name,
            "MetricName": "Unreachable",
            "Dimensions": [{"Name": "Voter", "Value": voter}],
            "Statistic": "Maximum",
            "Period": 10,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0,
            "TreatMissingData": "notBreaching",
        },
    }


def template(name: str, *, let_in: bool = True, **composite: Any) -> dict[str, Any]:
    role = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    document: dict[str, Any] = {
        "Resources": {
            "Own": _alarm(name, "own"),
            "Witness": _alarm(name, "witness"),
            "Both": {
                "Type": "AWS::CloudWatch::CompositeAlarm",
                "Properties": {
                    "AlarmName": name,
                    "AlarmRule": {"Fn::Sub": 'ALARM("${Own}") AND ALARM("${Witness}")'},
                    "AlarmDescription": "both say so",
                    "AlarmActions": [{"Fn::GetAtt": ["Function", "Arn"]}],
                    **composite,
                },
            },
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": role}},
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": name,
                    "Handler": "index.handle",
                    "Runtime": "python3.11",
                    "Code": {"ZipFile": _HEARS},
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        }
    }
    if let_in:
        document["Resources"]["Permission"] = {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Function"},
                "Principal": "lambda.alarms.cloudwatch.amazonaws.com",
                "SourceAccount": {"Ref": "AWS::AccountId"},
                "SourceArn": {"Fn::GetAtt": ["Both", "Arn"]},
            },
        }
    return document


def vote(aws: EmbeddedAws, name: str, voter: str, value: float = 1) -> None:
    datum = {
        "MetricName": "Unreachable",
        "Dimensions": [{"Name": "Voter", "Value": voter}],
        "Value": value,
        "StorageResolution": 1,
    }
    aws.client("cloudwatch").put_metric_data(Namespace=name, MetricData=[datum])


def state(aws: EmbeddedAws, name: str) -> str:
    found = aws.client("cloudwatch").describe_alarms(
        AlarmNames=[name], AlarmTypes=["CompositeAlarm", "MetricAlarm"]
    )
    several: list[Any] = [*found["CompositeAlarms"], *found["MetricAlarms"]]
    (alarm,) = several
    return str(alarm["StateValue"])


def reaches(aws: EmbeddedAws, name: str, wanted: str) -> None:
    eventually(lambda: state(aws, name) == wanted, f"{name} is {wanted}")


def actions(aws: EmbeddedAws, name: str) -> list[str]:
    history = aws.client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType="Action", AlarmTypes=["CompositeAlarm"]
    )
    return [item["HistorySummary"] for item in history["AlarmHistoryItems"]]


def measured(aws: EmbeddedAws, name: str, metric: str) -> float:
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_one_vote_is_none_and_two_start_the_function_once(aws: EmbeddedAws) -> None:
    name = unique("both")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    reaches(aws, name, "OK")
    vote(aws, name, "own")
    reaches(aws, f"{name}-own", "ALARM")
    assert state(aws, name) == "OK"
    vote(aws, name, "witness")
    reaches(aws, name, "ALARM")
    eventually(lambda: measured(aws, name, "Invocations") == 1, "the function ran")
    assert measured(aws, name, "Errors") == 0
    function = f"arn:aws:lambda:{HOME}:{aws.plan.account_id}:function:{name}"
    assert actions(aws, name) == [f"Successfully executed action {function}"]
    vote(aws, name, "own", 0)
    assert delete(aws, name) == "DELETE_COMPLETE"


def test_votes_that_are_over_leave_the_alarm(aws: EmbeddedAws) -> None:
    name = unique("over")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    for voter in ("own", "witness"):
        vote(aws, name, voter)
    reaches(aws, name, "ALARM")
    eventually(lambda: state(aws, name) == "OK", "silence votes for nothing", deadline=60)


def test_a_function_that_does_not_let_alarms_in_is_not_started(aws: EmbeddedAws) -> None:
    name = unique("shut")
    assert deploy(aws, name, template(name, let_in=False)) == "CREATE_COMPLETE", reasons(aws, name)
    for voter in ("own", "witness"):
        vote(aws, name, voter)
    reaches(aws, name, "ALARM")
    (failed,) = eventually(lambda: actions(aws, name), "the action is in the history")
    assert "is not authorized to perform lambda:InvokeFunction" in failed
    assert measured(aws, name, "Invocations") == 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"AlarmRule": 'ALARM("nobody")'}, "in the alarm rule do not exist"),
        ({"AlarmRule": "ALARM("}, "AlarmRule"),
        ({"AlarmActions": ["arn:aws:sns:us-east-2:000000000000:topic"]}, "Invalid region us-east-2"),
        ({"ActionsSuppressor": "other"}, "does not suppress actions"),
    ],
    ids=["unknown alarm", "no rule", "another region", "suppressor"],
)
def test_what_cannot_be_judged_is_refused(aws: EmbeddedAws, changed: dict[str, Any], why: str) -> None:
    name = unique("refused")
    assert deploy(aws, name, template(name, **changed)) == "ROLLBACK_COMPLETE"
    assert why in reasons(aws, name)


def test_a_rule_that_changes_is_judged_at_once(aws: EmbeddedAws) -> None:
    name = unique("changed")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    vote(aws, name, "own")
    reaches(aws, f"{name}-own", "ALARM")
    either = {"Fn::Sub": 'ALARM("${Own}") OR ALARM("${Witness}")'}
    assert deploy(aws, name, template(name, AlarmRule=either)) == "UPDATE_COMPLETE", reasons(aws, name)
    assert state(aws, name) == "ALARM"
