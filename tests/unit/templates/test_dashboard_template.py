"""Both regions on one page."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from templates import root
from templates.config import Regions, Settings
from tests.unit.templates.rendering import properties, settings

_REGIONAL = {"foundation": "{}", "data": "{}", "service": "{}"}


def _widgets(chosen: Settings) -> list[dict[str, Any]]:
    dashboard = properties(root.render(chosen, _REGIONAL), "Dashboard")
    assert dashboard["DashboardName"] == "payments-operations-prod"
    widgets: list[dict[str, Any]] = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    return widgets


@pytest.fixture(scope="module")
def widgets() -> list[dict[str, Any]]:
    return _widgets(settings())


def test_the_regions_stand_side_by_side_and_nothing_overlaps(widgets: list[dict[str, Any]]) -> None:
    left, right = ([w for w in widgets if w["x"] == x] for x in (0, 12))
    assert len(left) == len(right) == len(widgets) / 2
    for column, region in ((left, "us-east-1"), (right, "us-east-2")):
        assert all(widget["properties"]["title"].startswith(region) for widget in column)
        assert [widget["y"] for widget in column] == [6 * row for row in range(len(column))]


def test_everything_an_operator_asks_about_is_there(widgets: list[dict[str, Any]]) -> None:
    shown = {
        (widget["properties"]["region"], line[0], line[1])
        for widget in widgets
        for line in widget["properties"].get("metrics", [])
        if isinstance(line[0], str)
    }
    for region in ("us-east-1", "us-east-2"):
        assert {
            (region, "AWS/ApiGateway", "5XXError"),
            (region, "AWS/Lambda", "Errors"),
            (region, "AWS/RDS", "AuroraGlobalDBReplicationLag"),
            (region, "AWS/S3", "ReplicationLatency"),
            (region, "AWS/DynamoDB", "WriteThrottleEvents"),
            (region, "payments/prod", "Accepted"),
        } <= shown


def test_a_region_is_shown_by_its_own_names(widgets: list[dict[str, Any]]) -> None:
    for widget in widgets:
        place = "secondary" if widget["x"] else "primary"
        for line in widget["properties"].get("metrics", []):
            names = dict(zip(line[2:-1:2], line[3:-1:2], strict=True)) if isinstance(line[0], str) else {}
            for dimension in ("ApiName", "FunctionName", "DBClusterIdentifier"):
                assert f"-{place}-" in names.get(dimension, f"-{place}-")


def test_ids_are_unique_and_every_calculation_has_its_metrics(widgets: list[dict[str, Any]]) -> None:
    for widget in widgets:
        lines = widget["properties"].get("metrics", [])
        ids = [line[-1]["id"] for line in lines if "id" in line[-1]]
        assert len(ids) == len(set(ids))
        for line in lines:
            expression = line[-1].get("expression", "")
            for name in ids:
                expression = expression.replace(name, "")
            assert "g" not in expression


def test_alarms_are_those_of_the_region(widgets: list[dict[str, Any]]) -> None:
    primary, secondary = (widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm")
    assert all(":us-east-1:" in arn and "-primary-prod" in arn for arn in primary)
    assert all(":us-east-2:" in arn and "-secondary-prod" in arn for arn in secondary)
    health = "arn:${AWS::Partition}:cloudwatch:us-east-1:${AWS::AccountId}:alarm:payments-health-primary-prod"
    assert health in primary
    assert len(secondary) == len(primary) - 1


def test_where_route_53_measures_nothing_no_alarm_is_shown_for_it() -> None:
    regions = Regions(primary="eu-west-1", secondary="eu-west-3", witness="eu-central-1")
    assert "payments-health-" not in json.dumps(_widgets(replace(settings(), regions=regions)))
