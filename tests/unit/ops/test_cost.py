"""What a build costs, by what its templates hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from generator.render import render
from ops import cost, prices
from ops.cost import Line, Stack, Use, estimated
from templates.config import load

REPOSITORY = Path(__file__).parents[3]
KEPT = (REPOSITORY / "docs" / "what-is-kept.md").read_text("utf-8")
HERE, THERE, WITNESS = "us-east-1", "us-east-2", "us-west-2"


@pytest.fixture(scope="module")
def stacks() -> list[Stack]:
    """Of the environment that deployment.toml delivers."""
    texts = render(load(REPOSITORY / "deployment.toml", None, {}))
    places = {"root": [HERE], "zone": [HERE], "witness": [WITNESS]}
    return [
        Stack(json.loads(text), region)
        for name, text in texts.items()
        for region in places.get(name, [HERE, THERE])
    ]


def total(lines: list[Line], service: str, region: str | None = None) -> float:
    return sum(line.usd for line in lines if line.service == service and region in (None, line.region))


@pytest.mark.parametrize(
    ("service", "row"),
    [
        ("database", "Aurora Serverless v2, four instances"),
        ("region switch", "Region switch"),
        ("keys", "Keys"),
    ],
)
def test_the_document_says_the_same(stacks: list[Stack], service: str, row: str) -> None:
    (told,) = [line for line in KEPT.splitlines() if line.startswith(f"| {row}")]
    assert f"| {total(estimated(stacks, HERE, THERE, Use()), service):.0f} USD" in told


def test_the_network_is_two_rows_of_the_document(stacks: list[Stack]) -> None:
    lines = estimated(stacks, HERE, THERE, Use())
    assert f"{total(lines, 'network'):.0f}" == f"{197.1 + 21.9:.0f}"
    assert "| NAT gateways, six | 197 USD" in KEPT
    assert "| Public addresses of the NAT gateways | 22 USD" in KEPT


def test_the_second_region_and_what_watches_it_is_the_standby_s(stacks: list[Stack]) -> None:
    lines = estimated(stacks, HERE, THERE, Use(payments_per_second=20, stored_gb=50))
    assert {line.region for line in lines} == {HERE, THERE, WITNESS, cost.EVERYWHERE}
    assert all(line.standby for line in lines if line.region in (THERE, WITNESS))
    here = {line.service: line.standby for line in lines if line.region == HERE}
    assert (here["region switch"], here["probes"], here["network"], here["api"]) == (True, True, False, False)


def test_payments_cost_what_they_take(stacks: list[Stack]) -> None:
    none, some, more = (estimated(stacks, HERE, THERE, Use(payments_per_second=rate)) for rate in (0, 10, 20))
    assert total(none, "api") == 0
    assert total(more, "api") == pytest.approx(20 * prices.SECONDS * prices.API_REQUEST)
    assert total(more, "tables") == pytest.approx(2 * total(some, "tables"))
    assert total(some, "database") > total(none, "database")


def test_what_is_stored_is_paid_in_both_regions_and_copied(stacks: list[Stack]) -> None:
    none, some = (estimated(stacks, HERE, THERE, Use(stored_gb=size)) for size in (0, 50))
    assert total(some, "database") - total(none, "database") == pytest.approx(10.0)
    assert total(some, "backups") == pytest.approx(2 * 50 * 35 * 0.021)


@pytest.mark.parametrize(
    ("resource", "usd"),
    [
        ({"Type": "AWS::CloudWatch::Alarm", "Properties": {"Period": 60}}, 0.10),
        ({"Type": "AWS::CloudWatch::Alarm", "Properties": {"Period": 10}}, 0.30),
        ({"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {}}, 0.50),
        (
            {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "Metrics": [
                        {"MetricStat": {"Period": 60}},
                        {"MetricStat": {"Period": 60}},
                        {"Expression": "a/b"},
                    ]
                },
            },
            0.20,
        ),
    ],
)
def test_an_alarm_is_paid_by_the_metrics_it_looks_at(resource: dict[str, Any], usd: float) -> None:
    (line,) = estimated([Stack({"Resources": {"Alarm": resource}}, HERE)], HERE, THERE, Use())
    assert line.usd == pytest.approx(usd)


def test_it_is_shown_by_region_and_service_with_what_is_not_counted(stacks: list[Stack]) -> None:
    lines = estimated(stacks, HERE, THERE, Use())
    document = cost.document(lines)
    assert document["total"] == pytest.approx(sum(document["regions"].values()), abs=0.05)
    assert document["total"] == pytest.approx(sum(document["services"].values()), abs=0.05)
    assert 0 < document["standby"] < document["total"]
    text = cost.text(lines)
    assert f"{document['total']:.2f}  USD a month, by list prices of {prices.AS_OF}" in text
    assert "not counted: what the database takes above its least capacity" in text
