"""A payment through both regions: front door, API Gateway, Lambda, journal, ledger, replica."""

import secrets
from typing import Any

import pytest

from tests.integration.system.deployment import Client, System, eventually

_PAYMENT = "SELECT amount, currency, debtor, creditor, epoch FROM ledger.payment WHERE payment_id = %s"
_ENTRIES = "SELECT account, amount, currency FROM ledger.entry WHERE payment_id = %s ORDER BY line"


def test_a_payment_is_in_the_postgresql_of_both_regions(system: System, client: Client) -> None:
    answer = client.pay(amount=4_200)

    assert (answer.status_code, answer.json()["status"]) == (201, "posted")
    payment_id = answer.json()["payment_id"]
    for region in system.regions:
        rows = eventually(
            lambda region=region: system.query(region, _PAYMENT, payment_id) or None,  # type: ignore[misc]
            f"{payment_id} in the ledger of {region}",
        )
        assert rows == [(4_200, "USD", "demo-debtor", "demo-creditor", 1)]
        assert system.query(region, _ENTRIES, payment_id) == [
            ("demo-debtor", -4_200, "USD"),
            ("demo-creditor", 4_200, "USD"),
        ]


def test_the_secondary_is_a_replica_of_the_primary(system: System) -> None:
    assert system.query(system.primary, "SELECT pg_is_in_recovery()") == [(False,)]
    assert system.query(system.secondary, "SELECT pg_is_in_recovery()") == [(True,)]
    assert system.query(system.primary, "SELECT state FROM pg_stat_replication") == [("streaming",)]


def test_a_payment_is_found_again(client: Client) -> None:
    made = client.pay().json()

    found = client.get(f"/payments/{made['payment_id']}")

    assert (found.status_code, found.json()) == (200, made)


def test_a_retry_with_the_same_key_joins_and_pays_once(system: System, client: Client) -> None:
    key = secrets.token_hex(16)

    answers = [client.pay(key, amount=100) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {201}
    payment_ids = {answer.json()["payment_id"] for answer in answers}
    assert len(payment_ids) == 1
    count = system.query(
        system.primary, "SELECT count(*) FROM ledger.payment WHERE payment_id = %s", *payment_ids
    )
    assert count == [(1,)]


def test_the_same_key_with_another_body_is_refused(system: System, client: Client) -> None:
    key = secrets.token_hex(16)
    payment_id = client.pay(key, amount=100).json()["payment_id"]

    refused = client.pay(key, amount=101)

    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert system.query(
        system.primary, "SELECT amount FROM ledger.payment WHERE payment_id = %s", payment_id
    ) == [(100,)]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"amount": 0}, 400),
        ({"amount": 1.5}, 400),
        ({"tip": 1}, 400),
        ({"currency": "XXX"}, 422),
        ({"debtor": "nobody"}, 422),
    ],
)
def test_what_can_be_refused_is_refused_and_not_stored(
    system: System, client: Client, changes: dict[str, Any], status: int
) -> None:
    journal = system.plan.directory_table.replace("directory", "journal")

    def entries() -> int:
        count: int = system.aws("dynamodb", system.primary).scan(TableName=journal, Select="COUNT")["Count"]
        return count

    before = entries()

    assert client.pay(**changes).status_code == status
    assert entries() == before


def test_without_a_session_nothing_is_paid(system: System) -> None:
    with Client(system, system.primary) as stranger:
        stranger.http.headers["Authorization"] = "Bearer made-up"
        assert stranger.pay().status_code == 401


def test_only_the_active_region_is_healthy(system: System, client: Client) -> None:
    assert client.get("/health").status_code == 200
    with Client(system, system.secondary) as standby:
        assert standby.get("/health").status_code == 503


def test_both_host_names_of_a_region_lead_to_its_api(system: System, client: Client) -> None:
    for host in (system.plan.domain, f"primary.{system.plan.domain}"):
        answer = client.http.get(f"{client.api}/health", headers={"Host": host}, timeout=30)
        assert answer.status_code == 200, host
    answer = client.http.get(
        f"{client.api}/health", headers={"Host": f"secondary.{system.plan.domain}"}, timeout=30
    )
    assert answer.status_code == 403
