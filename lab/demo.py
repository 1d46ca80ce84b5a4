"""`make demo`: two regions on this machine from the emitted templates, and a payment in both ledgers."""

import secrets
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import requests
from rich.console import Console
from rich.table import Table

from lab.certificates import write_private
from lab.deployment import Deployment, StageError
from lab.plan import DEFAULT_DIRECTORY
from lab.seed import ACCOUNT_IDS, MERCHANT_ID

_DIRECTORY = DEFAULT_DIRECTORY / "demo"  # a lab of its own: one you left running stays as it is
_HERE = Deployment(_DIRECTORY, _DIRECTORY / "demo.log")
_REPLICATED_WITHIN = 30.0  # seconds; streaming takes milliseconds

_LEDGER_ROW = """
    SELECT pg_is_in_recovery(), payment.amount, payment.currency, payment.epoch,
           string_agg(entry.account || ' ' || entry.amount, ', ' ORDER BY entry.line)
    FROM ledger.payment JOIN ledger.entry USING (payment_id)
    WHERE payment_id = %s GROUP BY payment_id
"""


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
    write_private(_HERE.log, b"")
    try:
        try:
            _deploy(stages)
            payment, rows = _pay(stages)
        finally:
            with stages.stage("Stop both regions"):
                _HERE.lab("down")
    except StageError as error:
        console.print(f"[red]✗[/] {error}\nEverything that was said is in {_HERE.log}.", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("[red]✗[/] stopped; nothing was left running")
        return 130
    console.print(_proof(payment, rows))
    console.print(f"Done in {time.monotonic() - began:.0f} s.")
    return 0


def _deploy(stages: Stages) -> None:
    with stages.stage(
        f"Build the templates and the function packages: python {shlex.join(_HERE.build_command)}"
    ) as detail:
        _HERE.build(detail)
    with stages.stage(f"Start two regions: python {shlex.join(_HERE.lab_command('up'))}") as detail:
        _HERE.lab("up", detail)
    for what, template in (("the hosted zone", "zone"), ("the system to both regions", "root")):
        with stages.stage(f"Deploy {what}: sam {shlex.join(_HERE.deploy_command(template))}") as detail:
            _HERE.deploy(template, detail)


def _pay(stages: Stages) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """The payment as the API answered it, and by region what that region's PostgreSQL says of it."""
    status = _HERE.status()
    active = next(iter(status["regions"].values()))
    with stages.stage(f"Take a payment: POST {active['api_base_url']}/payments"):
        payment = _take_payment(status, active["api_base_url"])
    rows = {}
    for region, where in status["regions"].items():
        with stages.stage(f"Read {payment['payment_id']} from the PostgreSQL of {region}"):
            rows[region] = _ledger_row(where["postgres_dsn"], payment["payment_id"])
    return payment, rows


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


if __name__ == "__main__":
    sys.exit(main())
