"""`python -m lab`: up, down, env, status, and the switches."""

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from failover.errors import Unavailable
from lab import environment, lifecycle, seed, status
from lab.addresses import PortTakenError
from lab.control import Control, ControlError
from lab.databases import LONGEST_DELAY
from lab.plan import DEFAULT_DIRECTORY, LabPlan, plan_lab
from templates.config import ConfigurationError, load

_CONFIGURATION = Path(__file__).resolve().parent.parent / "deployment.toml"
_ENVIRONMENT = "lab"
_NO_LAB = "lab: there is no lab running here\nRun `python -m lab up` first."

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    help="Where the lab keeps what you may want to read (default: .lab of the repository).",
)


# Without a command: bad usage, as any other. Help would end with 0.
@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Two regions on one machine: the emitted templates, run for real, with no AWS account."""


@main.command()
@_directory
@click.option(
    "--base-port", type=click.IntRange(1024, 65_000), help="First of some consecutive ports to use."
)
@click.option(
    "--time-scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="What AWS's timers are multiplied by: health checks, TTL, schedules, alarms; no lease, no timeout.",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), default=_CONFIGURATION)
def up(directory: Path, base_port: int | None, time_scale: float, config: Path) -> None:
    """Start the lab; it stays up until `down`."""
    with _explained(), lifecycle.only_one(directory):
        if (running := lifecycle.running_plan(directory)) is not None:
            scale = "" if running.time_scale == 1 else f", at time scale {running.time_scale:g}"
            click.echo(f"The lab is up already{scale}.")
            return
        plan = _plan(directory, config, base_port, time_scale)
        if lifecycle.tear_down(directory):
            click.echo("Removed what an earlier lab left.", err=True)
        began = time.monotonic()
        console = Console(stderr=True, highlight=False)
        with console.status("Starting the lab"):
            lifecycle.bring_up(
                plan, lambda stage, seconds: console.print(f"  [green]✓[/] {stage} [dim]{seconds:.1f} s[/]")
            )
        click.echo(f"The lab is up after {time.monotonic() - began:.1f} s.")
        where = "" if directory == DEFAULT_DIRECTORY else f" --directory {shlex.quote(str(directory))}"
        click.echo(f'Point a shell at it: eval "$(python -m lab env{where})"')


@main.command()
@_directory
def down(directory: Path) -> None:
    """Stop the lab and remove everything but its logs."""
    with _explained(), lifecycle.only_one(directory, make=False):
        ended = lifecycle.tear_down(directory)
        click.echo("The lab is down." if ended else "The lab is down already.")


@main.command()
@_directory
def env(directory: Path) -> None:
    """Print shell commands that point a shell at the lab and at nothing else."""
    click.echo(environment.shell(_running(directory)))


@main.command("status")
@_directory
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_status(directory: Path, as_json: bool) -> None:
    """Say where everything is."""
    plan = _running(directory)
    with _explained():
        try:
            seed.ensure_demo_merchant(plan, plan.directory_table)
        except (BotoCoreError, ClientError, Unavailable) as error:
            click.echo(f"lab: no demonstration merchant: {error}", err=True)
        described = status.describe(plan)
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    dns = "{host}:{port}".format(**described["dns"])
    ways = (f"CA {described['ca_file']}", f"AWS {described['aws_endpoint_url']}", f"DNS {dns}")
    click.echo("   ".join((described["domain"], *ways)))
    for name, region in described["regions"].items():
        click.echo(f"{name}  {region['state']}\n  {region['api_base_url']}\n  {region['postgres_dsn']}")
    for merchant in described["merchants"]:
        click.echo(f"merchant {merchant['id']}  key {merchant['key']}")


@main.command()
@click.argument("region")
@_directory
@click.option("--ledger", is_flag=True, help="Only its PostgreSQL, as by a crash.")
@click.option("--functions", metavar="COMPONENT", help="Only what runs the functions of this name.")
def kill(region: str, directory: Path, ledger: bool, functions: str | None) -> None:
    """A region dies: functions, database, endpoints and front door, all at once; its disks stay."""
    with _switched(directory, region) as control:
        if ledger:
            control.stop_database(region, crash=True)
            click.echo(f"The database of {region} is down.")
        if functions:
            killed = [*control.kill_functions(region, functions)]
            killed += control.kill_functions(region, f"*-{functions}-*")
            click.echo(f"Killed {', '.join(killed)}." if killed else "No function was killed.")
        if ledger or functions:
            return
        changed = control.kill_region(region)
        click.echo(f"{region} is down." if changed else f"{region} is down already.")


@main.command()
@click.argument("region")
@_directory
def restore(region: str, directory: Path) -> None:
    """A region that died, or its database, comes back as it was."""
    with _switched(directory, region) as control:
        changed = control.restore_region(region)
        click.echo(f"{region} is up again." if changed else f"{region} is not down.")


@main.command()
@click.argument("region")
@_directory
def partition(region: str, directory: Path) -> None:
    """Cut a region off from the other two; clients on the internet still reach it."""
    with _switched(directory, region) as control:
        changed = control.partition_region(region)
        click.echo(f"{region} is cut off." if changed else f"{region} is cut off already.")


@main.command()
@click.argument("region")
@click.argument("seconds", type=click.FloatRange(0, LONGEST_DELAY))
@_directory
def delay(region: str, seconds: float, directory: Path) -> None:
    """What is sent to a region's copy of the ledger arrives so many seconds late."""
    with _switched(directory, region) as control:
        control.delay_replication(region, seconds)
        click.echo(f"What is sent to the database of {region} arrives {seconds:g} s late.")


@main.command()
@click.argument("region")
@_directory
def freeze(region: str, directory: Path) -> None:
    """A region's functions and its database stand still, with their connections open."""
    with _switched(directory, region) as control:
        changed = control.freeze_region(region)
        click.echo(f"{region} stands still." if changed else f"{region} stands still already.")


@main.command()
@_directory
def heal(directory: Path) -> None:
    """Every partition, delay and freeze ends; a dead region stays dead."""
    with _switched(directory) as control:
        changed = control.heal()
        click.echo("Partitions, delays and freezes have ended." if changed else "There was nothing to heal.")


@contextmanager
def _switched(directory: Path, *regions: str) -> Iterator[Control]:
    plan = _running(directory)
    for region in regions:
        if region not in plan.regions:
            _fail(f"lab: there is no region {region}\nSay one of {', '.join(plan.regions)}.", code=2)
    with _explained():
        yield Control(plan.control_socket)


def _plan(directory: Path, config: Path, base_port: int | None, time_scale: float) -> LabPlan:
    settings = load(config, _ENVIRONMENT, os.environ)
    regions = {
        "primary": settings.regions.primary,
        "secondary": settings.regions.secondary,
        "witness": settings.regions.witness,
    }
    return plan_lab(
        directory=directory,
        regions=regions,
        domain=settings.dns.domain,
        base_port=base_port,
        database=settings.database.name,
        directory_table=settings.names.shared("directory"),
        time_scale=time_scale,
    )


def _running(directory: Path) -> LabPlan:
    plan = lifecycle.running_plan(directory)
    if plan is None:
        _fail(_NO_LAB, code=1)
    return plan


@contextmanager
def _explained() -> Iterator[None]:
    """What an operator can fix is said in words; anything else keeps its traceback."""
    try:
        yield
    except PortTakenError as error:
        _fail(f"lab: {error}\nEnd that process, or choose other ports with --base-port.", code=2)
    except ConfigurationError as error:
        _fail("\n".join(error.problems), code=2)
    except (lifecycle.LabError, ControlError) as error:
        _fail(f"lab: {error}", code=1)
    except KeyboardInterrupt:
        _fail("lab: stopped; nothing was left running", code=130)


def _fail(message: str, *, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
