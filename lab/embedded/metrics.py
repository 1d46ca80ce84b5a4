"""Where metrics come from: what services report of themselves, what functions write into their logs.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions
from ministack.services import cloudwatch, cloudwatch_logs, lambda_svc

from lab.embedded.handlers import Handlers, Properties

_MARK = '"_aws"'
_LOOK_BACK = 8  # datapoints of the same second that an equal one is added to
_MOST_DIMENSIONS = 30
_DECIMALS = 1  # of milliseconds


def register(_: Handlers) -> None:
    cloudwatch.record_metric = record
    lambda_svc._emit_lambda_metrics = lambda *_, **__: None
    lambda_svc._execute_function_dispatch = _counting_runs(lambda_svc._execute_function_dispatch)
    lambda_svc._acquire_execution_slot = _counting_refusals(lambda_svc._acquire_execution_slot)
    cloudwatch_logs._append_log_events = _extracting(cloudwatch_logs._append_log_events)
    iam_actions.request_tag_context = _knowing_namespaces(iam_actions.request_tag_context)


def _knowing_namespaces(inherited: Callable[..., Properties]) -> Callable[..., Properties]:
    """What a policy may bind PutMetricData to, which knows no resources.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html
    """

    def context(service: str, action: str, body: bytes, params: Properties) -> Properties:
        known = inherited(service, action, body, params)
        if action != "cloudwatch:PutMetricData":
            return known
        return {**known, "cloudwatch:namespace": namespace_of(body)}

    return context


def namespace_of(body: bytes) -> str:
    """By CloudWatch's JSON or by its older query protocol; empty where there is none."""
    if body.startswith(b"{"):
        return str(json.loads(body).get("Namespace", ""))
    return parse_qs(body.decode(errors="replace")).get("Namespace", [""])[0]


def record(
    namespace: str,
    metric_name: str,
    value: float,
    unit: str = "None",
    dimensions: Mapping[str, str] | None = None,
    at: float | None = None,
) -> None:
    """One datapoint in the current account and region; equal ones of a second are kept as one, with a count.

    Minutes under load would otherwise be hundreds of thousands, read whenever an alarm is judged.
    """
    own = dict(dimensions or {})
    now = time.time() if at is None else at
    value = round(float(value), _DECIMALS) if unit == "Milliseconds" else float(value)
    points = cloudwatch._metric_bucket((namespace, metric_name, cloudwatch._dims_key(own)))
    for point in points[: -_LOOK_BACK - 1 : -1]:
        if int(point["Timestamp"]) == int(now) and point["Value"] == value and point["Unit"] == unit:
            point["Count"] = point.get("Count", 1.0) + 1.0
            return
    points.append({"Timestamp": now, "Value": value, "Unit": unit, "Dimensions": own, "Count": 1.0})


def _counting_runs(inherited: Callable[..., Properties]) -> Callable[..., Properties]:
    """Every run of a function, whoever asked for it; a run that did not fail is a datapoint 0 of `Errors`.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """

    def execute(function: Properties, config: Properties, *rest: Any) -> Properties:
        began = time.monotonic()
        result = inherited(function, config, *rest)
        dimensions = {"FunctionName": str(config["FunctionName"])}
        record("AWS/Lambda", "Invocations", 1, "Count", dimensions)
        record("AWS/Lambda", "Errors", bool(result.get("error")), "Count", dimensions)
        record("AWS/Lambda", "Throttles", 0, "Count", dimensions)
        record("AWS/Lambda", "Duration", (time.monotonic() - began) * 1000, "Milliseconds", dimensions)
        return result

    return execute


def _counting_refusals(inherited: Callable[..., Any]) -> Callable[..., Any]:
    """What is throttled counts neither as an invocation nor as an error."""

    def acquire(function: Properties, config: Properties) -> Any:
        slot, limit = inherited(function, config)
        if slot is None:
            dimensions = {"FunctionName": str(config["FunctionName"])}
            record("AWS/Lambda", "Throttles", 1, "Count", dimensions)
        return slot, limit

    return acquire


@dataclass(frozen=True, slots=True)
class Datum:
    namespace: str
    name: str
    value: float
    unit: str
    dimensions: Mapping[str, str]
    at: float


def _extracting(inherited: Callable[..., None]) -> Callable[..., None]:
    def append(stream: Properties, events: Sequence[Properties]) -> None:
        inherited(stream, events)
        for event in events:
            for datum in embedded_metrics(event["message"]):
                record(datum.namespace, datum.name, datum.value, datum.unit, datum.dimensions, datum.at)

    return append


def embedded_metrics(message: str) -> Iterator[Datum]:
    """The metrics of one log line; a line that is not of the format, or breaks its rules, has none."""
    if _MARK not in message:
        return
    try:
        document = json.loads(message[message.index("{") :])
        at = float(document["_aws"]["Timestamp"]) / 1000
        for directive in document["_aws"]["CloudWatchMetrics"]:
            yield from _of_directive(document, directive, at)
    except (ValueError, KeyError, TypeError):
        return


def _of_directive(document: Properties, directive: Properties, at: float) -> Iterator[Datum]:
    for names in directive["Dimensions"]:
        if len(names) > _MOST_DIMENSIONS:
            continue
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive["Metrics"]:
            found: Any = document[metric["Name"]]
            for value in found if isinstance(found, list) else [found]:
                yield Datum(
                    namespace=directive["Namespace"],
                    name=metric["Name"],
                    value=float(value),
                    unit=metric.get("Unit", "None"),
                    dimensions=dimensions,
                    at=at,
                )
