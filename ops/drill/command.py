"""`python -m ops drill`: options, what is asked before anything is broken, output and exit code."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from ops.directory import Rejected
from ops.drill import report, result
from ops.drill.drills import Drilled, Drills, Wanted, built
from ops.drill.scenarios import NAMES, RANDOM, Scenario
from ops.drill.steps import WorldError
from ops.surroundings import Surroundings
from templates.config import Settings

FAILED: Final = 1
_DEADLINE_SECONDS: Final = 600.0


@click.command("drill")
@click.option("--scenario", type=click.Choice(NAMES), default="region-loss", show_default=True)
@click.option("--target", metavar="REGION", help="What is broken or given up. Default: the active region.")
@click.option(
    "--rate", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="Payments a second."
)
@click.option("--clients", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the payments, and of `random`.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="`random`: how many, from --seed on.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=1),
    default=_DEADLINE_SECONDS,
    show_default=True,
    help="Seconds from the fault until it is given up.",
)
@click.option(
    "--ledger", metavar="DSN", help="On AWS: the PostgreSQL of the region that is active afterwards."
)
@click.option(
    "--build",
    type=click.Path(path_type=Path),
    default=Path("dist/build.json"),
    show_default=True,
    help="What the templates promise.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path),
    help="Write the report there, and its JSON beside it.",
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def drill(
    context: click.Context,
    scenario: str,
    target: str | None,
    rate: float,
    clients: int,
    seed: int,
    seeds: int,
    deadline: float,
    ledger: str | None,
    build: Path,
    page: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Break something on purpose under live payments, and measure what it cost."""
    settings: Settings = context.meta["ops.settings"]
    if target not in (None, settings.regions.primary, settings.regions.secondary):
        known = f"{settings.regions.primary} or {settings.regions.secondary}"
        raise Rejected(f"--target: {target} is never active; use {known}", 2)
    wanted = Wanted(
        name=scenario,
        target=target,
        rate=rate,
        clients=clients,
        seed=seed,
        seeds=seeds,
        deadline=deadline,
        ledger=ledger,
        build=build,
        operator=operator(context),
    )
    console = Console(stderr=True, highlight=False)
    drills = Drills(settings, Surroundings.of(os.environ), wanted, console)
    scenarios = drills.planned()
    promised = built(build)
    click.echo(drills.announced(scenarios[0]), err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    documents = []
    for each in scenarios:
        drilled = _drilled(drills, each, console)
        documents.append(drilled.document)
        _show(drilled, page, promised, console, as_json=as_json)
        if not drilled.document["met"]:
            _again(each, drilled.document["schedule"])
            break
    if as_json:
        click.echo(json.dumps(documents if seeds > 1 else documents[0]))
    if not all(document["met"] for document in documents):
        context.exit(FAILED)


def operator(context: click.Context) -> tuple[str, ...]:
    """The command line of this program as it was called, up to its command."""
    parent = context.find_root()
    options: list[str] = []
    for name in ("environment", "config", "region"):
        if (value := parent.params.get(name)) is not None:
            options += [f"--{name}", str(value)]
    return ("-m", "ops", *options)


def _drilled(drills: Drills, each: Scenario, console: Console) -> Drilled:
    if each.name == RANDOM:
        console.print(f"seed {each.seed}: {len(each.steps)} steps", markup=False)
    try:
        return drills.drill(each)
    except asyncio.CancelledError as told_to_stop:
        raise click.Abort from told_to_stop
    except WorldError as error:
        _again(each, [str(step) for step in each.steps])
        raise Rejected(str(error), FAILED) from error


def _again(each: Scenario, schedule: list[str]) -> None:
    """So that what went wrong can be seen again."""
    if each.name == RANDOM:
        lines = "\n".join(f"  {number}. {step}" for number, step in enumerate(schedule, 1))
        click.echo(f"seed {each.seed}:\n{lines}\nagain: --scenario random --seed {each.seed}", err=True)


def _show(drilled: Drilled, page: Path | None, promised: Any, console: Console, *, as_json: bool) -> None:
    if not as_json:
        click.echo(result.summary(drilled.document))
    if page is not None:
        html = report.page(drilled.document, promised, drilled.run.sent, drilled.live.fault or 0.0)
        report.write(page, html, drilled.document)
        console.print(f"report: {page}", markup=False)
