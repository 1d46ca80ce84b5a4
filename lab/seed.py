"""A merchant with two accounts to try the lab with, put into the directory as `python -m ops` puts one."""

import json
import secrets
import time
from dataclasses import asdict, dataclass

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.aws import code
from adapters.directory import DynamoDirectory
from lab import environment, outages
from lab.certificates import write_private
from lab.plan import LabPlan
from payments.model import Account, Standing
from payments.model import Merchant as StoredMerchant
from payments.sessions import secret_hash

MERCHANT_ID = "demo"
ACCOUNT_IDS = ("demo-debtor", "demo-creditor")
_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Merchant:
    """The key is known to whoever created the merchant and to nobody else; the directory has its hash."""

    id: str
    key: str


def known_merchants(plan: LabPlan) -> tuple[Merchant, ...]:
    """The merchants this lab created and may therefore show."""
    try:
        return tuple(Merchant(**value) for value in json.loads(plan.merchants_file.read_text()))
    except FileNotFoundError:
        return ()


def keep(plan: LabPlan, merchant: Merchant) -> Merchant:
    """Whichever is kept: of several programs that create it at once, the first is right."""
    scratch = plan.merchants_file.with_suffix(f".{secrets.token_hex(8)}")
    write_private(scratch, json.dumps([asdict(merchant)]).encode())
    try:
        plan.merchants_file.hardlink_to(scratch)
    except FileExistsError:
        return next(known for known in known_merchants(plan) if known.id == merchant.id)
    finally:
        scratch.unlink()
    return merchant


def ensure_demo_merchant(plan: LabPlan, table: str) -> Merchant | None:
    """Creates it once, with its accounts; None while there is no directory, or another's merchant in it.

    Raises Unavailable when the directory does not answer.
    """
    directory = _directory(plan, table)
    try:
        stored = directory.merchant(MERCHANT_ID)
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return None
        raise
    # After the directory was read: what somebody else put there by then is in the file.
    merchant = next((known for known in known_merchants(plan) if known.id == MERCHANT_ID), None)
    if merchant is None and stored is None:
        # Before it is used: the directory cannot tell it any more.
        merchant = keep(plan, Merchant(MERCHANT_ID, secrets.token_urlsafe(32)))
    if merchant is None or (stored is not None and stored.key_hash != secret_hash(merchant.key)):
        return None
    directory.create_merchant(
        StoredMerchant(MERCHANT_ID, "Demonstration merchant", Standing.OPEN, secret_hash(merchant.key))
    )
    for account_id in ACCOUNT_IDS:
        directory.open_account(Account(account_id, _CURRENCY, Standing.OPEN, MERCHANT_ID))
    return merchant


def _directory(plan: LabPlan, table: str) -> DynamoDirectory:
    session = boto3.session.Session(**environment.credentials(plan))
    client = session.client(
        "dynamodb",
        region_name=_within_reach(plan),
        endpoint_url=plan.gateway_url,
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2}),
    )
    return DynamoDirectory(client, table, time.monotonic)


def _within_reach(plan: LabPlan) -> str:
    """A region whose directory is served, which any is as well as another."""
    now = outages.read(plan.outages_file)
    served = [one.name for one in plan.data_regions if one.name not in now.down | now.cut]
    return (served or [plan.region_at("primary").name])[0]
