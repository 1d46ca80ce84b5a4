"""The worst case is read from what is deployed."""

from typing import Any

import pytest

from generator.problems import BuildError, Problem
from generator.recovery import WorstCase, missed_objective, worst_case


def service(*records: dict[str, Any], interval: int = 10, threshold: int = 3) -> dict[str, Any]:
    check = {"HealthCheckConfig": {"RequestInterval": interval, "FailureThreshold": threshold}}
    resources: dict[str, Any] = {"Check": {"Type": "AWS::Route53::HealthCheck", "Properties": check}}
    for number, record in enumerate(records):
        resources[f"Record{number}"] = {"Type": "AWS::Route53::RecordSet", "Properties": record}
    return {"Resources": resources}


ALIAS = {"Failover": "PRIMARY", "AliasTarget": {"DNSName": "x"}}


def test_an_alias_lives_sixty_seconds() -> None:
    assert worst_case(service(ALIAS)) == WorstCase(to_secondary=90, to_primary=120)


def test_the_longest_lived_failover_record_counts_and_no_other() -> None:
    assert (
        worst_case(service(ALIAS, {"Failover": "SECONDARY", "TTL": "300"}, {"TTL": "900"})).to_secondary
        == 330
    )


def test_a_group_of_records_counts_too() -> None:
    template = service(interval=30, threshold=2)
    template["Resources"]["Group"] = {
        "Type": "AWS::Route53::RecordSetGroup",
        "Properties": {"RecordSets": [ALIAS]},
    }
    assert worst_case(template) == WorstCase(to_secondary=120, to_primary=180)


def test_without_a_failover_record_there_is_no_recovery() -> None:
    with pytest.raises(BuildError) as raised:
        worst_case(service({"TTL": "60"}))
    assert str(raised.value) == (
        "service.json: has no failover record; without one nothing leads clients to the other region"
    )


def test_without_a_health_check_there_is_no_recovery() -> None:
    with pytest.raises(BuildError, match="has no AWS::Route53::HealthCheck"):
        worst_case({"Resources": {"Record": {"Type": "AWS::Route53::RecordSet", "Properties": ALIAS}}})


def test_a_missed_objective_is_a_problem() -> None:
    assert list(missed_objective(WorstCase(90, 120), 2)) == []
    assert list(missed_objective(WorstCase(90, 150), 2)) == [
        Problem(
            "service.json",
            "recovery to the primary takes 150 s at worst, the objective is 120 s",
            "check more often, or raise objectives.rto_minutes",
        )
    ]
