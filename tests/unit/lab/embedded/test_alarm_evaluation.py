"""The tables of CloudWatch's documentation, newest datapoint first here."""

import pytest

from lab.embedded.alarm_evaluation import Rule, next_state, reason, rule_of

WITHIN, X = 0.0, 2.0  # the threshold is 1
GAP: float | None = None
RETAINED = "as before"


def state(points: list[float | None], datapoints: int, missing: str) -> str:
    rule = Rule("GreaterThanThreshold", 1.0, 3, datapoints, missing)
    return next_state(rule, points[::-1], RETAINED)


@pytest.mark.parametrize(
    ("points", "missing", "ignore", "breaching", "not_breaching"),
    [
        ([WITHIN, GAP, X, GAP, X], "OK", "OK", "OK", "OK"),
        ([GAP, GAP, GAP, GAP, WITHIN], "OK", "OK", "OK", "OK"),
        ([GAP, GAP, GAP, GAP, GAP], "INSUFFICIENT_DATA", RETAINED, "ALARM", "OK"),
        ([WITHIN, X, X, GAP, X], "ALARM", "ALARM", "ALARM", "ALARM"),
        ([GAP, GAP, X, GAP, GAP], "ALARM", RETAINED, "ALARM", "OK"),
    ],
)
def test_three_of_three(
    points: list[float | None], missing: str, ignore: str, breaching: str, not_breaching: str
) -> None:
    found = [state(points, 3, how) for how in ("missing", "ignore", "breaching", "notBreaching")]
    assert found == [missing, ignore, breaching, not_breaching]


@pytest.mark.parametrize(
    ("points", "missing", "ignore", "breaching", "not_breaching"),
    [
        ([WITHIN, GAP, X, GAP, X], "ALARM", "ALARM", "ALARM", "ALARM"),
        ([WITHIN, WITHIN, X, WITHIN, X], "ALARM", "ALARM", "ALARM", "ALARM"),
        ([WITHIN, GAP, X, GAP, GAP], "OK", "OK", "ALARM", "OK"),
        ([GAP, GAP, GAP, GAP, WITHIN], "OK", "OK", "ALARM", "OK"),
        ([GAP, GAP, GAP, X, GAP], "ALARM", RETAINED, "ALARM", "OK"),
    ],
)
def test_two_of_three(
    points: list[float | None], missing: str, ignore: str, breaching: str, not_breaching: str
) -> None:
    found = [state(points, 2, how) for how in ("missing", "ignore", "breaching", "notBreaching")]
    assert found == [missing, ignore, breaching, not_breaching]


def test_a_fresh_breach_alone_does_not_alarm_yet() -> None:
    assert state([GAP, GAP, GAP, GAP, X], 3, "missing") == RETAINED


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("GreaterThanOrEqualToThreshold", 1.0, "ALARM"),
        ("GreaterThanThreshold", 1.0, "OK"),
        ("LessThanThreshold", 0.5, "ALARM"),
        ("LessThanOrEqualToThreshold", 1.0, "ALARM"),
    ],
)
def test_comparisons(comparison: str, value: float, expected: str) -> None:
    assert next_state(Rule(comparison, 1.0, 1, 1, "missing"), [value], "OK") == expected


def test_dynamodb_s_silence_is_ignored_whatever_the_alarm_says() -> None:
    alarm = {
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "EvaluationPeriods": 2,
        "TreatMissingData": "breaching",
    }
    assert rule_of({**alarm, "Namespace": "AWS/Lambda"}).missing == "breaching"
    assert rule_of({**alarm, "Namespace": "AWS/DynamoDB"}).missing == "ignore"
    metric = {"MetricStat": {"Metric": {"Namespace": "AWS/DynamoDB"}}}
    assert rule_of({**alarm, "Metrics": [metric, {"Expression": "m"}]}).missing == "ignore"


def test_the_reason_says_what_was_compared() -> None:
    rule = Rule("GreaterThanThreshold", 1.0, 2, 1, "missing")
    assert reason(rule, "ALARM", [5.0, 0.0]) == (
        "Threshold Crossed: 1 out of the last 2 datapoints [5.0] was greater than the threshold (1.0)."
    )
    assert "not greater than" in reason(rule, "OK", [0.0, 0.0])
    assert "treated as [Breaching]" in reason(rule, "ALARM", [None, None])
    assert reason(rule, "INSUFFICIENT_DATA", [None]) == "Insufficient Data: 2 datapoints were unknown."
