"""The demonstration merchant: created once the directory table exists, and only once."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3.session
import pytest

from lab import seed
from lab.plan import LabPlan

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


def test_the_merchant_keeps_its_key_and_the_table_has_its_hash(
    lab: LabPlan, aws: boto3.session.Session, table: str
) -> None:
    merchant = seed.ensure_demo_merchant(lab, table)
    assert merchant is not None
    assert seed.ensure_demo_merchant(lab, table) == merchant
    client = aws.client("dynamodb", endpoint_url=lab.aws_endpoint_url)
    items = {item["id"]["S"]: item for item in client.scan(TableName=table)["Items"]}
    assert items.keys() == {"merchant#demo", "account#demo-debtor", "account#demo-creditor"}
    stored = items["merchant#demo"]
    assert stored["key_hash"] == {"S": hashlib.sha256(merchant.key.encode()).hexdigest()}
    assert stored["status"] == items["account#demo-debtor"]["status"] == {"S": "open"}
    assert items["account#demo-creditor"]["currency"] == {"S": "USD"}


def test_status_shows_it(lab: LabPlan, table: str) -> None:
    command = [sys.executable, "-m", "lab", "status", "--json", "--directory", str(lab.directory)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    (merchant,) = seed.known_merchants(lab)
    assert json.loads(done.stdout)["merchants"] == [{"id": merchant.id, "key": merchant.key}]
