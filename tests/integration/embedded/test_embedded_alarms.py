"""Alarms, topics and mailboxes: what is measured in a region is told in that region."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    outputs,
    reasons,
    unique,
)


def key_policy(*services: str) -> dict[str, Any]:
    account = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    statements = [{"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"}]
    statements += [
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": ["kms:GenerateDataKey*", "kms:Decrypt"],
            "Resource": "*",
        }
        for service in services
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def template(
    name: str, *, alarm: dict[str, Any] | None = None, key_for: str = "cloudwatch"
) -> dict[str, Any]:
    """A topic with a key, one subscriber, and an alarm on errors of the namespace `name`."""
    topic = {"Ref": "Topic"}
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    watched = alarm or {
        "Namespace": name,
        "MetricName": "Errors",
        "Dimensions": [{"Name": "service", "Value": "api"}],
        "Period": 60,
        "Statistic": "Sum",
    }
    return {
        "Resources": {
            "Key": {
                "Type": "AWS::KMS::Key",
                "Properties": {"KeyPolicy": key_policy(f"{key_for}.amazonaws.com")},
            },
            "Topic": {
                "Type": "AWS::SNS::Topic",
                "Properties": {"TopicName": name, "KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}},
            },
            "Policy": {
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {
                    "Topics": [topic],
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
                },
            },
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {"TopicArn": topic, "Protocol": "email", "Endpoint": f"{name}@example.com"},
            },
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "AlarmName": name,
                    "ComparisonOperator": "GreaterThanThreshold",
                    "Threshold": 1,
                    "EvaluationPeriods": 2,
                    "TreatMissingData": "notBreaching",
                    "AlarmActions": [topic],
                    "OKActions": [topic],
                    **watched,
                },
            },
        },
        "Outputs": {"Topic": {"Value": topic}, "Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}},
    }


def mail(aws: EmbeddedAws, name: str) -> list[dict[str, str]]:
    if not aws.plan.mail_file.exists():
        return []
    letters = [json.loads(line) for line in aws.plan.mail_file.read_text().splitlines()]
    return [letter for letter in letters if letter["to"] == f"{name}@example.com"]


def confirm(aws: EmbeddedAws, name: str, region: str = HOME) -> None:
    (asked,) = mail(aws, name)
    aws.client("sns", region).confirm_subscription(TopicArn=asked["topic"], Token=asked["token"])


def put(
    aws: EmbeddedAws, name: str, minutes_ago: float, value: float, region: str = HOME, **more: str
) -> None:
    datum = {
        "MetricName": "Errors",
        "Dimensions": [{"Name": "service", "Value": more.get("service", "api")}],
        "Timestamp": time.time() - minutes_ago * 60,
        "Value": value,
    }
    aws.client("cloudwatch", region).put_metric_data(Namespace=name, MetricData=[datum])


def state(aws: EmbeddedAws, name: str, region: str = HOME) -> str:
    alarms = aws.client("cloudwatch", region).describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarms[0]["StateValue"]) if alarms else "absent"


def reaches(aws: EmbeddedAws, name: str, wanted: str, region: str = HOME) -> None:
    eventually(lambda: state(aws, name, region) == wanted, f"{name} is {wanted}")


def test_an_operator_is_told_after_confirming_and_only_in_the_alarm_s_region(aws: EmbeddedAws) -> None:
    name = unique("told")
    for region in (HOME, PEER):
        assert deploy(aws, name, template(name), region) == "CREATE_COMPLETE", reasons(aws, name, region)
    sns = aws.client("sns", PEER)
    topic = outputs(aws, name, PEER)["Topic"]
    (pending,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert pending["SubscriptionArn"] == "PendingConfirmation"
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert attributes["KmsMasterKeyId"] == outputs(aws, name, PEER)["Key"]
    assert (attributes["SubscriptionsPending"], attributes["SubscriptionsConfirmed"]) == ("1", "0")
    reaches(aws, name, "OK", PEER)
    asked = {letter["topic"]: letter for letter in mail(aws, name)}
    assert set(asked) == {topic, outputs(aws, name)["Topic"]}  # nothing but the questions: none confirmed
    sns.confirm_subscription(TopicArn=topic, Token=asked[topic]["token"])
    put(aws, name, 0.1, 5, PEER)
    put(aws, name, 1.1, 5, PEER)
    reaches(aws, name, "ALARM", PEER)
    letter = eventually(lambda: mail(aws, name)[2:], "a letter")[0]
    assert letter["subject"] == f'ALARM: "{name}" in US East (Ohio)'
    message = json.loads(letter["text"])
    assert (message["OldStateValue"], message["NewStateValue"]) == ("OK", "ALARM")
    assert message["Trigger"]["Dimensions"] == [{"Name": "service", "Value": "api"}]
    assert "2 out of the last 2 datapoints [5.0, 5.0] were greater than" in message["NewStateReason"]
    assert state(aws, name) == "OK"  # the same numbers were not measured there


def test_both_of_two_periods_have_to_breach(aws: EmbeddedAws) -> None:
    name = unique("periods")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    put(aws, name, 0.1, 5)
    put(aws, name, 0.1, 100, service="another")
    reaches(aws, name, "OK")
    put(aws, name, 1.1, 5)
    reaches(aws, name, "ALARM")


def test_metric_math_is_computed_and_described(aws: EmbeddedAws) -> None:
    name = unique("math")

    def query(identifier: str, service: str) -> dict[str, Any]:
        metric = {
            "Namespace": name,
            "MetricName": "Errors",
            "Dimensions": [{"Name": "service", "Value": service}],
        }
        stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
        return {"Id": identifier, "MetricStat": stat, "ReturnData": False}

    expression = {"Id": "rate", "Expression": "100 * SUM([a]) / SUM([a, b])", "ReturnData": True}
    alarm = {"Metrics": [expression, query("a", "api"), query("b", "web")], "Threshold": 40}
    assert deploy(aws, name, template(name, alarm=alarm)) == "CREATE_COMPLETE", reasons(aws, name)
    (described,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert [one["Id"] for one in described["Metrics"]] == ["rate", "a", "b"]
    assert "MetricName" not in described
    for minutes in (0.1, 1.1):
        put(aws, name, minutes, 5)
        put(aws, name, minutes, 5, service="web")
    reaches(aws, name, "ALARM")


def test_an_alarm_cannot_use_a_topic_whose_key_does_not_let_it(aws: EmbeddedAws) -> None:
    name = unique("keyless")
    document = template(name, key_for="s3")
    assert deploy(aws, name, document) == "CREATE_COMPLETE", reasons(aws, name)
    confirm(aws, name)
    client = aws.client("cloudwatch")
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="to see")

    def actions() -> list[str]:
        history = client.describe_alarm_history(AlarmName=name, HistoryItemType="Action")
        return [item["HistorySummary"] for item in history["AlarmHistoryItems"]]

    found = eventually(actions, "the action is in the history")
    assert any("Failed to execute action" in one and "KMSAccessDenied" in one for one in found)
    assert len(mail(aws, name)) == 1


def test_a_state_that_is_set_is_told_as_well(aws: EmbeddedAws) -> None:
    name = unique("set")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    confirm(aws, name)
    aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    letters = eventually(lambda: [one for one in mail(aws, name) if "ALARM" in one["subject"]], "a letter")
    assert json.loads(letters[0]["text"])["NewStateReason"] == "a drill"
    reaches(aws, name, "OK")  # evaluation takes it back


def test_an_alarm_acts_in_its_own_region_only(aws: EmbeddedAws) -> None:
    name = unique("abroad")
    elsewhere = f"arn:aws:sns:{PEER}:{aws.plan.account_id}:topic"
    document = template(name)
    document["Resources"]["Alarm"]["Properties"]["AlarmActions"] = [elsewhere]
    assert deploy(aws, name, document) == "ROLLBACK_COMPLETE"
    assert f"Invalid region {PEER} specified. Only {HOME} is supported." in reasons(aws, name)
    with pytest.raises(ClientError, match="Invalid region"):
        aws.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace=name,
            MetricName="Errors",
            Period=60,
            Statistic="Sum",
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[elsewhere],
        )


def test_an_expression_that_cannot_be_computed_is_refused(aws: EmbeddedAws) -> None:
    name = unique("unknown")
    alarm = {"Metrics": [{"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(m1)"}]}
    assert deploy(aws, name, template(name, alarm=alarm)) == "ROLLBACK_COMPLETE"
    assert "Error in expression" in reasons(aws, name)


def test_a_stack_takes_its_alarm_and_topic_down(aws: EmbeddedAws) -> None:
    name = unique("down")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    topic = outputs(aws, name)["Topic"]
    assert delete(aws, name) == "DELETE_COMPLETE"
    assert state(aws, name) == "absent"
    with pytest.raises(ClientError, match="NotFound"):
        aws.client("sns").get_topic_attributes(TopicArn=topic)
