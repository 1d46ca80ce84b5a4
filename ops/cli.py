"""The command line: options, output and exit codes (0 done, 1 it failed, 2 bad usage or configuration)."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import IMPATIENT, code
from adapters.directory import DynamoDirectory
from failover.errors import Unavailable
from ops import directory, log, status
from ops.directory import Rejected
from ops.observe import observed
from ops.surroundings import Surroundings
from templates.config import ConfigurationError, Settings, load

FAILED = 1
UNUSABLE = 2
_SETTINGS = "ops.settings"
_REGION = "ops.region"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(no_args_is_help=False)  # bad usage, as any other: help would end with 0
@click.option("--environment", help="The environment; else ENVIRONMENT_SUFFIX, else what the file names.")
@click.option("--config", type=click.Path(path_type=Path), default="deployment.toml", show_default=True)
@click.option("--region", help="The region to ask; either data region will do. Default: the primary.")
@click.pass_context
def commands(context: click.Context, environment: str | None, config: Path, region: str | None) -> None:
    """Operate the payment system, on AWS or wherever AWS_ENDPOINT_URL or the profile points."""
    settings = load(config, environment, os.environ)
    table = settings.names.shared("directory")
    client = boto3.client("dynamodb", region_name=region or settings.regions.primary, config=IMPATIENT)
    context.obj = DynamoDirectory(client, table, time.monotonic)
    context.meta[_SETTINGS] = settings
    context.meta[_REGION] = region or settings.regions.primary


@commands.command("status")
@as_json
@click.pass_context
def show_status(context: click.Context, as_json: bool) -> None:
    """Ask both regions who is active, what is wrong and what is unknown; ends with 0 where nothing is."""
    found = status.report(observed(context.meta[_SETTINGS], Surroundings.of(os.environ)))
    _show(as_json, status.document(found), status.text(found))
    if not found.healthy:
        context.exit(FAILED)


@commands.group(no_args_is_help=False)
def merchants() -> None:
    """Merchants, who may send payments."""


@merchants.command("create")
@click.argument("merchant_id")
@click.option("--name", required=True, help="For people; up to 100 characters.")
@as_json
@click.pass_obj
def create_merchant(known: DynamoDirectory, merchant_id: str, name: str, as_json: bool) -> None:
    """Create a merchant and show its key: only now, it is stored hashed."""
    created = directory.create_merchant(known, merchant_id, name, lambda: secrets.token_urlsafe(32))
    _show(as_json, created, f"merchant {created['id']}\nkey      {created['key']}   (not shown again)")


@merchants.command("rotate-key")
@click.argument("merchant_id")
@as_json
@click.pass_obj
def rotate_key(known: DynamoDirectory, merchant_id: str, as_json: bool) -> None:
    """Replace a merchant's key at once, and show the new one: only now, it is stored hashed.

    Sessions that were opened with the old key end within the hour; closing the merchant ends them at once.
    """
    rotated = directory.rotate_key(known, merchant_id, lambda: secrets.token_urlsafe(32))
    _show(as_json, rotated, f"merchant {rotated['id']}\nkey      {rotated['key']}   (not shown again)")


@merchants.command("close")
@click.argument("merchant_id")
@as_json
@click.pass_obj
def close_merchant(known: DynamoDirectory, merchant_id: str, as_json: bool) -> None:
    """Close a merchant for good: within seconds its key and its sessions are good for nothing."""
    closed = directory.close_merchant(known, merchant_id)
    _show(as_json, closed, f"merchant {closed['id']} is closed")


@merchants.command("list")
@as_json
@click.pass_obj
def list_merchants(known: DynamoDirectory, as_json: bool) -> None:
    """List all merchants."""
    _show_table(as_json, directory.merchants(known))


@commands.group(no_args_is_help=False)
def accounts() -> None:
    """Accounts, which payments debit and credit."""


@accounts.command("open")
@click.argument("account_id")
@click.option("--currency", required=True, help="ISO 4217 code.")
@click.option(
    "--merchant", "merchant_id", help="The only merchant who may debit it; else every merchant may."
)
@as_json
@click.pass_obj
def open_account(
    known: DynamoDirectory, account_id: str, currency: str, merchant_id: str | None, as_json: bool
) -> None:
    """Open an account."""
    opened = directory.open_account(known, account_id, currency, merchant_id)
    _show(as_json, opened, f"account {opened['id']} in {opened['currency']} is open")


@accounts.command("close")
@click.argument("account_id")
@as_json
@click.pass_obj
def close_account(known: DynamoDirectory, account_id: str, as_json: bool) -> None:
    """Close an account for good: within seconds it is refused; payments accepted before are still posted."""
    closed = directory.close_account(known, account_id)
    _show(as_json, closed, f"account {closed['id']} is closed")


@accounts.command("list")
@as_json
@click.pass_obj
def list_accounts(known: DynamoDirectory, as_json: bool) -> None:
    """List all accounts."""
    _show_table(as_json, directory.accounts(known))


@commands.group("log", no_args_is_help=False)
def transaction_log() -> None:
    """The transaction log, which says what was posted."""


@transaction_log.command("verify")
@click.option("--region", help="The region whose copies are read. Default: as before the command.")
@click.option(
    "--from", "start", type=click.IntRange(min=1), default=1, show_default=True, help="The first segment."
)
@as_json
@click.pass_context
def verify_log(context: click.Context, region: str | None, start: int, as_json: bool) -> None:
    """Verify the chain as one region holds it, and name the first broken link."""
    settings: Settings = context.meta[_SETTINGS]
    result = log.verified(settings, region or context.meta[_REGION], start)
    _show(as_json, result.document, result.text)
    if result.broken is not None:
        raise result.broken


def main(arguments: list[str] | None = None) -> None:
    """Errors say where, what, and what to do next; no traceback for what an operator can repair."""
    try:
        ended = commands(args=arguments, prog_name="python -m ops", standalone_mode=False)
        if ended:
            sys.exit(ended)
    except click.ClickException as error:
        error.show()
        sys.exit(UNUSABLE)
    except click.Abort:
        sys.exit(FAILED)
    except ConfigurationError as error:
        _fail(UNUSABLE, str(error))
    except Rejected as error:
        _fail(error.exit_code, str(error))
    except Unavailable as error:
        _fail(FAILED, f"{error}: no answer; whether it was done is unknown: list, then try again")
    except ClientError as error:
        _fail(FAILED, _explained(error))
    except BotoCoreError as error:
        _fail(FAILED, f"AWS: {error}; check the credentials, the profile and AWS_ENDPOINT_URL")


def _explained(error: ClientError) -> str:
    if code(error) == "ResourceNotFoundException":
        return "directory: there is no such table here; deploy first, or check --environment and --region"
    return f"{error.operation_name}: {code(error)}; check what these credentials may do"


def _fail(exit_code: int, message: str) -> None:
    click.echo(message, err=True)
    sys.exit(exit_code)


def _show(as_json: bool, document: Mapping[str, Any], text: str) -> None:
    click.echo(json.dumps(document) if as_json else text)


def _show_table(as_json: bool, rows: Iterable[Mapping[str, Any]]) -> None:
    found = list(rows)
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found:
        click.echo("  ".join(str(value) for value in row.values() if value is not None))
