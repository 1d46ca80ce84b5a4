"""The command line: options, output and exit codes (0 done, 1 it failed, 2 bad usage or configuration)."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import IMPATIENT, code
from adapters.control import DynamoControl
from adapters.directory import DynamoDirectory
from failover.clock import Clock, SystemClock
from failover.errors import Unavailable
from failover.planner import Mode
from ops import (
    cost,
    destroy,
    diff,
    diff_report,
    directory,
    failover,
    log,
    preflight,
    readiness,
    release,
    status,
    upgrade,
    upgrade_world,
)
from ops.destroy_world import AwsWorld
from ops.directory import Rejected
from ops.drill.command import drill
from ops.failover import Wanted
from ops.observe import observed
from ops.preflight_questions import preflight_checks
from ops.region_switch import RegionSwitch, switched
from ops.surroundings import Surroundings
from templates.config import ConfigurationError, Settings, load

FAILED = 1
UNUSABLE = 2
_SETTINGS = "ops.settings"
_REGION = "ops.region"
_LONGEST_REASON = 500
Begin = Callable[[Clock, Callable[[str], None]], int]

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


@commands.command("release")
@click.option("--dist", type=click.Path(path_type=Path, file_okay=False), default="dist", show_default=True)
@click.option(
    "--only", metavar="REGION", help="To this region alone, without root: the other one does not answer."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@as_json
@click.pass_context
def roll_out(
    context: click.Context, dist: Path, only: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Release what `python build.py` wrote, the standby first, whichever region that is."""
    settings, around = context.meta[_SETTINGS], Surroundings.of(os.environ)
    release.checked_build(settings, dist)
    gone = release.silent(settings, around)
    now = observed(settings, around)
    if (refused := release.objection(settings, now, only, gone)) is not None:
        raise refused
    planned, carry_out = release.planned(settings, around, now, dist, only)
    click.echo(planned.text, err=as_json)
    if dry_run or planned.nothing:
        _show(as_json, {**planned.document, "changed": False}, "nothing was done")
        return
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    changed = carry_out(lambda said: click.echo(said, err=as_json))
    _show(as_json, {**planned.document, "changed": changed}, "released" if changed else "nothing changed")


@commands.command("readiness")
@click.option("--to", "target", metavar="REGION", help="The region to fail over to. Default: the standby.")
@as_json
@click.pass_context
def show_readiness(context: click.Context, target: str | None, as_json: bool) -> None:
    """Say whether a failover would succeed now, and why not; ends with 0 where it would."""
    settings, around = context.meta[_SETTINGS], Surroundings.of(os.environ)
    wanted = readiness.named(settings, target)
    now = observed(settings, around)
    found = readiness.report(readiness.seen(settings, around, now, wanted or readiness.standby(now)))
    _show(as_json, readiness.document(found), readiness.text(found))
    if not found.ready:
        context.exit(FAILED)


mode = click.option(
    "--mode",
    type=click.Choice([each.value for each in Mode]),
    default=Mode.GRACEFUL.value,
    show_default=True,
    help="graceful needs both regions; ungraceful goes without the one that is active now.",
)
reason = click.option("--reason", default="no reason given", help="Kept in the control record.")
yes = click.option("--yes", is_flag=True, help="Ask nothing.")
direct = click.option(
    "--direct", is_flag=True, help="From this machine, step by step, without Region switch."
)


@commands.command("failover")
@click.option("--to", "target", required=True, metavar="REGION", help="The region that is to be active.")
@direct
@mode
@reason
@click.option("--accept-data-loss", is_flag=True, help="Of rows in the ledger; see what it says without.")
@yes
@as_json
@click.pass_context
def fail_over(
    context: click.Context,
    target: str,
    direct: bool,
    mode: str,
    reason: str,
    accept_data_loss: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a region the active one, or go on with what was begun."""
    accepted = accept_data_loss and Mode(mode) is Mode.UNGRACEFUL
    wanted = Wanted(target=target, mode=Mode(mode), reason=reason, accept_data_loss=accepted)
    _take_over(context, wanted, direct=direct, yes=yes, as_json=as_json)


@commands.command("failback")
@direct
@reason
@yes
@as_json
@click.pass_context
def fail_back(context: click.Context, direct: bool, reason: str, yes: bool, as_json: bool) -> None:
    """Make the primary region the active one again, gracefully, once its copy of the ledger is attached."""
    target = context.meta[_SETTINGS].regions.primary
    wanted = Wanted(target=target, mode=Mode.GRACEFUL, reason=reason, accept_data_loss=False)
    _take_over(context, wanted, direct=direct, yes=yes, as_json=as_json)


def _take_over(context: click.Context, wanted: Wanted, *, direct: bool, yes: bool, as_json: bool) -> None:
    if len(wanted.reason) > _LONGEST_REASON:
        raise click.BadParameter(f"has {len(wanted.reason)} characters; use up to {_LONGEST_REASON}")
    settings: Settings = context.meta[_SETTINGS]
    around, clock = Surroundings.of(os.environ), SystemClock()
    seen = observed(settings, around)
    if (refused := failover.objection(seen, wanted)) is not None:
        raise refused
    if failover.finished(seen, wanted.target):
        done = {"active": wanted.target, "changed": False}
        _show(as_json, done, f"{wanted.target} is active, steady and the writer: nothing to do")
        return
    begin = _directly(settings, around, wanted) if direct else _by_region_switch(settings, around, wanted)
    click.echo(failover.announced(seen, wanted), err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    epoch = begin(clock, lambda said: click.echo(said, err=as_json))
    done = {"active": wanted.target, "changed": True, "epoch": epoch}
    _show(as_json, done, f"{wanted.target} is active under epoch {epoch}, steady and the writer")


def _directly(settings: Settings, around: Surroundings, wanted: Wanted) -> Begin:
    world = failover.regional_world(settings, around, wanted, SystemClock())
    return lambda clock, tell: failover.carried_out(wanted, world, clock, tell)


def _by_region_switch(settings: Settings, around: Surroundings, wanted: Wanted) -> Begin:
    client = around.client("arc-region-switch", wanted.target, failover.BRIEF)
    switch = RegionSwitch(client, settings.names.plan)
    dynamodb = around.client("dynamodb", wanted.target, failover.BRIEF)
    record = DynamoControl(dynamodb, settings.names.shared("control"))
    switch.find()  # before anybody is asked
    return lambda clock, tell: switched(wanted, switch, record.read, clock, tell)


dist = click.option(
    "--dist", type=click.Path(path_type=Path), default="dist", show_default=True, help="What was built."
)


@commands.command("diff")
@dist
@click.option("--exit-code", is_flag=True, help="End with 1 where anything differs.")
@as_json
@click.pass_context
def show_difference(context: click.Context, dist: Path, exit_code: bool, as_json: bool) -> None:
    """Say what deploying the build would change, stack by stack; ends with 0 where that does no harm.

    With 1 where something that holds data would be lost, left behind or interrupted, and where somebody did
    not answer.
    """
    found = diff.difference(context.meta[_SETTINGS], Surroundings.of(os.environ), dist)
    _show(as_json, diff_report.document(found), diff_report.text(found))
    if found.unknown or found.grave or (exit_code and found.differs):
        context.exit(FAILED)


@commands.command("preflight")
@dist
@as_json
@click.pass_context
def check_before(context: click.Context, dist: Path, as_json: bool) -> None:
    """Ask what has to be so before a first deployment and before a drill; ends with 0 where all of it is."""
    checks = preflight_checks(context.meta[_SETTINGS], Surroundings.of(os.environ), dist)
    _show(as_json, preflight.document(checks), preflight.text(checks))
    if not preflight.ready(checks):
        context.exit(FAILED)


@commands.command("cost")
@dist
@click.option("--payments-per-second", type=click.FloatRange(min=0), default=0, show_default=True)
@click.option(
    "--gb", type=click.FloatRange(min=0), default=0, show_default=True, help="What the ledger holds, in GB."
)
@as_json
@click.pass_context
def estimate_cost(
    context: click.Context, dist: Path, payments_per_second: float, gb: float, as_json: bool
) -> None:
    """Estimate what the build would cost a month, by list prices, and which part of it is the standby's."""
    settings: Settings = context.meta[_SETTINGS]
    use = cost.Use(payments_per_second=payments_per_second, stored_gb=gb)
    regions = settings.regions
    lines = cost.estimated(cost.stacks_of(settings, dist), regions.primary, regions.secondary, use)
    _show(as_json, cost.document(lines), cost.text(lines))


@commands.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and end.")
@yes
@as_json
@click.pass_context
def upgrade_engine(context: click.Context, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Bring the ledger to the minor version that deployment.toml names: the copy first, then the writer.

    Deploy the build of that configuration afterwards, so that the stacks say what runs.
    """
    settings: Settings = context.meta[_SETTINGS]
    version = settings.database.engine_version
    world = upgrade_world.AwsWorld(settings, Surroundings.of(os.environ))
    seen = world.seen()
    if (refused := upgrade.objection(seen, version)) is not None:
        raise refused
    behind = [cluster.region for cluster in seen.clusters if not cluster.runs(version)]
    if behind:
        click.echo(upgrade.announced(seen, version), err=True)
    if behind and not dry_run:
        if not yes:
            click.confirm("Go on?", abort=True, err=True)
        told = partial(click.echo, err=as_json)
        seen = upgrade.upgraded(world, version, SystemClock(), told)
    changed = [] if dry_run else behind
    if not (dry_run and behind and not as_json):
        _show(as_json, upgrade.document(seen, version, changed), upgrade.text(seen, version, changed))


@commands.command("destroy")
@dist
@click.option("--yes", "typed", metavar="NAME", help="The environment's name, instead of typing it.")
@click.option("--lift-protection", "lift", is_flag=True, help="Delete what is protected, too.")
@click.option("--zone", is_flag=True, help="Delete the hosted zone, too, to which the domain is delegated.")
@as_json
@click.pass_context
def tear_down(
    context: click.Context, dist: Path, typed: str | None, lift: bool, zone: bool, as_json: bool
) -> None:
    """Delete a test environment in the order that works, with everything in it; or go on with that.

    Nothing of it comes back. It is refused where deployment.toml protects the environment.
    """
    settings: Settings = context.meta[_SETTINGS]
    if (refused := destroy.refusal(settings)) is not None:
        raise refused
    world = AwsWorld(settings, Surroundings.of(os.environ), dist)
    if (refused := destroy.objection(world.remains(), lift=lift)) is not None:
        raise refused
    if typed is None:
        typed = click.prompt("The environment and its payments will be gone. Its name", err=True)
    if typed != settings.environment:
        raise click.BadParameter(f"{typed} is not the environment's name", param_hint="--yes")
    destroy.torn_down(world, SystemClock(), lambda said: click.echo(said, err=as_json), zone=zone)
    left = world.left(zone=zone)
    _show(as_json, destroy.document(settings.environment, left), destroy.text(settings.environment, left))


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


commands.add_command(drill)


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
