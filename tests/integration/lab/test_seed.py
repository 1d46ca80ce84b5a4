"""The demonstration merchant: created once the directory table exists, and only once."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3.session
import pytest

from adapters.directory import DynamoDirectory
from lab import seed
from lab.plan import LabPlan
from ops import directory
from payments.model import Account, Standing
from payments.sessions import secret_hash

pytestmark = pytest.mark.lab
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def table(lab: LabPlan, aws: boto3.session.Session) -> Iterator[str]:
    client = aws.client("dynamodb", endpoint_url=lab.aws_endpoint_url)
    client.create_table(
        TableName=lab.directory_table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield lab.directory_table
    client.delete_table(TableName=lab.directory_table)
    lab.merchants_file.unlink(missing_ok=True)


def test_without_the_table_there_is_no_merchant(lab: LabPlan) -> None:
    assert seed.ensure_demo_merchant(lab, "payments-directory-lab") is None
    assert seed.known_merchants(lab) == ()


@pytest.fixture
def known(aws: boto3.session.Session, lab: LabPlan, table: str) -> DynamoDirectory:
    client = aws.client("dynamodb", endpoint_url=lab.aws_endpoint_url)
    return DynamoDirectory(client, table, time.monotonic)


def test_the_merchant_keeps_its_key_and_the_directory_has_its_hash(
    lab: LabPlan, table: str, known: DynamoDirectory
) -> None:
    shown = seed.ensure_demo_merchant(lab, table)
    assert shown is not None
    assert seed.ensure_demo_merchant(lab, table) == shown
    assert seed.known_merchants(lab) == (shown,)
    (merchant,) = known.merchants()
    assert (merchant.merchant_id, merchant.status) == ("demo", Standing.OPEN)
    assert merchant.key_hash == secret_hash(shown.key)
    assert sorted(known.accounts(), key=lambda account: account.account_id) == [
        Account("demo-creditor", "USD", Standing.OPEN, "demo"),
        Account("demo-debtor", "USD", Standing.OPEN, "demo"),
    ]


def test_what_was_begun_is_finished(lab: LabPlan, table: str, known: DynamoDirectory) -> None:
    """A key is kept before it is used, so that no crash makes a merchant nobody can be."""
    kept = seed.Merchant(seed.MERCHANT_ID, "kept-before-the-crash")
    seed.keep(lab, kept)
    assert seed.ensure_demo_merchant(lab, table) == kept
    assert seed.ensure_demo_merchant(lab, table) == kept
    assert [merchant.key_hash for merchant in known.merchants()] == [secret_hash(kept.key)]


def test_what_an_operator_made_is_left_as_it_is(lab: LabPlan, table: str, known: DynamoDirectory) -> None:
    made = directory.create_merchant(known, seed.MERCHANT_ID, "Mine", lambda: "an operator's key")
    assert seed.ensure_demo_merchant(lab, table) is None
    assert seed.known_merchants(lab) == ()
    (merchant,) = known.merchants()
    assert (merchant.name, merchant.key_hash) == ("Mine", secret_hash(made["key"]))
    assert not list(known.accounts())


def test_status_shows_it(lab: LabPlan, table: str) -> None:
    assert seed.known_merchants(lab) == ()
    command = [sys.executable, "-m", "lab", "status", "--json", "--directory", str(lab.directory)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    (merchant,) = seed.known_merchants(lab)
    assert json.loads(done.stdout)["merchants"] == [{"id": merchant.id, "key": merchant.key}]


def test_several_at_once_keep_one_key(lab: LabPlan, table: str, known: DynamoDirectory) -> None:
    with ThreadPoolExecutor(8) as threads:
        shown = set(threads.map(lambda _: seed.ensure_demo_merchant(lab, table), range(8)))
    (merchant,) = shown
    assert seed.known_merchants(lab) == (merchant,)
    assert merchant is not None
    assert known.merchant(seed.MERCHANT_ID).key_hash == secret_hash(merchant.key)  # type: ignore[union-attr] # is there
    assert not list(lab.directory.glob("merchants.*[!n]"))
