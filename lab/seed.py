"""A merchant with two accounts to try the lab with, put into the directory table as `python -m ops` would."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError

from lab import environment
from lab.certificates import write_private
from lab.plan import LabPlan

MERCHANT_ID = "demo"
ACCOUNT_IDS = ("demo-debtor", "demo-creditor")
_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Merchant:
    """The key is known to whoever created the merchant and to nobody else; the table has its hash."""

    id: str
    key: str


def known_merchants(plan: LabPlan) -> tuple[Merchant, ...]:
    """The merchants this lab created and may therefore show."""
    try:
        return tuple(Merchant(**value) for value in json.loads(plan.merchants_file.read_text()))
    except FileNotFoundError:
        return ()


def ensure_demo_merchant(plan: LabPlan, table: str) -> Merchant | None:
    """Creates it once, with its accounts; None while the directory table is not deployed."""
    session = boto3.session.Session(**environment.credentials(plan))
    client = session.client(
        "dynamodb",
        region_name=plan.region_at("primary").name,
        endpoint_url=plan.gateway_url,
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2}),
    )
    known = next((merchant for merchant in known_merchants(plan) if merchant.id == MERCHANT_ID), None)
    merchant = known or Merchant(id=MERCHANT_ID, key=secrets.token_urlsafe(32))
    digest = hashlib.sha256(merchant.key.encode()).hexdigest()
    person = {"name": {"S": "Demonstration merchant"}, "key_hash": {"S": digest}, "status": {"S": "open"}}
    belongings = {"currency": {"S": _CURRENCY}, "status": {"S": "open"}, "merchant_id": {"S": MERCHANT_ID}}
    try:
        client.put_item(TableName=table, Item={"id": {"S": f"merchant#{MERCHANT_ID}"}, **person})
        for account in ACCOUNT_IDS:
            client.put_item(TableName=table, Item={"id": {"S": f"account#{account}"}, **belongings})
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    write_private(plan.merchants_file, json.dumps([asdict(merchant)]).encode())
    return merchant
