"""Merchants and accounts: what may be created, changed and closed, and how it is shown."""

from collections.abc import Callable
from typing import Any, Final

from adapters.directory import DynamoDirectory
from payments.currencies import CURRENCIES
from payments.model import Account, Merchant, Standing
from payments.parse import TOKEN
from payments.sessions import secret_hash

_MOST_NAME: Final = 100


class Rejected(Exception):  # noqa: N818 - it says what happened to the command
    """Where, what, what to do next; and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def create_merchant(
    known: DynamoDirectory, merchant_id: str, name: str, new_key: Callable[[], str]
) -> dict[str, Any]:
    """The answer holds the key, here and never again."""
    _check_id("merchant", merchant_id)
    if not 1 <= len(name) <= _MOST_NAME or not name.isprintable():
        raise Rejected(f"--name: has {len(name)} characters; use 1 to {_MOST_NAME} printable ones", 2)
    key = new_key()
    if not known.create_merchant(Merchant(merchant_id, name, Standing.OPEN, secret_hash(key))):
        todo = "choose another id; or rotate its key, if nobody was shown that"
        raise Rejected(f"merchant {merchant_id}: exists already; {todo}", 1)
    return {"id": merchant_id, "name": name, "status": Standing.OPEN.value, "key": key}


def rotate_key(known: DynamoDirectory, merchant_id: str, new_key: Callable[[], str]) -> dict[str, Any]:
    """The answer holds the new key, here and never again; the old one is good for nothing from now on."""
    _check_id("merchant", merchant_id)
    key = new_key()
    if not known.rotate_key(merchant_id, secret_hash(key)):
        if known.merchant(merchant_id) is None:
            raise _no_merchant(merchant_id)
        raise Rejected(f"merchant {merchant_id}: is closed; a closed merchant needs no key", 1)
    return {"id": merchant_id, "key": key}


def close_merchant(known: DynamoDirectory, merchant_id: str) -> dict[str, Any]:
    """For good; again, it stays closed."""
    _check_id("merchant", merchant_id)
    if not known.close_merchant(merchant_id):
        raise _no_merchant(merchant_id)
    return {"id": merchant_id, "status": Standing.CLOSED.value}


def close_account(known: DynamoDirectory, account_id: str) -> dict[str, Any]:
    """For good; again, it stays closed."""
    _check_id("account", account_id)
    if not known.close_account(account_id):
        raise Rejected(f"account {account_id}: there is none of that id; see 'accounts list'", 1)
    return {"id": account_id, "status": Standing.CLOSED.value}


def open_account(
    known: DynamoDirectory, account_id: str, currency: str, merchant_id: str | None
) -> dict[str, Any]:
    _check_id("account", account_id)
    if currency not in CURRENCIES:
        raise Rejected(f"--currency: {currency} is not a current ISO 4217 code; use one such as USD", 2)
    if merchant_id is not None and known.merchant(merchant_id) is None:
        raise Rejected(f"--merchant: there is no merchant {merchant_id}; create it first", 1)
    account = Account(account_id, currency, Standing.OPEN, merchant_id)
    if not known.open_account(account):
        raise Rejected(f"account {account_id}: exists already; choose another id", 1)
    return _shown_account(account)


def merchants(known: DynamoDirectory) -> list[dict[str, Any]]:
    found = sorted(known.merchants(), key=lambda merchant: merchant.merchant_id)
    return [
        {"id": merchant.merchant_id, "name": merchant.name, "status": merchant.status.value}
        for merchant in found
    ]


def accounts(known: DynamoDirectory) -> list[dict[str, Any]]:
    return [_shown_account(account) for account in sorted(known.accounts(), key=lambda a: a.account_id)]


def _no_merchant(merchant_id: str) -> Rejected:
    return Rejected(f"merchant {merchant_id}: there is none of that id; see 'merchants list'", 1)


def _shown_account(account: Account) -> dict[str, Any]:
    return {
        "id": account.account_id,
        "currency": account.currency,
        "status": account.status.value,
        "merchant_id": account.merchant_id,
    }


def _check_id(kind: str, value: str) -> None:
    if not TOKEN.fullmatch(value):
        rule = "1 to 64 letters, digits, '-' or '_', starting with a letter"
        raise Rejected(f"{kind} id: {value!r} is not usable; use {rule}", 2)
