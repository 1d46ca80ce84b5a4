"""`make demo`: two regions on this machine from the emitted templates, and a payment in both ledgers."""

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import requests
from rich.console import Console
from rich.table import Table

from lab import environment
from lab.certificates import write_private
from lab.plan import DEFAULT_DIRECTORY, plan_file, read_plan
from lab.seed import ACCOUNT_IDS, MERCHANT_ID

_REPOSITORY = Path(__file__).resolve().parent.parent
_DIRECTORY = DEFAULT_DIRECTORY / "demo"  # a lab of its own: one you left running stays as it is
_LOG = _DIRECTORY / "demo.log"
# Not `dist`, which a plain `sam deploy` would take to production.
_BUILT = (DEFAULT_DIRECTORY / "demo" / "dist").relative_to(_REPOSITORY)
_BUILD = ["build.py", "--environment", "lab", "--out", str(_BUILT)]
_REPLICATED_WITHIN = 30.0  # seconds; streaming takes milliseconds
_SHOWN_ON_FAILURE = 25  # lines

_LEDGER_ROW = """
    SELECT pg_is_in_recovery(), payment.amount, payment.currency, payment.epoch,
           string_agg(entry.account || ' ' || entry.amount, ', ' ORDER BY entry.line)
    FROM ledger.payment JOIN ledger.entry USING (payment_id)
    WHERE payment_id = %s GROUP BY payment_id
"""


class StageError(Exception):
    """What a stage ran into; the message is for the person who watches."""


class Stages:
    """Says what happens while it happens and how long it took; live at a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    @contextmanager
    def stage(self, title: str) -> Iterator[Any]:
        """Yields a function that replaces the detail behind the title."""
        self._number += 1
        began = time.monotonic()
        label = f"{self._number}. {title}"
        with self._console.status(label) as status:
            yield lambda detail: status.update(f"{label} [dim]{detail}[/]")
        self._console.print(f"[green]✓[/] {label} [dim]{time.monotonic() - began:.1f} s[/]")


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    stages = Stages(console)
    began = time.monotonic()
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    write_private(_LOG, b"")
    try:
        try:
            _deploy(stages)
            payment, rows = _pay(stages)
        finally:
            with stages.stage("Stop both regions"):
                _run([sys.executable, *_lab("down")], os.environ)
    except StageError as error:
        console.print(f"[red]✗[/] {error}\nEverything that was said is in {_LOG}.", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("[red]✗[/] stopped; nothing was left running")
        return 130
    console.print(_proof(payment, rows))
    console.print(f"Done in {time.monotonic() - began:.0f} s.")
    return 0


def _deploy(stages: Stages) -> None:
    with stages.stage(
        f"Build the templates and the function packages: python {shlex.join(_BUILD)}"
    ) as detail:
        _run([sys.executable, *_BUILD], os.environ, detail)
    with stages.stage(f"Start two regions: python {shlex.join(_lab('up'))}") as detail:
        _run([sys.executable, *_lab("up")], os.environ, detail)
    inside = environment.for_child(read_plan(plan_file(_DIRECTORY)), os.environ)
    for what, template in (("the hosted zone", "zone"), ("the system to both regions", "root")):
        command = _deploy_command(template)
        with stages.stage(f"Deploy {what}: sam {shlex.join(command)}") as detail:
            _run([_tool("sam"), *command, "--no-progressbar"], inside, detail)


def _lab(*arguments: str) -> list[str]:
    return ["-m", "lab", *arguments, "--directory", str(_DIRECTORY.relative_to(_REPOSITORY))]


def _deploy_command(template: str) -> list[str]:
    """sam looks for its configuration beside the template, unless it is told where it is from there."""
    config_env = {"zone": "lab-zone", "root": "lab"}[template]
    config_file = os.path.relpath(_REPOSITORY / "samconfig.toml", _REPOSITORY / _BUILT)
    template_file = str(_BUILT / f"{template}.json")
    return [
        "deploy",
        "--config-env",
        config_env,
        "--template-file",
        template_file,
        "--config-file",
        config_file,
    ]


def _pay(stages: Stages) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """The payment as the API answered it, and by region what that region's PostgreSQL says of it."""
    status = _status()
    active = next(iter(status["regions"].values()))
    with stages.stage(f"Take a payment: POST {active['api_base_url']}/payments"):
        payment = _take_payment(status, active["api_base_url"])
    rows = {}
    for region, where in status["regions"].items():
        with stages.stage(f"Read {payment['payment_id']} from the PostgreSQL of {region}"):
            rows[region] = _ledger_row(where["postgres_dsn"], payment["payment_id"])
    return payment, rows


def _status() -> dict[str, Any]:
    """Passwords and keys: what it prints goes into no log."""
    command = [sys.executable, *_lab("status", "--json")]
    done = subprocess.run(
        command, cwd=_REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        _fail(command, done.returncode, done.stderr.splitlines(keepends=True))
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def _take_payment(status: Mapping[str, Any], api: str) -> dict[str, Any]:
    merchant = next(one for one in status["merchants"] if one["id"] == MERCHANT_ID)
    debtor, creditor = ACCOUNT_IDS
    with requests.Session() as client:
        client.verify = status["ca_file"]
        client.trust_env = False  # no proxy of the host's between us and the lab
        session = _answer(
            client.post(f"{api}/sessions", auth=(merchant["id"], merchant["key"]), timeout=30), 201
        )
        posted = client.post(
            f"{api}/payments",
            json={
                "amount": 12_500,
                "currency": "USD",
                "debtor": debtor,
                "creditor": creditor,
                "reference": "Demonstration",
            },
            headers={
                "Authorization": f"Bearer {session['session_token']}",
                "Idempotency-Key": secrets.token_hex(16),
            },
            timeout=30,
        )
        return _answer(posted, 201)


def _answer(response: requests.Response, expected: int) -> dict[str, Any]:
    if response.status_code != expected:
        raise StageError(
            f"{response.request.url}: {response.status_code} instead of {expected}: {response.text}"
        )
    answer: dict[str, Any] = response.json()
    return answer


def _ledger_row(dsn: str, payment_id: str) -> tuple[Any, ...]:
    """Waits for the standby's replica, which is a moment behind."""
    deadline = time.monotonic() + _REPLICATED_WITHIN
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            with suppress(psycopg.errors.UndefinedTable):  # the replica has not seen the schema yet
                row = connection.execute(_LEDGER_ROW, (payment_id,)).fetchone()
                if row is not None:
                    return row
            if time.monotonic() > deadline:
                raise StageError(f"{payment_id} is not in the ledger after {_REPLICATED_WITHIN:.0f} s")
            time.sleep(0.05)


def _proof(payment: Mapping[str, Any], rows: Mapping[str, tuple[Any, ...]]) -> Table:
    table = Table(
        title=f"\n{payment['payment_id']}, {payment['status']}, as both ledgers have it", title_justify="left"
    )
    for column in ("region", "PostgreSQL", "amount (minor units)", "epoch", "entries"):
        table.add_column(column)
    for region, (replica, amount, currency, epoch, entries) in rows.items():
        role = "replica" if replica else "writer"
        table.add_row(region, role, f"{amount} {currency}", str(epoch), entries)
    return table


def _tool(name: str) -> str:
    """From the virtual environment we run in, whether or not it is on the PATH."""
    return str(Path(sys.executable).with_name(name))


def _run(command: list[str], variables: Mapping[str, str], detail: Any = lambda _: None) -> str:
    """Runs to the end with everything said kept in the log; raises StageError with the last of it."""
    said: list[str] = []
    with (
        _LOG.open("a") as log,
        subprocess.Popen(
            command,
            cwd=_REPOSITORY,
            env={**variables, "SAM_CLI_POLL_DELAY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            said.append(line)
            if line.strip(" -\n"):
                detail(" ".join(line.split())[:100])
    if process.returncode:
        _fail(command, process.returncode, said)
    return "".join(said)


def _fail(command: list[str], code: int, said: list[str]) -> NoReturn:
    last = "".join(said[-_SHOWN_ON_FAILURE:]).rstrip()
    raise StageError(f"{Path(command[0]).name} {' '.join(command[1:])} ended with {code}:\n{last}")


if __name__ == "__main__":
    sys.exit(main())
