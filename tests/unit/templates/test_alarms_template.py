"""What wakes somebody up, where, and by whom it is told."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from troposphere import Template

from generator.render import OPENAPI
from templates import service
from templates.config import Failover, Settings
from templates.notifications import add_topic
from tests.unit.templates.rendering import settings


def _resources(chosen: Settings) -> dict[str, Any]:
    rendered = service.render(chosen, json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    return dict(rendered["Resources"])


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return _resources(settings())


def _dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}


def _metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]


def test_failed_requests_are_those_of_clients_not_of_health_checks(resources: dict[str, Any]) -> None:
    alarm = resources["FailedRequestsAlarm"]["Properties"]
    assert alarm["Metrics"][0]["Expression"] == "100 * SUM([p0, p1, p2]) / SUM([w0, w1, w2])"
    asked = {
        dimension["Value"]
        for metric in _metrics(alarm)
        for dimension in metric["Metric"]["Dimensions"]
        if dimension["Name"] == "Resource"
    }
    assert asked == {"/payments", "/payments/{payment_id}", "/sessions"}


def test_every_function_has_alarms_on_errors_throttles_and_duration(resources: dict[str, Any]) -> None:
    limits = {
        "Api": 22_000,
        "Migrate": 480_000,
        "Rotate": 48_000,
        "Sweep": 96_000,
        "Settle": 96_000,
        "Ship": 192_000,
        "Audit": 830_000,
        "Fence": 48_000,
        "Recover": 620_000,
        "Finish": 620_000,
        "Decide": 48_000,
        "Probe": 165_000,
    }
    for function, limit in limits.items():
        for what in ("Errors", "Throttles", "Duration"):
            alarm = resources[f"{function}Function{what}Alarm"]["Properties"]
            assert alarm["MetricName"] == what
            assert (
                _dimensions(alarm)["FunctionName"]
                == (resources[f"{function}Function"]["Properties"]["FunctionName"])
            )
        assert resources[f"{function}FunctionDurationAlarm"]["Properties"]["Threshold"] == limit


def test_a_region_watches_what_arrives_there_and_what_does_not_leave(resources: dict[str, Any]) -> None:
    """Metrics of replication are where S3 puts them: late ones in the destination's region, failed ones in
    the source's.
    """
    for title, (source, destination) in {
        "LogLatency": ("transactions-secondary", "received-primary"),
        "LogBytes": ("transactions-secondary", "received-primary"),
        "LogOperations": ("transactions-secondary", "received-primary"),
        "LogFailures": ("transactions-primary", "received-secondary"),
    }.items():
        dimensions = _dimensions(resources[f"{title}Alarm"]["Properties"])
        assert f"payments-{source}-prod-" in dimensions["SourceBucket"]["Fn::If"][1]
        assert f"payments-{destination}-prod-" in dimensions["DestinationBucket"]["Fn::If"][1]
        assert dimensions["RuleId"] == "to-peer"


def test_the_log_is_late_well_before_the_recovery_point_objective_is_missed(
    resources: dict[str, Any],
) -> None:
    assert resources["LogLatencyAlarm"]["Properties"]["Threshold"] == 300
    objectives = replace(settings().objectives, rpo_minutes=30)
    later = _resources(replace(settings(), objectives=objectives))
    assert later["LogLatencyAlarm"]["Properties"]["Threshold"] == 600


def test_the_lag_is_measured_in_one_region_and_silence_in_the_other_is_no_alarm(
    resources: dict[str, Any],
) -> None:
    alarm = resources["LedgerLagAlarm"]["Properties"]
    measured = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
    assert {metric["MetricName"] for metric in measured} == {"AuroraGlobalDBReplicationLag"}
    told_apart = [{dimension["Name"] for dimension in metric["Dimensions"]} for metric in measured]
    assert told_apart == [{"DBClusterIdentifier"}, {"DBClusterIdentifier", "SourceRegion"}]
    assert [query["Expression"] for query in alarm["Metrics"] if "Expression" in query] == [
        "MAX([FILL(m0, 0), FILL(m1, 0)])"
    ]
    assert alarm["TreatMissingData"] == "notBreaching"
    assert resources["LedgerCapacityAlarm"]["Properties"]["TreatMissingData"] == "breaching"


def test_connections_run_out_where_the_capacity_does() -> None:
    def limit(smallest: float, largest: float) -> object:
        database = replace(settings().database, min_capacity=smallest, max_capacity=largest)
        alarm = _resources(replace(settings(), database=database))["LedgerConnectionsAlarm"]
        return alarm["Properties"]["Threshold"]

    assert limit(1, 16) == 2419
    assert limit(0.5, 16) == 1600  # 2,000 connections at most, however far it may grow
    assert limit(1, 128) == 4000  # 5,000 at most


def test_only_eventually_consistent_tables_have_a_replication_latency(resources: dict[str, Any]) -> None:
    watched = [
        _dimensions(resource["Properties"])["TableName"]
        for resource in resources.values()
        if resource.get("Properties", {}).get("MetricName") == "ReplicationLatency"
        and resource["Properties"]["Namespace"] == "AWS/DynamoDB"
    ]
    assert watched == ["payments-sessions-prod"]
    assert resources["JournalLatencyAlarm"]["Properties"]["MetricName"] == "SuccessfulRequestLatency"


def test_the_journals_index_is_throttled_for_itself(resources: dict[str, Any]) -> None:
    indexes = [
        dimension["Value"]
        for metric in _metrics(resources["JournalThrottlesAlarm"]["Properties"])
        for dimension in metric["Metric"]["Dimensions"]
        if dimension["Name"] == "GlobalSecondaryIndexName"
    ]
    assert indexes == ["open", "open"]


@pytest.mark.parametrize(("gateways", "watched"), [("per-zone", 3), ("single", 1)])
def test_every_nat_gateway_is_watched(gateways: str, watched: int) -> None:
    network = replace(settings().network, nat_gateways=gateways)
    alarm = _resources(replace(settings(), network=network))["NatPortsAlarm"]["Properties"]
    assert len(_metrics(alarm)) == watched


def test_the_health_check_has_its_alarm_where_route_53_measures() -> None:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    assert rendered["Resources"]["HealthAlarm"]["Condition"] == "HealthIsMeasured"
    assert rendered["Conditions"]["HealthIsMeasured"] == {
        "Fn::And": [
            {"Condition": "IsPrimary"},
            {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
        ]
    }


def test_what_our_code_counts_is_watched_where_it_is_counted(resources: dict[str, Any]) -> None:
    alarm = resources["LedgerUnreachableAlarm"]["Properties"]
    variables = resources["ApiFunction"]["Properties"]["Environment"]["Variables"]
    assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"] == "payments/prod"
    assert _dimensions(alarm) == {"service": variables["POWERTOOLS_SERVICE_NAME"]}


def test_every_function_of_ours_has_its_mistakes_counted_by_one_alarm(resources: dict[str, Any]) -> None:
    counted = [
        dimension["Value"]
        for title in ("Mistakes", "TakeoverMistakes")
        for metric in _metrics(resources[f"{title}Alarm"]["Properties"])
        for dimension in metric["Metric"]["Dimensions"]
    ]
    services = [
        resource["Properties"]["Environment"]["Variables"].get("POWERTOOLS_SERVICE_NAME")
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert sorted(counted) == sorted(name for name in services if name)


def test_a_vote_of_each_is_one_alarm_and_both_are_the_one_that_decides(resources: dict[str, Any]) -> None:
    for voter in ("Own", "Witness"):
        alarm = resources[f"PeerUnreachable{voter}Alarm"]["Properties"]
        assert _dimensions(alarm)["Voter"] == voter.lower()
        judged = {
            key: alarm[key] for key in ("Period", "EvaluationPeriods", "DatapointsToAlarm", "Statistic")
        }
        assert judged == {
            "Period": 10,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "Statistic": "Maximum",
        }
        assert (alarm["TreatMissingData"], alarm["Threshold"]) == ("notBreaching", 0)
    both = resources["PeerUnreachableAlarm"]["Properties"]
    text, named = both["AlarmRule"]["Fn::Sub"]
    assert text == 'ALARM("${Own}") AND ALARM("${Witness}")'
    assert named == {
        "Own": {"Ref": "PeerUnreachableOwnAlarm"},
        "Witness": {"Ref": "PeerUnreachableWitnessAlarm"},
    }
    assert both["AlarmActions"] == [{"Ref": "AlertTopic"}, {"Fn::GetAtt": ["DecideFunction", "Arn"]}]


def test_without_automatic_failover_people_are_called_and_nothing_is_started() -> None:
    manual = _resources(replace(settings(), failover=Failover(automatic=False)))
    assert manual["PeerUnreachableAlarm"]["Properties"]["AlarmActions"] == [{"Ref": "AlertTopic"}]
    assert not [title for title in manual if title.startswith("Decide")]


def test_a_subscription_is_its_address_not_its_position() -> None:
    def subscriptions(*emails: str) -> dict[str, str]:
        template = Template()
        add_topic(template, "alerts", emails, "arn:key", alarms="payments-*")
        return {
            title: resource["Properties"]["Endpoint"]
            for title, resource in template.to_dict()["Resources"].items()
            if resource["Type"] == "AWS::SNS::Subscription"
        }

    both = subscriptions("first@example.com", "second@example.com")
    assert subscriptions("second@example.com").items() <= both.items()
