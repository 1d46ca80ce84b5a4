"""Alarms and the metrics they watch: what is measured, from when on it is trouble, what silence means."""

from collections.abc import Mapping

from msgspec import Struct
from troposphere import Template, cloudwatch

from templates.notifications import Topic
from templates.policies import Value
from templates.sites import Site

PERIOD_SECONDS = 60

# What no datapoint means (TreatMissingData). A counter nobody moved, a request nobody made: no news.
NOTHING_HAPPENED = "notBreaching"
# Reported in one of the two regions only, depending on which part the region plays now.
NOT_MEASURED_HERE = "notBreaching"
# Not even a 0: whoever does not speak has not voted.
NO_VOTE = "notBreaching"
# CloudWatch does so with every alarm on DynamoDB's metrics, whatever it is told:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
ALWAYS_IGNORED = "ignore"
# Reported every minute by whatever is alive; unknown is never taken for fine.
SILENCE_IS_TROUBLE = "breaching"


class Metric(Struct, frozen=True):
    """`statistic` is one of CloudWatch's (Sum, Maximum, ...) or a percentile such as p99."""

    namespace: str
    name: str
    dimensions: Mapping[str, Value]
    statistic: str


class Calculation(Struct, frozen=True):
    """Metric math: an expression over metrics, by the ids it calls them."""

    expression: str
    metrics: Mapping[str, Metric]


class AlarmPlan(Struct, frozen=True):
    """Rings when what it watches is beyond the limit for so many periods in a row: minutes, unless it is
    reported less often.
    """

    title: str
    component: str
    meaning: str
    watches: Metric | Calculation
    limit: float
    periods: int
    missing: str
    below: bool = False  # beyond the limit is below it
    only: tuple[str, str] | None = None  # called so, and made where that condition holds
    period_seconds: int = PERIOD_SECONDS


def total(metrics: list[Metric]) -> Calculation:
    """What was not counted was nothing."""
    named = {f"m{number}": metric for number, metric in enumerate(metrics)}
    filled = ", ".join(f"FILL({name}, 0)" for name in named)
    return Calculation(f"SUM([{filled}])", named)


def largest(metrics: list[Metric]) -> Calculation:
    """Of those that are reported at all."""
    named = {f"m{number}": metric for number, metric in enumerate(metrics)}
    filled = ", ".join(f"FILL({name}, 0)" for name in named)
    return Calculation(f"MAX([{filled}])", named)


def percentage(part: list[Metric], whole: list[Metric]) -> Calculation:
    """Where the whole is nothing there is no datapoint."""
    parts = {f"p{number}": metric for number, metric in enumerate(part)}
    wholes = {f"w{number}": metric for number, metric in enumerate(whole)}
    return Calculation(f"100 * SUM([{', '.join(parts)}]) / SUM([{', '.join(wholes)}])", parts | wholes)


def add_alarm(template: Template, site: Site, topic: Topic, plan: AlarmPlan) -> cloudwatch.Alarm:
    """Tells the topic of its own region when trouble begins and when it is over."""
    alarm = cloudwatch.Alarm(
        f"{plan.title}Alarm",
        AlarmName=plan.only[0] if plan.only else site.name(plan.component),
        AlarmDescription=plan.meaning,
        ActionsEnabled=True,
        AlarmActions=[topic.arn],
        OKActions=[topic.arn],
        ComparisonOperator="LessThanThreshold" if plan.below else "GreaterThanThreshold",
        Threshold=plan.limit,
        EvaluationPeriods=plan.periods,
        DatapointsToAlarm=plan.periods,
        TreatMissingData=plan.missing,
        DependsOn=[topic.policy],  # an alarm judged before it may publish is not heard
    )
    if isinstance(plan.watches, Calculation):
        alarm.Metrics = _queries(plan.watches, plan.period_seconds)
    else:
        _watch(alarm, plan.watches, plan.period_seconds)
    if plan.only is not None:
        alarm.Condition = plan.only[1]
    return template.add_resource(alarm)


def _watch(alarm: cloudwatch.Alarm, metric: Metric, period_seconds: int) -> None:
    alarm.Namespace = metric.namespace
    alarm.MetricName = metric.name
    alarm.Dimensions = _dimensions(metric)
    alarm.Period = period_seconds
    if metric.statistic.startswith("p"):
        alarm.ExtendedStatistic = metric.statistic
        # A percentile of a handful of requests says nothing.
        alarm.EvaluateLowSampleCountPercentile = "ignore"
    else:
        alarm.Statistic = metric.statistic


def _queries(calculation: Calculation, period_seconds: int) -> list[cloudwatch.MetricDataQuery]:
    result = cloudwatch.MetricDataQuery(Id="result", Expression=calculation.expression, ReturnData=True)
    return [
        result,
        *(
            cloudwatch.MetricDataQuery(
                Id=name,
                MetricStat=cloudwatch.MetricStat(
                    Metric=cloudwatch.Metric(
                        Namespace=metric.namespace, MetricName=metric.name, Dimensions=_dimensions(metric)
                    ),
                    Period=period_seconds,
                    Stat=metric.statistic,
                ),
                ReturnData=False,
            )
            for name, metric in calculation.metrics.items()
        ),
    ]


def _dimensions(metric: Metric) -> list[cloudwatch.MetricDimension]:
    return [cloudwatch.MetricDimension(Name=name, Value=value) for name, value in metric.dimensions.items()]
