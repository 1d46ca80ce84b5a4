from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from adapters.control import DynamoControl, item
from adapters.directory import DynamoDirectory
from adapters.journal import DynamoJournal
from adapters.sessions import DynamoSessions
from failover.control import Phase, first_record
from failover.errors import Unavailable
from payments.idempotency import fingerprint, payment_id
from payments.journal import new_entry
from payments.model import Account, Merchant, Money, Payment, PaymentRequest, Session, Standing
from tests.unit.adapters.conftest import EmbeddedAws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 22, 10, 15, 30, 123000, tzinfo=UTC)


@pytest.fixture
def client(embedded_aws: EmbeddedAws) -> "DynamoDBClient":
    return embedded_aws.dynamodb()


@pytest.fixture
def table(client: "DynamoDBClient", request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty table with the key the test asks for."""
    key = request.param
    name = f"table-{uuid4().hex}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
    )
    yield name
    client.delete_table(TableName=name)


def keyed(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("table", [name], indirect=True)


def payment(key: str = "order-1", reference: str = "Invoice \u20ac7") -> Payment:
    request = PaymentRequest("shop", Money(1250, "USD"), "alice", "bob", reference)
    return Payment(payment_id("shop", key), fingerprint(request), request, NOW)


@keyed("payment_id")
def test_the_journal_keeps_the_first_entry_for_ever(client: "DynamoDBClient", table: str) -> None:
    journal = DynamoJournal(client, table)
    first = new_entry(payment(), 3)
    assert journal.find(first.payment_id) is None
    assert journal.put(first) == first
    assert journal.put(new_entry(payment(reference="other"), 4)) == first
    assert journal.find(first.payment_id) == first


@keyed("payment_id")
def test_of_many_writers_one_decides(client: "DynamoDBClient", table: str) -> None:
    journal = DynamoJournal(client, table)
    entries = [new_entry(payment(), epoch) for epoch in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        held = set(pool.map(journal.put, entries))
    assert len(held) == 1


@keyed("payment_id")
def test_a_holder_that_is_not_returned_is_looked_up(client: "DynamoDBClient", table: str) -> None:
    first = new_entry(payment(), 3)
    DynamoJournal(client, table).put(first)
    forgetful: Any = _WithoutOldValues(client)
    assert DynamoJournal(forgetful, table).put(new_entry(payment(), 4)) == first


class _WithoutOldValues:
    """DynamoDB as an emulator may have it: a failed condition comes without the item."""

    def __init__(self, client: "DynamoDBClient | _LosesAnswers") -> None:
        self.get_item = client.get_item
        self._client = client

    def put_item(self, **request: Any) -> Any:
        request.pop("ReturnValuesOnConditionCheckFailure")
        return self._client.put_item(**request)


@keyed("payment_id")
def test_a_settled_entry_has_left_the_work_list(client: "DynamoDBClient", table: str) -> None:
    journal = DynamoJournal(client, table)
    settled = replace(new_entry(payment(), 3), open=None)
    journal.put(settled)
    assert journal.find(settled.payment_id) == settled


@keyed("id")
def test_the_first_control_record_is_written_once(client: "DynamoDBClient", table: str) -> None:
    control = DynamoControl(client, table)
    with pytest.raises(Unavailable):
        control.read()
    first = first_record("us-east-1", NOW)
    assert control.create(first)
    assert not control.create(first_record("us-east-2", NOW))
    assert control.read() == first


@keyed("id")
@pytest.mark.parametrize(
    "damage",
    [{"epoch": {"S": "1"}}, {"phase": {"S": "odd"}}, {"epoch": {"N": "0"}}, {"changed_at": {"S": "now"}}],
)
def test_an_unreadable_control_record_grants_nothing(
    client: "DynamoDBClient", table: str, damage: dict[str, Any]
) -> None:
    client.put_item(TableName=table, Item=item(first_record("us-east-1", NOW)) | damage)
    with pytest.raises(Unavailable):
        DynamoControl(client, table).read()


def test_phases_are_stored_as_they_are_called() -> None:
    stored = item(replace(first_record("us-east-1", NOW), phase=Phase.FENCING))
    assert stored["phase"] == {"S": "fencing"}
    assert stored["changed_at"] == {"S": "2026-11-22T10:15:30.123+00:00"}


@keyed("token_hash")
def test_sessions_are_kept_by_hash_and_expire_by_ttl(client: "DynamoDBClient", table: str) -> None:
    sessions = DynamoSessions(client, table)
    session = Session("hash", "shop", NOW.replace(microsecond=0))
    assert sessions.find("hash") is None
    sessions.put(session)
    assert sessions.find("hash") == session
    stored = client.get_item(TableName=table, Key={"token_hash": {"S": "hash"}})["Item"]
    assert stored["expires_at"] == {"N": str(int(session.expires_at.timestamp()))}


@keyed("id")
def test_the_directory_knows_merchants_and_accounts(client: "DynamoDBClient", table: str) -> None:
    directory = DynamoDirectory(client, table, lambda: 0.0)
    shop = Merchant("shop", "The Shop", Standing.OPEN, "hash")
    alice, bob = Account("alice", "USD", Standing.OPEN), Account("bob", "USD", Standing.OPEN, "shop")
    assert directory.create_merchant(shop)
    assert not directory.create_merchant(replace(shop, key_hash="stolen"))
    assert directory.open_account(alice)
    assert directory.open_account(bob)
    assert not directory.open_account(replace(bob, currency="EUR"))
    assert directory.merchant("shop") == shop
    assert directory.merchant("nobody") is None
    parties = directory.parties("shop", ("alice", "bob", "nobody"))
    assert parties.merchant == shop
    assert parties.accounts == {"alice": alice, "bob": bob}
    assert list(directory.merchants()) == [shop]
    assert sorted(account.account_id for account in directory.accounts()) == ["alice", "bob"]


@keyed("id")
def test_a_key_is_rotated_while_its_merchant_is_open(client: "DynamoDBClient", table: str) -> None:
    directory = DynamoDirectory(client, table, lambda: 0.0)
    shop = Merchant("shop", "The Shop", Standing.OPEN, "hash")
    directory.create_merchant(shop)
    assert directory.rotate_key("shop", "new")
    assert directory.rotate_key("shop", "new")  # as after a lost answer
    assert directory.merchant("shop") == replace(shop, key_hash="new")
    assert directory.close_merchant("shop")
    assert not directory.rotate_key("shop", "newer")
    assert directory.merchant("shop") == replace(shop, key_hash="new", status=Standing.CLOSED)


@keyed("id")
def test_what_is_closed_stays_and_what_is_not_there_is_not_made(client: "DynamoDBClient", table: str) -> None:
    directory = DynamoDirectory(client, table, lambda: 0.0)
    till = Account("till", "EUR", Standing.OPEN, "shop")
    directory.open_account(till)
    assert directory.close_account("till")
    assert directory.close_account("till")
    assert list(directory.accounts()) == [replace(till, status=Standing.CLOSED)]
    assert not directory.open_account(till)
    assert not directory.close_account("nobody")
    assert not directory.close_merchant("till")  # an account is no merchant
    assert not directory.rotate_key("nobody", "key")
    assert list(directory.merchants()) == []


class _LosesAnswers:
    """A connection that loses the first answer of every write; botocore then sends the write again."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.get_item = client.get_item
        self._client = client

    def put_item(self, **request: Any) -> Any:
        with suppress(ClientError):
            self._client.put_item(**request)
        return self._client.put_item(**request)


@keyed("id")
def test_what_was_created_by_a_write_whose_answer_got_lost_was_created(
    client: "DynamoDBClient", table: str
) -> None:
    lossy: Any = _LosesAnswers(client)
    directory = DynamoDirectory(lossy, table, lambda: 0.0)
    shop, till = Merchant("shop", "The Shop", Standing.OPEN, "hash"), Account("till", "EUR", Standing.OPEN)
    assert directory.create_merchant(shop)
    assert not directory.create_merchant(replace(shop, key_hash="another key"))
    assert directory.open_account(till)
    assert not directory.open_account(replace(till, merchant_id="shop"))
    assert directory.merchant("shop") == shop
    first = first_record("us-east-1", NOW)
    assert DynamoControl(lossy, table).create(first)
    assert not DynamoControl(lossy, table).create(replace(first, reason="another"))


@keyed("id")
def test_a_holder_that_is_not_returned_is_looked_up_before_it_is_taken_for_another(
    client: "DynamoDBClient", table: str
) -> None:
    forgetful: Any = _WithoutOldValues(_LosesAnswers(client))
    directory = DynamoDirectory(forgetful, table, lambda: 0.0)
    till = Account("till", "EUR", Standing.OPEN)
    assert directory.open_account(till)
    assert not directory.open_account(replace(till, currency="USD"))


@keyed("id")
def test_parties_are_cached_for_seconds_but_absence_is_not(client: "DynamoDBClient", table: str) -> None:
    now = [0.0]
    directory = DynamoDirectory(client, table, lambda: now[0])
    assert directory.parties("shop", ("alice",)).accounts == {}
    directory.open_account(Account("alice", "USD", Standing.OPEN))
    assert directory.parties("shop", ("alice",)).accounts.keys() == {"alice"}
    client.update_item(
        TableName=table,
        Key={"id": {"S": "account#alice"}},
        UpdateExpression="SET #status = :closed",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":closed": {"S": "closed"}},
    )
    now[0] = 4.9
    assert directory.parties("shop", ("alice",)).accounts["alice"].status is Standing.OPEN
    now[0] = 5.1
    assert directory.parties("shop", ("alice",)).accounts["alice"].status is Standing.CLOSED


def test_keys_left_unprocessed_are_never_taken_for_absent() -> None:
    throttled: Any = _Throttled()
    with pytest.raises(Unavailable):
        DynamoDirectory(throttled, "table", lambda: 0.0).parties("shop", ("alice",))
    assert throttled.calls == 3


class _Throttled:
    calls = 0

    def batch_get_item(self, **request: Any) -> Any:
        self.calls += 1
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}


def test_a_missing_table_is_our_mistake_and_not_an_outage(client: "DynamoDBClient") -> None:
    with pytest.raises(ClientError):
        DynamoJournal(client, "no-such-table").find("pay_x")
