"""Both regions on one page, side by side: what is red, what clients see, and what lies behind it.

A page is no part of any region: CloudWatch shows it from wherever it can be reached, and asks each region for
its own measurements.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from troposphere import Output, Sub, Template, cloudwatch

from templates import metrics
from templates.api import HEALTH, OPERATIONS
from templates.config import Settings
from templates.dead_letters import QUEUE
from templates.metrics import cluster, counted, function, log_replication, operation
from templates.monitoring import PERIOD_SECONDS, Calculation, Metric
from templates.names import Place
from templates.probe import OWN, VOTE, WITNESS
from templates.tables import TABLES
from templates.transactions import REPLICATION_RULE

_COLUMN = 12  # half of the page
_HEIGHT = 6
_FUNCTIONS = (
    *("api", "migrate", "sweep", "settle", "ship", "audit", "rotate", "compare"),
    *("probe", "fence", "recover", "finish"),
)


class Panel(NamedTuple):
    """What is drawn, by the name in its legend."""

    title: str
    lines: Mapping[str, Metric | Calculation]


def add_dashboard(template: Template, settings: Settings, alarms: Mapping[Place, list[str]]) -> None:
    """`alarms` are those of each region, by name."""
    name = settings.names.shared("operations")
    template.add_resource(
        cloudwatch.Dashboard(
            "Dashboard",
            DashboardName=name,
            DashboardBody=Sub(json.dumps({"widgets": _widgets(settings, alarms)}, separators=(",", ":"))),
        )
    )
    url = f"https://${{AWS::Region}}.console.aws.amazon.com/cloudwatch/home#dashboards/dashboard/{name}"
    template.add_output(
        Output("DashboardUrl", Description="Both regions' alarms and measurements.", Value=Sub(url))
    )


def panels(settings: Settings, place: Place) -> Iterator[Panel]:
    """What is shown of one region, in the order in which an operator asks."""
    names = settings.names
    other: Place = "secondary" if place == "primary" else "primary"
    api, ledger = names.regional("api", place), names.regional("ledger", place)
    journal = names.shared("journal")
    yield Panel(
        "Health checks: answered 503 where the region is not the active one",
        {"asked": operation(api, HEALTH, "Count", "Sum"), "503": operation(api, HEALTH, "5XXError", "Sum")},
    )
    yield Panel(
        "Requests",
        {
            **{f"{o.method} {o.path}": operation(api, o, "Count", "Sum") for o in OPERATIONS},
            "failed, %": metrics.failed_requests(api),
        },
    )
    yield Panel(
        "POST /payments, ms",
        {
            statistic: operation(api, OPERATIONS[0], "Latency", statistic)
            for statistic in ("p50", "p90", "p99")
        },
    )
    yield Panel(
        "Functions",
        {
            f"{name} {metric}": function(names.regional(name, place), metric, statistic)
            for name in (*_FUNCTIONS, *(("decide",) if settings.failover.automatic else ()))
            for metric, statistic in (
                ("Invocations", "Sum"),
                ("Errors", "Sum"),
                ("Throttles", "Sum"),
                ("ConcurrentExecutions", "Maximum"),
            )
        },
    )
    yield Panel(
        "Votes: 1 where the other region is the active one and cannot be reached",
        {
            voter: Metric(
                names.metrics, VOTE, {"Region": _region(settings, other), "Voter": voter}, "Maximum"
            )
            for voter in (OWN, WITNESS)
        },
    )
    yield Panel(
        "Payments and the journal",
        {
            **{
                name: counted(names.metrics, "api", name)
                for name in ("Posted", "Accepted", "LedgerUnreachable")
            },
            **{f"recovered by {by}": counted(names.metrics, by, "Recovered") for by in ("recover", "finish")},
            "put p99, ms": metrics.put_latency(journal),
        },
    )
    reported = partial(metrics.reported, names.metrics)
    yield Panel(
        "Behind the API: reported where the region is the active one, or the standby",
        {
            "open entries": reported("sweep", "OpenEntries"),
            "oldest, s": reported("sweep", "OldestOpenEntryAge"),
            "settled": counted(names.metrics, "settle", "Settled"),
            "not in the log for, s": reported("ship", "LogAge"),
            "differences": reported("audit", "Differences"),
            "last audit, h ago": reported("audit", "AuditAge"),
            "dead letters": metrics.waiting(names.regional(QUEUE, place)),
        },
    )
    yield Panel(
        "Ledger",
        {
            "behind the writer, ms": metrics.ledger_lag(ledger, _region(settings, other)),
            "capacity used, %": cluster(ledger, "ACUUtilization", "Maximum"),
            "processors, %": cluster(ledger, "CPUUtilization", "Maximum"),
            "connections": cluster(ledger, "DatabaseConnections", "Maximum"),
        },
    )
    arriving = partial(
        log_replication,
        names.bucket("transactions", other),
        names.bucket("received", place),
        REPLICATION_RULE,
    )
    leaving = partial(
        log_replication,
        names.bucket("transactions", place),
        names.bucket("received", other),
        REPLICATION_RULE,
    )
    yield Panel(
        "Transaction log",
        {
            "arriving late, s": arriving("ReplicationLatency", "Maximum"),
            "bytes to arrive": arriving("BytesPendingReplication", "Maximum"),
            "operations to arrive": arriving("OperationsPendingReplication", "Maximum"),
            "failed to leave": leaving("OperationsFailedReplication", "Sum"),
        },
    )
    receiving = _region(settings, other)
    yield Panel(
        "Tables",
        {
            **{f"{plan.name} throttled": metrics.throttled(names.shared(plan.name), plan) for plan in TABLES},
            **{
                f"{plan.name} to {receiving}, ms": metrics.replication_latency(
                    names.shared(plan.name), receiving
                )
                for plan in TABLES
                if not plan.strong
            },
        },
    )


def _widgets(settings: Settings, alarms: Mapping[Place, list[str]]) -> list[dict[str, Any]]:
    widgets = []
    places: tuple[tuple[Place, str], ...] = (
        ("primary", settings.regions.primary),
        ("secondary", settings.regions.secondary),
    )
    for column, (place, region) in enumerate(places):
        arns = [
            f"arn:${{AWS::Partition}}:cloudwatch:{region}:${{AWS::AccountId}}:alarm:{name}"
            for name in alarms[place]
        ]
        shown = [{"type": "alarm", "properties": {"title": f"{region}: alarms", "alarms": arns}}]
        shown += [_graph(panel, region) for panel in panels(settings, place)]
        widgets += [
            {"x": column * _COLUMN, "y": row * _HEIGHT, "width": _COLUMN, "height": _HEIGHT, **widget}
            for row, widget in enumerate(shown)
        ]
    return widgets


def _graph(panel: Panel, region: str) -> dict[str, Any]:
    lines = [line for number, item in enumerate(panel.lines.items()) for line in _lines(number, *item)]
    return {
        "type": "metric",
        "properties": {
            "title": f"{region}: {panel.title}",
            "region": region,
            "view": "timeSeries",
            "period": PERIOD_SECONDS,
            "metrics": lines,
        },
    }


def _lines(number: int, label: str, drawn: Metric | Calculation) -> Iterator[list[Any]]:
    """A calculation's own metrics are there, but not drawn; ids are unique in a graph."""
    if isinstance(drawn, Metric):
        yield _line(drawn, {"label": label})
        return
    expression = re.sub(r"\b([a-z]\d+)\b", rf"g{number}\1", drawn.expression)
    yield [{"expression": expression, "label": label, "id": f"e{number}"}]
    for name, metric in drawn.metrics.items():
        yield _line(metric, {"id": f"g{number}{name}", "visible": False})


def _line(metric: Metric, options: dict[str, Any]) -> list[Any]:
    dimensions = [text for pair in metric.dimensions.items() for text in pair]
    return [metric.namespace, metric.name, *dimensions, {"stat": metric.statistic, **options}]


def _region(settings: Settings, place: Place) -> str:
    return settings.regions.primary if place == "primary" else settings.regions.secondary
