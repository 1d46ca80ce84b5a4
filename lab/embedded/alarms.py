"""CloudWatch alarms that watch the metrics of their own region and tell topics of their own region.

MiniStack judges an alarm the moment a datapoint arrives, by the average of everything of that metric's name.
Here an alarm is judged as often as CloudWatch does it, over its own dimensions, periods and missing data.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ministack.core.responses import get_region, request_scope
from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from lab.embedded import deliveries, outage
from lab.embedded.alarm_actions import ACTION_LISTS, act
from lab.embedded.alarm_evaluation import MORE_THAN_ASKED, next_state, reason, rule_of
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError
from lab.embedded.metric_math import Series, UnknownExpressionError, evaluate
from lab.plan import PLAN_VARIABLE, read_plan

TYPE = "AWS::CloudWatch::Alarm"
_LOW_SAMPLES = "EvaluateLowSampleCountPercentile"
_MOST_ACTIONS = 5
_HIGH_RESOLUTION = 60  # seconds; a shorter period makes a high-resolution alarm, judged every 10 s
_HIGH_RESOLUTION_SECONDS = 10.0


def register(handlers: Handlers) -> None:
    _keep_metrics_of(handlers)
    cloudwatch._evaluate_alarm = lambda alarm: None
    cloudwatch._dispatch_alarm_actions = act
    inherited: Callable[..., Any] = cloudwatch._put_metric_alarm

    def put(params: Any, request: Properties, is_cbor: bool, is_json: bool = False) -> Any:
        if is_cbor or is_json:
            try:
                require_actions(request)
                require_metrics(request)
            except ResourceError as error:
                return cloudwatch._error("ValidationError", str(error), 400, is_json, is_cbor)
        response = inherited(params, request, is_cbor, is_json)
        if request.get("Metrics") and response[0] < 400:
            _watch_several(request["AlarmName"], request["Metrics"])
        return response

    cloudwatch._put_metric_alarm = put
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    deliveries.add(partial(judge_all, plan.alarm_seconds, plan.time_scale))


def _keep_metrics_of(handlers: Handlers) -> None:
    """Alarms on metric math, which MiniStack's handler refuses, and the refusals of the API."""
    inherited: Callable[[str, Properties], Properties] = provisioners._cw_metric_alarm_record

    def record(name: str, properties: Properties) -> Properties:
        require_actions(properties)
        require_metrics(properties)
        metrics = properties.get("Metrics")
        alone = {key: value for key, value in properties.items() if key != "Metrics"}
        alarm = inherited(name, {"MetricName": "-", "Namespace": "-", **alone})
        if _LOW_SAMPLES in properties:
            alarm[_LOW_SAMPLES] = properties[_LOW_SAMPLES]
        return _several(alarm, metrics) if metrics else alarm

    provisioners._cw_metric_alarm_record = record
    handlers[TYPE]["create"] = _not_twice(handlers[TYPE]["create"])


def _not_twice(inherited: Callable[..., Created]) -> Callable[..., Created]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = properties.get("AlarmName")
        if name in cloudwatch._alarms:
            raise ResourceError(f"{name} already exists (AlreadyExists)")
        return inherited(logical_id, properties, stack_name)

    return create


def _several(alarm: Properties, metrics: list[Properties]) -> Properties:
    for name in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit"):
        alarm.pop(name, None)
    alarm["Metrics"] = [
        {"ReturnData": len(metrics) == 1 or "MetricStat" not in query, **query} for query in metrics
    ]
    return alarm


def _watch_several(name: str, metrics: list[Properties]) -> None:
    _several(cloudwatch._alarms[name], metrics)


def require_actions(properties: Properties) -> None:
    """An alarm acts in its own region only. Raises ResourceError, worded as PutMetricAlarm does."""
    for kind in ACTION_LISTS:
        actions = properties.get(kind) or ()
        if len(actions) > _MOST_ACTIONS:
            raise ResourceError(f"The collection {kind} must have no more than {_MOST_ACTIONS} members")
        for arn in actions:
            region = str(arn).split(":")[3] if str(arn).count(":") >= 5 else ""
            if region not in ("", get_region()):
                raise ResourceError(
                    f"Invalid region {region} specified. Only {get_region()} is supported. (ValidationError)"
                )


def require_metrics(properties: Properties) -> None:
    """Exactly one way to say what is watched, and only expressions that can be computed here."""
    metrics = properties.get("Metrics")
    if not metrics:
        if not properties.get("MetricName"):
            raise ResourceError(
                "The parameters MetricName and Metrics are both missing; one is required (ValidationError)"
            )
        return
    both = [name for name in ("MetricName", "Namespace", "Statistic", "Period") if name in properties]
    if both:
        raise ResourceError(
            f"The parameters Metrics and {both[0]} are mutually exclusive and you have specified both. "
            "(ValidationError)"
        )
    returned = [query for query in metrics if query.get("ReturnData", len(metrics) == 1)]
    if len(returned) != 1:
        raise ResourceError("Exactly one element of the metrics list should return data. (ValidationError)")
    try:
        _computed(metrics, {q["Id"]: [0.0] for q in metrics if "MetricStat" in q})
    except (UnknownExpressionError, KeyError) as error:
        raise ResourceError(f"Error in expression: {error} (ValidationError)") from error


def judge_all(seconds: float, scale: float) -> None:
    """Every alarm whose turn it is, in its own region; periods are as long as `scale` makes them."""
    now, down = time.time(), outage.now().down
    for (account, region, _), alarm in cloudwatch._alarms.all_items():
        high = _shortest_period(alarm) < _HIGH_RESOLUTION
        every = min(seconds, _HIGH_RESOLUTION_SECONDS) if high else seconds
        if region in down or now - alarm.get("_judged", 0.0) < every * scale:
            continue
        alarm["_judged"] = now
        with request_scope(account, region):
            judge(alarm, now, scale)


def judge(alarm: Properties, now: float, scale: float) -> None:
    rule = rule_of(alarm)
    values = datapoints(alarm, rule.periods + MORE_THAN_ASKED, now, scale)
    old = alarm["StateValue"]
    new = next_state(rule, values, old)
    if new == old:
        return
    why = reason(rule, new, values)
    alarm.update(StateValue=new, StateReason=why, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], old, new, why)
    act(alarm, old, new, why)
    cloudwatch._evaluate_parent_alarms(alarm)


def datapoints(alarm: Properties, count: int, now: float, scale: float) -> Series:
    """The newest period first; the windows end now."""
    metrics = alarm.get("Metrics")
    if not metrics:
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return _statistics(alarm, int(alarm["Period"]) * scale, statistic, count, now)
    series = {
        query["Id"]: _statistics(
            query["MetricStat"]["Metric"],
            int(query["MetricStat"]["Period"]) * scale,
            query["MetricStat"]["Stat"],
            count,
            now,
        )
        for query in metrics
        if "MetricStat" in query
    }
    return _computed(metrics, series)


def _computed(metrics: list[Properties], series: dict[str, Series]) -> Series:
    waiting = [query for query in metrics if "Expression" in query]
    while waiting:
        for query in waiting:
            try:
                series[query["Id"]] = evaluate(query["Expression"], series)
            except UnknownExpressionError:
                continue
            waiting.remove(query)
            break
        else:
            evaluate(waiting[0]["Expression"], series)  # says what is wrong with it
    return series[next(q["Id"] for q in metrics if q.get("ReturnData", len(metrics) == 1))]


def _statistics(metric: Properties, period: float, statistic: str, count: int, now: float) -> Series:
    dimensions = {item["Name"]: item["Value"] for item in metric.get("Dimensions") or ()}
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    windows: list[list[Properties]] = [[] for _ in range(count)]
    for point in list(cloudwatch._metrics.get(key) or ()):
        age = int((now - point["Timestamp"]) // period)
        if 0 <= age < count:
            windows[age].append(point)
    return [_statistic(points, statistic) for points in windows]


def _statistic(points: list[Properties], statistic: str) -> float | None:
    found = cloudwatch._calc_stats(points)
    if not found:
        return None
    value = cloudwatch._stat_value(found, statistic, points)
    return None if value is None else float(value)


def _shortest_period(alarm: Properties) -> int:
    metrics = alarm.get("Metrics") or ()
    periods = [int(query["MetricStat"]["Period"]) for query in metrics if "MetricStat" in query]
    return min(periods, default=int(alarm.get("Period") or _HIGH_RESOLUTION))
