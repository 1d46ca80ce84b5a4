import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ops import directory
from ops.cli import main
from ops.directory import Rejected
from payments.model import Account, Merchant, Standing
from payments.sessions import secret_hash


class FakeTable:
    def __init__(self) -> None:
        self.known_merchants: dict[str, Merchant] = {}
        self.known_accounts: dict[str, Account] = {}

    def create_merchant(self, merchant: Merchant) -> bool:
        return self.known_merchants.setdefault(merchant.merchant_id, merchant) is merchant

    def open_account(self, account: Account) -> bool:
        return self.known_accounts.setdefault(account.account_id, account) is account

    def merchant(self, merchant_id: str) -> Merchant | None:
        return self.known_merchants.get(merchant_id)

    def rotate_key(self, merchant_id: str, key_hash: str) -> bool:
        known = self.known_merchants.get(merchant_id)
        if known is None or known.status is Standing.CLOSED:
            return False
        self.known_merchants[merchant_id] = replace(known, key_hash=key_hash)
        return True

    def close_merchant(self, merchant_id: str) -> bool:
        known = self.known_merchants.get(merchant_id)
        if known is not None:
            self.known_merchants[merchant_id] = replace(known, status=Standing.CLOSED)
        return known is not None

    def close_account(self, account_id: str) -> bool:
        known = self.known_accounts.get(account_id)
        if known is not None:
            self.known_accounts[account_id] = replace(known, status=Standing.CLOSED)
        return known is not None

    def merchants(self) -> Iterator[Merchant]:
        return iter(self.known_merchants.values())

    def accounts(self) -> Iterator[Account]:
        return iter(self.known_accounts.values())


@pytest.fixture
def table() -> Any:
    return FakeTable()


def test_a_key_is_shown_once_and_stored_hashed(table: Any) -> None:
    created = directory.create_merchant(table, "shop", "The Shop", lambda: "the-key")
    assert created["key"] == "the-key"
    assert table.known_merchants["shop"].key_hash == secret_hash("the-key")
    assert "key" not in json.dumps(directory.merchants(table))


def test_nothing_is_created_twice(table: Any) -> None:
    directory.create_merchant(table, "shop", "The Shop", lambda: "one")
    with pytest.raises(Rejected, match=r"exists already.*rotate its key"):
        directory.create_merchant(table, "shop", "The Shop", lambda: "two")
    directory.open_account(table, "alice", "USD", "shop")
    with pytest.raises(Rejected, match="exists already"):
        directory.open_account(table, "alice", "EUR", None)
    assert directory.accounts(table) == [
        {"id": "alice", "currency": "USD", "status": "open", "merchant_id": "shop"}
    ]


@pytest.mark.parametrize(
    ("account", "currency", "merchant", "code"),
    [
        ("4111", "USD", None, 2),
        ("alice", "usd", None, 2),
        ("alice", "XTS", None, 2),
        ("alice", "USD", "nobody", 1),
    ],
)
def test_what_cannot_be_opened_is_explained(
    table: Any, account: str, currency: str, merchant: str | None, code: int
) -> None:
    with pytest.raises(Rejected, match=";") as rejected:
        directory.open_account(table, account, currency, merchant)
    assert rejected.value.exit_code == code
    assert not table.known_accounts


def test_a_rotated_key_is_shown_once_and_replaces_the_old_one(table: Any) -> None:
    directory.create_merchant(table, "shop", "The Shop", lambda: "one")
    assert directory.rotate_key(table, "shop", lambda: "two") == {"id": "shop", "key": "two"}
    assert table.known_merchants["shop"].key_hash == secret_hash("two")
    assert "two" not in json.dumps(directory.merchants(table))


def test_closing_again_changes_nothing(table: Any) -> None:
    directory.create_merchant(table, "shop", "The Shop", lambda: "one")
    directory.open_account(table, "alice", "USD", "shop")
    for _ in range(2):
        assert directory.close_merchant(table, "shop") == {"id": "shop", "status": "closed"}
        assert directory.close_account(table, "alice") == {"id": "alice", "status": "closed"}
    assert [one["status"] for one in directory.merchants(table)] == ["closed"]
    assert [one["status"] for one in directory.accounts(table)] == ["closed"]


def test_what_is_not_there_or_closed_is_not_changed_and_said(table: Any) -> None:
    changes: list[Callable[[], object]] = [
        lambda: directory.rotate_key(table, "nobody", lambda: "key"),
        lambda: directory.close_merchant(table, "nobody"),
        lambda: directory.close_account(table, "nobody"),
    ]
    for change in changes:
        with pytest.raises(Rejected, match="nobody: there is none of that id; see") as rejected:
            change()
        assert rejected.value.exit_code == 1
    directory.create_merchant(table, "shop", "The Shop", lambda: "one")
    directory.close_merchant(table, "shop")
    with pytest.raises(Rejected, match="shop: is closed;"):
        directory.rotate_key(table, "shop", lambda: "two")
    assert table.known_merchants["shop"].key_hash == secret_hash("one")


def test_bad_usage_exits_2_and_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["accounts"],
        ["merchants", "destroy"],
        ["merchants", "create"],
        ["merchants", "rotate-key"],
        ["merchants", "close"],
        ["accounts", "close"],
        ["accounts", "close", "4111"],
        ["--config", "/nowhere.toml", "accounts", "list"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2, arguments
        assert capsys.readouterr().err


def test_an_aws_that_does_not_answer_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(SystemExit) as ended:
        main(["accounts", "list"])
    assert ended.value.code == 1
    assert "no answer" in capsys.readouterr().err
