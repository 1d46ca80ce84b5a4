"""Merchants and accounts in the directory, a strongly consistent global table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.batches import read_batch
from adapters.once import put_once
from payments.model import Account, Merchant, Standing
from payments.ports import Parties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MERCHANT: Final = "merchant#"
_ACCOUNT: Final = "account#"
_FRESH_SECONDS: Final = 5.0
_MOST_CACHED: Final = 10_000  # about 5 MB


class DynamoDirectory:
    """`elapsed`, in seconds, dates what is cached. Only what exists is: a new account can be used at once."""

    def __init__(self, client: DynamoDBClient, table: str, elapsed: Callable[[], float]) -> None:
        self._client = client
        self._table = table
        self._elapsed = elapsed
        self._cache: dict[str, tuple[float, Any]] = {}

    def merchant(self, merchant_id: str) -> Merchant | None:
        with unknown_is_unavailable("directory"):
            answer = self._client.get_item(
                TableName=self._table, Key=_key(_MERCHANT + merchant_id), ConsistentRead=True
            )
        return _merchant(answer["Item"]) if "Item" in answer else None

    def parties(self, merchant_id: str, account_ids: Collection[str]) -> Parties:
        merchant_key = _MERCHANT + merchant_id
        account_keys = {account_id: _ACCOUNT + account_id for account_id in account_ids}
        found = self._items({merchant_key, *account_keys.values()})
        return Parties(
            _merchant(found[merchant_key]) if merchant_key in found else None,
            {account_id: _account(found[key]) for account_id, key in account_keys.items() if key in found},
        )

    def create_merchant(self, merchant: Merchant) -> bool:
        """Whether the directory holds exactly this one now; another one there already is left as it is."""
        return self._create(
            {
                "id": {"S": _MERCHANT + merchant.merchant_id},
                "name": {"S": merchant.name},
                "status": {"S": merchant.status.value},
                "key_hash": {"S": merchant.key_hash},
            }
        )

    def open_account(self, account: Account) -> bool:
        """Whether the directory holds exactly this one now; another one there already is left as it is."""
        stored = {
            "id": {"S": _ACCOUNT + account.account_id},
            "currency": {"S": account.currency},
            "status": {"S": account.status.value},
        }
        if account.merchant_id is not None:
            stored["merchant_id"] = {"S": account.merchant_id}
        return self._create(stored)

    def rotate_key(self, merchant_id: str, key_hash: str) -> bool:
        """Whether this is the merchant's key now; False if there is no such merchant, or it is closed."""
        return self._change(
            _MERCHANT + merchant_id,
            "SET key_hash = :key_hash",
            "#status = :open",
            {":key_hash": key_hash, ":open": Standing.OPEN.value},
        )

    def close_merchant(self, merchant_id: str) -> bool:
        """Whether it is closed now; False if there is none."""
        return self._close(_MERCHANT + merchant_id)

    def close_account(self, account_id: str) -> bool:
        """Whether it is closed now; False if there is none."""
        return self._close(_ACCOUNT + account_id)

    def merchants(self) -> Iterator[Merchant]:
        return map(_merchant, self._all(_MERCHANT))

    def accounts(self) -> Iterator[Account]:
        return map(_account, self._all(_ACCOUNT))

    def _items(self, keys: set[str]) -> dict[str, Any]:
        now = self._elapsed()
        fresh = {
            key: self._cache[key][1]
            for key in keys
            if key in self._cache and now - self._cache[key][0] < _FRESH_SECONDS
        }
        if missing := keys - fresh.keys():
            read = self._read(missing)
            if len(self._cache) + len(read) > _MOST_CACHED:
                self._cache.clear()
            self._cache |= {key: (now, item) for key, item in read.items()}
            fresh |= read
        return fresh

    def _read(self, keys: set[str]) -> dict[str, Any]:
        """One round trip for all."""
        found = read_batch(self._client, self._table, [_key(key) for key in sorted(keys)], "directory")
        return {str(item["id"]["S"]): item for item in found}

    def _create(self, stored: dict[str, Any]) -> bool:
        return put_once(self._client, self._table, "id", stored, "directory") == stored

    def _close(self, key: str) -> bool:
        return self._change(
            key, "SET #status = :closed", "attribute_exists(id)", {":closed": Standing.CLOSED.value}
        )

    def _change(self, key: str, change: str, condition: str, values: Mapping[str, str]) -> bool:
        """Whether the condition held. Sent again after a lost answer it holds again."""
        try:
            with unknown_is_unavailable("directory"):
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(key),
                    UpdateExpression=change,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
                )
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _all(self, prefix: str) -> Iterator[Any]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            ConsistentRead=True,
            FilterExpression="begins_with(id, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": prefix}},
        )
        with unknown_is_unavailable("directory"):
            for page in pages:
                yield from page["Items"]


def _key(key: str) -> dict[str, Any]:
    return {"id": {"S": key}}


def _merchant(stored: Any) -> Merchant:
    return Merchant(
        merchant_id=stored["id"]["S"].removeprefix(_MERCHANT),
        name=stored["name"]["S"],
        status=Standing(stored["status"]["S"]),
        key_hash=stored["key_hash"]["S"],
    )


def _account(stored: Any) -> Account:
    return Account(
        account_id=stored["id"]["S"].removeprefix(_ACCOUNT),
        currency=stored["currency"]["S"],
        status=Standing(stored["status"]["S"]),
        merchant_id=stored["merchant_id"]["S"] if "merchant_id" in stored else None,
    )
