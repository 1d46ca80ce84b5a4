"""The API over its real adapters: tables in an embedded DynamoDB, the ledger in PostgreSQL."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from adapters.control import DynamoControl
from adapters.directory import DynamoDirectory
from adapters.forwarding import PeerFunction
from adapters.journal import DynamoJournal
from adapters.ledger import PostgresLedger
from adapters.schema import Roles, migrate
from adapters.sessions import DynamoSessions
from failover.clock import SystemClock
from failover.control import first_record
from handlers.forwarding import Forwarding
from handlers.routes import respond
from handlers.wiring import Service
from lab.postgres import Server
from payments.lease import Leases
from payments.model import Account, Merchant, Standing
from payments.sessions import secret_hash
from tests.unit.adapters.conftest import MASTER, EmbeddedAws, database
from tests.unit.adapters.fakes import FakeSecretsManager

BODY = '{"amount": 1250, "currency": "USD", "debtor": "alice", "creditor": "bob", "reference": "Invoice 7"}'
TABLES = {"sessions": "token_hash", "journal": "payment_id", "control": "id", "directory": "id"}


class Api:
    def __init__(self, service: Service, calls: list[str], tables: dict[str, str]) -> None:
        self.service = service
        self.calls = calls
        self.tables = tables

    def __call__(self, method: str, resource: str, headers: dict[str, str], **more: Any) -> tuple[int, Any]:
        event = {"httpMethod": method, "resource": resource, "headers": headers, **more}
        answer = respond(event, self.service).proxied()
        assert isinstance(answer["statusCode"], int)
        return answer["statusCode"], json.loads(str(answer["body"]))


@pytest.fixture
def api(embedded_aws: EmbeddedAws, server: Server) -> Iterator[Api]:
    client = embedded_aws.dynamodb()
    calls: list[str] = []
    tables = {table: f"{table}-{uuid4().hex}" for table in TABLES}
    for table, key in TABLES.items():
        client.create_table(
            TableName=tables[table],
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        )
    manager = FakeSecretsManager(
        ledger_master=MASTER.password, ledger_migrator="m-1", ledger_application="a-9"
    )
    migrate(
        database(server), manager.secrets(), Roles("ledger_master", "ledger_migrator", "ledger_application")
    )
    server.set_password("ledger_application", "a-9")
    control = DynamoControl(client, tables["control"])
    control.create(first_record("us-east-1", datetime.now(UTC)))
    directory = DynamoDirectory(client, tables["directory"], time.monotonic)
    directory.create_merchant(Merchant("shop", "The Shop", Standing.OPEN, secret_hash("key")))
    for account in ("alice", "bob"):
        directory.open_account(Account(account, "USD", Standing.OPEN))
    client.meta.events.register(
        "before-parameter-build.dynamodb.*", lambda model, **_: calls.append(model.name)
    )
    ledger = PostgresLedger(database(server), manager.secrets(), "ledger_application", time.monotonic)
    clock = SystemClock()
    service = Service(
        DynamoSessions(client, tables["sessions"]),
        directory,
        Leases(control, "us-east-1", clock),
        DynamoJournal(client, tables["journal"]),
        ledger,
        clock,
        Forwarding("us-east-1", PeerFunction("us-east-2", "unused", time.monotonic), clock),
    )
    yield Api(service, calls, tables)
    ledger.close()
    for name in tables.values():
        client.delete_table(TableName=name)


def test_a_payment_costs_one_session_read_one_journal_write_and_one_ledger_statement(api: Api) -> None:
    basic = base64.b64encode(b"shop:key").decode()
    status, session = api("POST", "/sessions", {"Authorization": f"Basic {basic}"})
    assert status == 201
    headers = {
        "Authorization": f"Bearer {session['session_token']}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"first-{uuid4()}",
    }
    status, first = api("POST", "/payments", headers, body=BODY)
    assert (status, first["status"]) == (201, "posted")
    assert api("POST", "/payments", headers, body=BODY) == (201, first)

    api.calls.clear()
    warm = headers | {"Idempotency-Key": f"second-{uuid4()}"}
    assert api("POST", "/payments", warm, body=BODY)[0] == 201
    assert api.calls == ["GetItem", "PutItem"]

    reading = {"pathParameters": {"payment_id": first["payment_id"]}}
    assert api("GET", "/payments/{payment_id}", headers, **reading) == (200, first)
    assert api("GET", "/health", {}) == (200, {"status": "ok"})
    status, problem = api("POST", "/payments", headers, body=BODY.replace("1250", "1251"))
    assert (status, problem["type"]) == (422, "urn:payments:problem:idempotency-key-reused")
