"""The worst case is read from what is deployed: whatever takes longer there makes it longer by as much."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from failover.control import LEASE_SECONDS as LEASE_OF_THE_CODE
from generator.problems import BuildError, Problem
from generator.recovery import LEASE_SECONDS, Recovery, WorstCase, in_time, recovery
from generator.render import render
from templates.config import Settings, load

DELIVERED = Path(__file__).parents[3] / "deployment.toml"
Templates = dict[str, dict[str, Any]]


@pytest.fixture
def settings() -> Settings:
    return load(DELIVERED, None, {})


def function(timeout: int = 60, **variables: int) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Timeout": timeout,
            "Environment": {"Variables": {name: str(value) for name, value in variables.items()}},
        },
    }


def probe() -> dict[str, Any]:
    return {
        "ProbeFunction": function(
            PROBE_INTERVAL_SECONDS=10, PROBE_LOOKS=15, PROBE_MISSES=3, PROBE_TIMEOUT_SECONDS=3
        ),
        "ProbeSchedule": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "ScheduleExpression": "rate(1 minute)",
                "Target": {"Arn": {"Fn::GetAtt": ["ProbeFunction", "Arn"]}},
            },
        },
    }


def vote() -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {"MetricName": "ActiveRegionUnreachable", "Period": 10, "EvaluationPeriods": 1},
    }


def workflow(region: str) -> dict[str, Any]:
    by_function = {"CustomActionLambdaConfig": {"RetryIntervalMinutes": 1, "TimeoutMinutes": 60}}
    return {
        "WorkflowTargetRegion": region,
        "Steps": [
            {"Name": "fence", "ExecutionBlockConfiguration": by_function},
            {
                "Name": "promote",
                "ExecutionBlockConfiguration": {"GlobalAuroraConfig": {"TimeoutMinutes": 15}},
            },
            {"Name": "recover", "ExecutionBlockConfiguration": by_function},
        ],
    }


def small() -> Templates:
    """The smallest templates that recover."""
    check = {"HealthCheckConfig": {"RequestInterval": 10, "FailureThreshold": 3}}
    record = {"Failover": "PRIMARY", "AliasTarget": {"DNSName": "x"}}
    started = {"AlarmActions": [{"Ref": "Topic"}, {"Fn::GetAtt": ["DecideFunction", "Arn"]}]}
    plan = {
        "PrimaryRegion": "us-east-1",
        "Regions": ["us-east-1", "us-east-2"],
        "Workflows": [workflow("us-east-2"), workflow("us-east-1")],
    }
    return copy.deepcopy(
        {
            "service": {
                "Resources": {
                    "Check": {"Type": "AWS::Route53::HealthCheck", "Properties": check},
                    "Record": {"Type": "AWS::Route53::RecordSet", "Properties": record},
                    "Own": vote(),
                    "Witness": vote(),
                    "Both": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": started},
                    "DecideFunction": function(),
                    "FenceFunction": function(),
                    **probe(),
                }
            },
            "witness": {"Resources": probe()},
            "root": {"Resources": {"Plan": {"Type": "AWS::ARCRegionSwitch::Plan", "Properties": plan}}},
        }
    )


NORMAL = Recovery(straight=WorstCase(96, 174), worst=WorstCase(221, 317), automatic=True)


def properties(templates: Templates, title: str, name: str = "service") -> dict[str, Any]:
    found: dict[str, Any] = templates[name]["Resources"][title]["Properties"]
    return found


def steps(templates: Templates, region: str) -> list[dict[str, Any]]:
    for found in properties(templates, "Plan", "root")["Workflows"]:
        if found["WorkflowTargetRegion"] == region:
            found_steps: list[dict[str, Any]] = found["Steps"]
            return found_steps
    raise KeyError(region)


def test_both_ways_side_by_side_and_one_after_the_other() -> None:
    """Towards the secondary DNS is the longer way, unless a step fails; towards the primary they add up."""
    assert recovery(small(), automatic=True) == NORMAL


def test_where_people_decide_it_counts_from_when_they_did() -> None:
    manual = small()
    del manual["witness"], manual["service"]["Resources"]["Both"]
    assert recovery(manual, automatic=False) == Recovery(
        WorstCase(96, 119), WorstCase(143, 239), automatic=False
    )


def check_every(interval: int, threshold: int) -> Callable[[Templates], None]:
    return lambda templates: properties(templates, "Check")["HealthCheckConfig"].update(
        RequestInterval=interval, FailureThreshold=threshold
    )


def remember(seconds: str) -> Callable[[Templates], None]:
    def change(templates: Templates) -> None:
        del properties(templates, "Record")["AliasTarget"]
        properties(templates, "Record")["TTL"] = seconds

    return change


def look(where: str, variable: str, value: int) -> Callable[[Templates], None]:
    return lambda templates: properties(templates, "ProbeFunction", where)["Environment"]["Variables"].update(
        {variable: str(value)}
    )


def schedule(where: str, rate: str) -> Callable[[Templates], None]:
    return lambda templates: properties(templates, "ProbeSchedule", where).update(ScheduleExpression=rate)


def alarm(title: str, **values: int) -> Callable[[Templates], None]:
    return lambda templates: properties(templates, title).update(values)


def limit(title: str, seconds: int) -> Callable[[Templates], None]:
    return lambda templates: properties(templates, title).update(Timeout=seconds)


def fence(**values: float) -> Callable[[Templates], None]:
    def change(templates: Templates) -> None:
        for region in ("us-east-1", "us-east-2"):
            steps(templates, region)[0]["ExecutionBlockConfiguration"]["CustomActionLambdaConfig"].update(
                values
            )

    return change


@pytest.mark.parametrize(
    ("change", "primary", "primary_again", "secondary", "secondary_again"),
    [
        # Towards the secondary a failure takes longer than DNS.
        (check_every(30, 3), 60, 60, 60, 0),
        (check_every(10, 2), -10, -10, -10, 0),
        (remember("300"), 240, 240, 240, 115),
        (remember("10"), -50, -50, -18, 0),
        # Towards the secondary DNS takes eighteen seconds longer than these do, unless something fails.
        (look("service", "PROBE_INTERVAL_SECONDS", 20), 30, 30, 12, 30),
        (look("witness", "PROBE_INTERVAL_SECONDS", 20), 30, 30, 12, 30),
        (look("witness", "PROBE_TIMEOUT_SECONDS", 8), 5, 5, 0, 5),
        (look("service", "PROBE_MISSES", 4), 19, 19, 1, 19),
        (look("service", "PROBE_LOOKS", 14), 9, 9, 0, 9),
        (look("service", "PROBE_LOOKS", 6), 89, 89, 71, 89),
        (look("service", "PROBE_LOOKS", 60), 0, 0, 0, 0),
        (schedule("witness", "rate(2 minutes)"), 59, 59, 41, 59),
        (alarm("Own", EvaluationPeriods=2), 10, 10, 0, 10),
        (alarm("Witness", Period=60), 100, 100, 82, 100),
        # Only who fails waits for these, and then for what takes longer: the plan's step, or the decision.
        (limit("FenceFunction", 45), 0, -15, 0, -15),
        (fence(RetryIntervalMinutes=0.5), 0, -23, 0, -23),
        (limit("DecideFunction", 83), 0, 0, 0, 0),
        (limit("DecideFunction", 120), 0, 37, 0, 37),
        # Nobody waits for this at all.
        (fence(TimeoutMinutes=600), 0, 0, 0, 0),
    ],
)
def test_what_takes_longer_makes_it_longer(
    change: Callable[[Templates], None],
    primary: int,
    primary_again: int,
    secondary: int,
    secondary_again: int,
) -> None:
    changed = small()
    change(changed)
    found = recovery(changed, automatic=True)
    assert (
        found.straight.to_primary - NORMAL.straight.to_primary,
        found.worst.to_primary - NORMAL.worst.to_primary,
        found.straight.to_secondary - NORMAL.straight.to_secondary,
        found.worst.to_secondary - NORMAL.worst.to_secondary,
    ) == (primary, primary_again, secondary, secondary_again)


def test_a_step_before_payments_are_accepted_may_take_all_its_time() -> None:
    """And one after that takes none of it: promoting is not waited for."""
    templates = small()
    first = steps(templates, "us-east-2")
    first[0], first[1] = first[1], first[0]
    found = recovery(templates, automatic=False).straight
    assert (found.to_secondary, found.to_primary) == (23 + 15 * 60, 119)
    found = recovery(templates, automatic=True).worst
    assert (found.to_secondary, found.to_primary) == (221 + 15 * 60, 317)


def test_what_decides_has_to_be_tried_again() -> None:
    templates = small()
    events = {"FunctionName": {"Ref": "DecideFunction"}, "MaximumRetryAttempts": 2}
    templates["service"]["Resources"]["Events"] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": events,
    }
    assert recovery(templates, automatic=True) == NORMAL
    events["MaximumRetryAttempts"] = 0
    with pytest.raises(BuildError, match="has no second try of DecideFunction"):
        recovery(templates, automatic=True)


def test_the_longest_lived_failover_record_counts_and_no_other() -> None:
    templates = small()
    for number, record in enumerate(({"Failover": "SECONDARY", "TTL": "300"}, {"TTL": "900"})):
        templates["service"]["Resources"][f"Record{number}"] = {
            "Type": "AWS::Route53::RecordSet",
            "Properties": record,
        }
    assert recovery(templates, automatic=True).straight.to_secondary == 336


def test_a_group_of_records_counts_too() -> None:
    templates = small()
    record = properties(templates, "Record")
    templates["service"]["Resources"]["Record"] = {
        "Type": "AWS::Route53::RecordSetGroup",
        "Properties": {"RecordSets": [record]},
    }
    assert recovery(templates, automatic=True) == NORMAL


@pytest.mark.parametrize(
    ("name", "titles", "complaint"),
    [
        ("service", ["Check"], "has no AWS::Route53::HealthCheck; without one nothing leads clients"),
        ("service", ["Record"], "has no failover record; without one nothing leads clients"),
        ("service", ["ProbeFunction"], "has no probe; without one nobody notices"),
        ("service", ["ProbeSchedule"], "has no schedule that starts ProbeFunction at a rate"),
        ("service", ["Own", "Witness"], "has no alarm on ActiveRegionUnreachable"),
        ("service", ["Both"], "has no composite alarm that starts a function; without one nobody starts"),
        ("service", ["DecideFunction"], "has no composite alarm that starts a function"),
        ("service", ["FenceFunction"], "has no FenceFunction; without one the plan has nothing to invoke"),
        ("witness", ["ProbeFunction"], "has no probe"),
        ("witness", ["ProbeSchedule"], "has no schedule that starts ProbeFunction"),
        ("root", ["Plan"], "has no AWS::ARCRegionSwitch::Plan; without one no region takes over"),
    ],
)
def test_without_any_part_there_is_no_recovery(name: str, titles: list[str], complaint: str) -> None:
    templates = small()
    for title in titles:
        del templates[name]["Resources"][title]
    with pytest.raises(BuildError) as raised:
        recovery(templates, automatic=True)
    assert str(raised.value).startswith(f"{name}.json: {complaint}")


def test_without_its_witness_nothing_is_noticed() -> None:
    templates = small()
    del templates["witness"]
    with pytest.raises(BuildError, match=r"witness\.json: has no probe"):
        recovery(templates, automatic=True)


def test_a_region_that_no_step_lets_accept_payments_does_not_recover() -> None:
    templates = small()
    del steps(templates, "us-east-1")[0]
    with pytest.raises(BuildError, match=r"root\.json: has no step fence for us-east-1"):
        recovery(templates, automatic=True)


def test_the_lease_is_that_of_the_code() -> None:
    assert LEASE_SECONDS == LEASE_OF_THE_CODE


def test_a_missed_objective_is_a_problem(settings: Settings) -> None:
    texts = {name: json.dumps(template) for name, template in small().items()}
    assert in_time(texts, objective(settings, 6)) == NORMAL
    with pytest.raises(BuildError) as raised:
        in_time(texts, objective(settings, 5))
    assert raised.value.problems == (
        Problem(
            "service.json",
            "recovery to the primary takes 317 s at worst, the objective is 300 s",
            "check more often, or raise objectives.rto_minutes",
        ),
    )


def test_it_says_both_directions_and_what_it_counts_from() -> None:
    assert NORMAL.told == (
        "recovery: at most 221 s to the secondary and 317 s to the primary;"
        " 96 s and 174 s when nothing has to be tried again"
    )
    assert NORMAL._replace(automatic=False).told.startswith("recovery: once somebody has started it, at most")


def test_it_is_what_the_architecture_says(settings: Settings) -> None:
    found = in_time(render(settings), settings)
    said = (Path(__file__).parents[3] / "ARCHITECTURE.md").read_text("utf-8")
    straight, worst = found.straight, found.worst
    assert f"Towards the secondary that is {straight.to_secondary} s" in said
    assert f"\nit is {straight.to_primary} s: its record is red" in said
    assert f"it is {worst.to_secondary} s and {worst.to_primary} s. Promotion" in said


def objective(settings: Settings, minutes: int) -> Settings:
    return replace(settings, objectives=replace(settings.objectives, rto_minutes=minutes))
