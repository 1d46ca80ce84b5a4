"""Who pays during a drill: a merchant and two accounts of its own, so that nobody else's books change."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from adapters.directory import DynamoDirectory
from ops.directory import create_merchant, open_account
from ops.traffic import Merchant

_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Customers:
    """`known` is a directory that answers for as long as the drill lasts: not that of a region to be lost."""

    known: DynamoDirectory

    def come(self, name: str, new_key: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> Merchant:
        made = create_merchant(self.known, name, f"Drill {name}", new_key)
        debtor, creditor = (
            open_account(self.known, f"{name}-{side}", _CURRENCY, name)["id"]
            for side in ("debtor", "creditor")
        )
        return Merchant(name, made["key"], debtor, creditor, _CURRENCY)

    def go(self, merchant: Merchant) -> None:
        """For good; what they paid stays."""
        self.known.close_merchant(merchant.id)
        for account in (merchant.debtor, merchant.creditor):
            self.known.close_account(account)
