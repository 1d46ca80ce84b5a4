"""What state an alarm's datapoints mean, as CloudWatch documents it; nothing here knows a service.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
MORE_THAN_ASKED = 2  # CloudWatch looks at more datapoints than it needs; its own example: 5 for 3 periods

_COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
COMPARISONS = frozenset(_COMPARISONS)


@dataclass(frozen=True, slots=True)
class Rule:
    comparison: str
    threshold: float
    periods: int
    datapoints: int  # how many of the periods have to breach
    missing: str  # "breaching", "notBreaching", "ignore" or "missing"


def rule_of(alarm: Mapping[str, Any]) -> Rule:
    periods = int(alarm["EvaluationPeriods"])
    namespaces = {alarm.get("Namespace")} | {
        query["MetricStat"]["Metric"].get("Namespace")
        for query in alarm.get("Metrics") or ()
        if "MetricStat" in query
    }
    # "Alarms that evaluate metrics in the AWS/DynamoDB namespace always ignore missing data"
    always_ignored = "AWS/DynamoDB" in namespaces
    return Rule(
        comparison=str(alarm["ComparisonOperator"]),
        threshold=float(alarm["Threshold"]),
        periods=periods,
        datapoints=int(alarm.get("DatapointsToAlarm") or periods),
        missing="ignore" if always_ignored else str(alarm.get("TreatMissingData") or "missing"),
    )


def next_state(rule: Rule, newest_first: Sequence[float | None], current: str) -> str:
    """`newest_first` is the evaluation range: `rule.periods` datapoints and some older ones."""
    breaches, _ = _COMPARISONS[rule.comparison]
    real = [
        (age, breaches(value, rule.threshold)) for age, value in enumerate(newest_first) if value is not None
    ]
    if not real:
        return {"breaching": ALARM, "notBreaching": OK, "ignore": current}.get(
            rule.missing, INSUFFICIENT_DATA
        )
    if len(real) >= rule.periods:
        breaching = sum(breach for _, breach in real[: rule.periods])
        return ALARM if breaching >= rule.datapoints else OK
    breaching = sum(breach for _, breach in real)
    filled = rule.periods - len(real)
    if rule.missing == "breaching":
        breaching += filled
    if breaching >= rule.datapoints:
        return ALARM
    if rule.missing in ("breaching", "notBreaching") or not all(breach for _, breach in real):
        return OK
    # Nothing but breaching datapoints, and too few of them: an old one is enough, a fresh one is premature.
    oldest = real[-1][0] + 1
    return ALARM if rule.missing == "missing" and oldest >= rule.datapoints else current


def reason(rule: Rule, state: str, newest_first: Sequence[float | None]) -> str:
    """As CloudWatch words it in the alarm's history and in the message to the topic."""
    values = [value for value in newest_first if value is not None][: rule.periods]
    if not values:
        return (
            f"Threshold Crossed: no datapoints were received for {rule.periods} "
            f"{'period' if rule.periods == 1 else 'periods'} and "
            f"{rule.periods} missing {'datapoint was' if rule.periods == 1 else 'datapoints were'} "
            f"treated as [{'Breaching' if state == ALARM else 'NonBreaching'}]."
            if state != INSUFFICIENT_DATA
            else f"Insufficient Data: {rule.periods} datapoints were unknown."
        )
    breaches, words = _COMPARISONS[rule.comparison]
    counted = [value for value in values if breaches(value, rule.threshold) is (state == ALARM)]
    not_ = "" if state == ALARM else "not "
    return (
        f"Threshold Crossed: {len(counted)} out of the last {rule.periods} datapoints "
        f"[{', '.join(str(value) for value in counted)}] {'was' if len(counted) == 1 else 'were'} "
        f"{not_}{words} the threshold ({rule.threshold})."
    )
