"""Merchants and accounts as an operator changes and closes them, and what their clients notice."""

import secrets
from collections.abc import Iterator

import pytest

from tests.integration.system.deployment import Client, System, eventually


@pytest.fixture
def shop(system: System) -> Iterator[Client]:
    """A merchant of its own, with two accounts and an open session."""
    name = f"shop-{secrets.token_hex(4)}"
    created = system.operate("merchants", "create", name, "--name", "A shop")
    for account in ("debtor", "creditor"):
        system.operate("accounts", "open", f"{name}-{account}", "--currency", "EUR", "--merchant", name)
    with Client(system, system.primary) as client:
        client.merchant = created
        client.sign_in()
        yield client


def _pay(shop: Client) -> int:
    name = shop.merchant["id"]
    answer = shop.pay(currency="EUR", debtor=f"{name}-debtor", creditor=f"{name}-creditor")
    return answer.status_code


def test_a_rotated_key_replaces_the_old_one_at_once(system: System, shop: Client) -> None:
    old = (shop.merchant["id"], shop.merchant["key"])
    shop.merchant = system.operate("merchants", "rotate-key", shop.merchant["id"])
    assert shop.http.post(f"{shop.api}/sessions", auth=old, timeout=30).status_code == 401
    assert _pay(shop) == 201  # the session that is open goes on
    shop.sign_in()
    assert _pay(shop) == 201


def test_the_sessions_of_a_closed_merchant_end(system: System, shop: Client) -> None:
    assert _pay(shop) == 201
    system.operate("merchants", "close", shop.merchant["id"])
    eventually(lambda: _pay(shop) == 401 or None, "payments are refused")
    eventually(lambda: shop.get(f"/payments/pay_{'a' * 32}").status_code == 401 or None, "reading is refused")
    credentials = (shop.merchant["id"], shop.merchant["key"])
    assert shop.http.post(f"{shop.api}/sessions", auth=credentials, timeout=30).status_code == 401


def test_a_closed_account_takes_part_in_no_new_payment(system: System, shop: Client) -> None:
    assert _pay(shop) == 201
    system.operate("accounts", "close", f"{shop.merchant['id']}-creditor")
    eventually(lambda: _pay(shop) == 422 or None, "payments are refused")
