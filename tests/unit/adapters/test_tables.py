from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from adapters.control import DynamoControl, item
from adapters.directory import DynamoDirectory
from adapters.journal import DynamoJournal
from adapters.journal import item as journal_item
from adapters.progress import DynamoProgress
from adapters.sessions import DynamoSessions
from failover.control import ControlRecord, Phase, first_record
from failover.errors import Unavailable
from payments.idempotency import fingerprint, payment_id
from payments.journal import JournalEntry, new_entry, shard, shards
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


@pytest.fixture
def journal(client: "DynamoDBClient") -> Iterator[DynamoJournal]:
    """With the index that is its work list."""
    name = f"table-{uuid4().hex}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in ("payment_id", "open", "accepted_at")
        ],
        KeySchema=[{"AttributeName": "payment_id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "open", "KeyType": "HASH"},
                    {"AttributeName": "accepted_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    yield DynamoJournal(client, name)
    client.delete_table(TableName=name)


def filled(journal: DynamoJournal, count: int) -> list[JournalEntry]:
    """Each a minute later than the one before; two at the same time now and then."""
    return [
        journal.put(
            new_entry(replace(payment(str(number)), accepted_at=NOW + timedelta(minutes=number // 2)), 1)
        )
        for number in range(count)
    ]


def listed(journal: DynamoJournal, of: str, limit: int, since: datetime | None = None) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while True:
        page = journal.page(of, after, limit, since=since)
        assert len(page.ids) <= limit
        found += page.ids
        after = page.after
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_work_list_names_what_is_open_by_shard_oldest_first(journal: DynamoJournal, limit: int) -> None:
    entries = {entry.payment_id: entry for entry in filled(journal, 60)}
    settled = next(iter(entries))
    journal.settle(settled)
    journal.settle(settled)
    everything: list[str] = []
    for of in shards():
        found = listed(journal, of, limit)
        assert all(shard(payment_id) == of for payment_id in found)
        times = [entries[payment_id].accepted_at for payment_id in found]
        assert times == sorted(times)
        everything += found
        since = NOW + timedelta(minutes=20)
        assert set(listed(journal, of, limit, since)) == {
            payment_id for payment_id in found if entries[payment_id].accepted_at >= since
        }
        backlog = journal.backlog(of, 2)
        assert (backlog.count, backlog.oldest) == (min(2, len(found)), times[0] if times else None)
    assert sorted(everything) == sorted(entries.keys() - {settled})


def test_entries_are_read_in_numbers_and_scanned_in_pages(journal: DynamoJournal) -> None:
    entries = {entry.payment_id: entry for entry in filled(journal, 130)}
    read = journal.read([*entries, "pay_x"])
    assert {entry.payment_id: entry for entry in read.entries} == entries
    scanned: list[JournalEntry] = []
    for segment in range(3):
        after: str | None = None
        while True:
            page = journal.scan(after, 20, segment=segment, of=3)
            scanned += page.entries
            after = page.after
            if after is None:
                break
    assert len(scanned) == len(entries)
    assert set(scanned) == set(entries.values())


def test_only_settled_entries_are_stripped_and_keep_their_key(journal: DynamoJournal) -> None:
    (entry,) = filled(journal, 1)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        journal.strip(entry.payment_id)
    assert journal.find(entry.payment_id) == entry
    journal.settle(entry.payment_id)
    journal.strip(entry.payment_id)
    journal.strip(entry.payment_id)
    stripped = replace(entry, open=None, request=None)
    assert journal.find(entry.payment_id) == stripped
    assert journal.put(entry) == stripped


def test_what_is_not_there_is_neither_settled_nor_stripped_into_being(journal: DynamoJournal) -> None:
    for act in (journal.settle, journal.strip):
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            act("pay_x")
    assert journal.find("pay_x") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"request": {"S": "not JSON"}},
        {"request": {"S": "[]"}},
        {"request": {"N": "1"}},
        {"accepted_at": {"S": "soon"}},
        {"accepted_at": {"S": "2026-11-22T10:15:30.123"}},
        {"fingerprint": {"N": "1"}},
        {"epoch": {"S": "x"}},
    ],
    ids=str,
)
def test_an_entry_that_makes_no_sense_stands_apart(
    client: "DynamoDBClient", journal: DynamoJournal, damage: dict[str, Any]
) -> None:
    good, bad = filled(journal, 2)
    client.put_item(TableName=journal._table, Item=journal_item(bad) | damage)
    for found in (journal.read([good.payment_id, bad.payment_id]), journal.scan(None, 10, segment=0, of=1)):
        assert found.entries == (good,)
        assert [each.payment_id for each in found.unreadable] == [bad.payment_id]


@pytest.mark.parametrize("often", [1, 5])
def test_keys_left_unprocessed_are_asked_for_again_as_long_as_some_come(often: int) -> None:
    """DynamoDB answers a batch in part when it is throttled, or larger than 16 MB."""
    entries = [new_entry(payment(str(number)), 1) for number in range(often + 1)]

    class OneByOne:
        calls = 0

        def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803 - the service's name
            self.calls += 1
            keys = RequestItems["table"]["Keys"]
            wanted = next(each for each in entries if each.payment_id == keys[0]["payment_id"]["S"])
            rest = {"table": {"Keys": keys[1:], "ConsistentRead": True}} if keys[1:] else {}
            return {"Responses": {"table": [journal_item(wanted)]}, "UnprocessedKeys": rest}

    client: Any = OneByOne()
    read = DynamoJournal(client, "table").read([each.payment_id for each in entries])
    assert set(read.entries) == set(entries)
    assert client.calls == often + 1


@keyed("id")
def test_a_bookmark_changes_only_from_what_its_writer_has_read(client: "DynamoDBClient", table: str) -> None:
    progress = DynamoProgress(client, table)
    assert progress.read("audit") is None
    assert progress.write("audit", {"after": None, "count": 1}, None)
    first = progress.read("audit")
    assert first == {"after": None, "count": 1, "version": 1}
    assert not progress.write("audit", {"count": 9}, None)
    assert progress.write("audit", {"count": 2}, first)
    assert not progress.write("audit", {"count": 3}, first)
    assert progress.read("audit") == {"count": 2, "version": 2}
    assert progress.read("other") is None


@keyed("id")
def test_a_bookmark_whose_writing_got_no_answer_stands(client: "DynamoDBClient", table: str) -> None:
    lossy: Any = _LosesAnswers(client)
    progress = DynamoProgress(lossy, table)
    assert progress.write("audit", {"count": 1}, None)
    assert progress.write("audit", {"count": 2}, progress.read("audit"))
    assert progress.read("audit") == {"count": 2, "version": 2}


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
def test_an_epoch_is_opened_by_one_of_two_and_only_after_the_one_before(
    client: "DynamoDBClient", table: str
) -> None:
    control = DynamoControl(client, table)
    control.create(first_record("us-east-1", NOW))
    assert control.fence(1, "us-east-2", NOW, "drill")
    assert not control.fence(1, "us-east-1", NOW, "the other way")
    assert control.read() == ControlRecord(2, "us-east-2", Phase.FENCING, NOW, "drill")


@keyed("id")
def test_a_phase_is_written_only_as_long_as_the_record_is_as_it_was_found(
    client: "DynamoDBClient", table: str
) -> None:
    control = DynamoControl(client, table)
    control.create(first_record("us-east-1", NOW))
    control.fence(1, "us-east-2", NOW, "drill")
    found = control.read()
    assert control.advance(found, Phase.RECOVERING, NOW)
    assert not control.advance(found, Phase.RECOVERING, NOW)
    recovering = control.read()
    control.fence(2, "us-east-1", NOW, "the other way")
    assert not control.advance(recovering, Phase.STEADY, NOW)
    assert control.read() == ControlRecord(3, "us-east-1", Phase.FENCING, NOW, "the other way")


@keyed("id")
def test_a_record_that_is_not_there_is_not_opened(client: "DynamoDBClient", table: str) -> None:
    control = DynamoControl(client, table)
    assert not control.fence(1, "us-east-2", NOW, "drill")
    with pytest.raises(Unavailable):
        control.read()


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
