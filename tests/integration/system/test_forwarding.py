"""Requests that meet the standby: answered by the active region, as if they had gone there."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.system.deployment import Client, System, eventually

_PAYMENT = "SELECT amount, epoch FROM ledger.payment WHERE payment_id = %s"


@pytest.fixture
def standby(system: System) -> Iterator[Client]:
    """A merchant who only knows the region that is not active."""
    with Client(system, system.secondary) as standby:
        standby.sign_in()
        yield standby


def test_a_payment_through_the_standby_is_posted_once_and_read_through_both(
    system: System, standby: Client, client: Client
) -> None:
    assert standby.get("/health").status_code == 503
    key = secrets.token_hex(16)

    answer = standby.pay(key, amount=4_321)

    assert (answer.status_code, answer.json()["status"]) == (201, "posted")
    payment_id = answer.json()["payment_id"]
    assert answer.headers["Location"] == f"/payments/{payment_id}"
    client.http.headers["Authorization"] = standby.http.headers["Authorization"]
    again = client.pay(key, amount=4_321)
    assert (again.status_code, again.json()) == (201, answer.json())
    assert system.query(system.primary, _PAYMENT, payment_id) == [(4_321, 1)]
    for asked in (standby, client):
        read = asked.get(f"/payments/{payment_id}")
        assert (read.status_code, read.json()) == (200, answer.json())


def test_a_session_of_the_active_region_is_good_at_the_standby(standby: Client, client: Client) -> None:
    standby.http.headers["Authorization"] = client.http.headers["Authorization"]
    assert standby.pay().status_code == 201


def test_the_standby_refuses_in_the_words_of_the_active_region(standby: Client, client: Client) -> None:
    for changes in ({"amount": 0}, {"debtor": "nobody"}):
        there, here = standby.pay(**changes), client.pay(**changes)
        assert (there.status_code, there.json()) == (here.status_code, here.json())
        assert there.headers["Content-Type"] == "application/problem+json"


def test_no_header_of_a_client_keeps_a_request_at_the_standby(standby: Client) -> None:
    standby.http.headers["forwarded_by"] = standby.http.headers["X-Forwarded-By"] = "us-east-1"
    assert standby.pay().status_code == 201


def test_what_was_handed_on_is_counted_in_the_region_that_handed_it_on(
    system: System, standby: Client
) -> None:
    def counted(region: str, name: str) -> float:
        found = system.aws("cloudwatch", region).get_metric_data(
            MetricDataQueries=[_sum("payments/lab", name)],
            StartTime="2020-01-01T00:00:00Z",
            EndTime="2100-01-01T00:00:00Z",
        )
        return float(sum(found["MetricDataResults"][0]["Values"]))

    before = counted(system.secondary, "Forwarded")
    assert standby.pay().status_code == 201
    eventually(
        lambda: counted(system.secondary, "Forwarded") > before or None, "a forwarded request is counted"
    )
    assert counted(system.primary, "Forwarded") == 0
    assert counted(system.secondary, "Posted") == 0


def _sum(namespace: str, name: str) -> dict[str, Any]:
    metric = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": "service", "Value": "api"}],
    }
    return {"Id": "m", "MetricStat": {"Metric": metric, "Period": 86_400, "Stat": "Sum"}}
