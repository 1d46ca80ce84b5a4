"""`make bench`, second part: what a payment costs on a warm path, in a lab of its own; and a cold start.

None of it is an AWS measurement. Round trips are; they are the same there.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg
import requests
from psycopg import sql

from lab.certificates import write_private
from lab.control import Control
from lab.deployment import Deployment, StageError
from lab.embedded.packages import link_runtime_packages
from lab.faults import Mode, Rule
from lab.plan import DEFAULT_DIRECTORY, LabPlan, plan_file, read_plan
from lab.seed import ACCOUNT_IDS, MERCHANT_ID

PAYMENTS = 200
_WARM_UP = 10  # psycopg prepares a statement at its sixth execution, once for a connection
_STARTS = 11
_IMPORT_AIM, _ZIP_AIM = 250, 12  # milliseconds, MiB
_FLUSHED_WITHIN = 10.0  # seconds until a log has what was logged

_IMPORT = """
import sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import handlers.api
print((time.process_time() - began) * 1000)
"""
# A statement of the application, as PostgreSQL logs it: what follows on more lines begins with a tab.
_STATEMENT = re.compile(
    r":ledger_application\w*@\w+:\[(?P<pid>\d+)\]:LOG:  (?:execute|statement)\b[^:]*: (?P<text>.*(?:\n\t.*)*)"
)
_POSTS = "INSERT INTO ledger.payment"


@dataclass(frozen=True, slots=True)
class Trips:
    """What the API function asked for, per payment: of AWS by operation and table, and of PostgreSQL."""

    payments: int
    calls: Mapping[str, int]
    statements: int

    def each(self, call: str) -> float:
        return self.calls.get(call, 0) / self.payments


SESSION, JOURNAL = "GetItem sessions", "PutItem journal"
# When what was read is too old; and what health checks read, which the same function answers.
OCCASIONAL = ("BatchGetItem directory", "GetItem control")


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each payment as its client saw it, and of its journal write as the proxy did."""

    trips: Trips
    payments: tuple[float, ...]
    writes: tuple[float, ...]


class Client:
    """One merchant that pays one thing after the other."""

    def __init__(self, status: Mapping[str, Any], region: str) -> None:
        where = status["regions"][region]
        merchant = next(one for one in status["merchants"] if one["id"] == MERCHANT_ID)
        self._api = where["api_base_url"]
        self._http = requests.Session()
        self._http.verify = status["ca_file"]
        self._http.trust_env = False
        answer = self._http.post(f"{self._api}/sessions", auth=(merchant["id"], merchant["key"]), timeout=30)
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['session_token']}"

    def pay(self, key: str) -> float:
        """How many milliseconds it took until it was posted."""
        debtor, creditor = ACCOUNT_IDS
        body = {"amount": 1, "currency": "USD", "debtor": debtor, "creditor": creditor, "reference": "Bench"}
        began = time.perf_counter()
        answer = self._http.post(
            f"{self._api}/payments", json=body, headers={"Idempotency-Key": key}, timeout=30
        )
        took = (time.perf_counter() - began) * 1000
        if answer.status_code != 201:
            raise StageError(f"a payment was answered {answer.status_code} instead of 201: {answer.text}")
        return took


def measure(plan: LabPlan, status: Mapping[str, Any], *, payments: int, name: str) -> Measured:
    """Payments one after the other, in one environment of the function that is warm."""
    region = plan.region_at("primary").name
    client = Client(status, region)
    for number in range(_WARM_UP):
        client.pay(f"{name}-warm-{number}")
    log, server_log = plan.logs / f"requests-{region}.jsonl", plan.logs / f"postgres-{region}.log"
    with _watching(plan, region, status["regions"][region]["postgres_dsn"]):
        start, server_start = log.stat().st_size, server_log.stat().st_size
        took = tuple(client.pay(f"{name}-{number}") for number in range(payments))
        calls = _calls(_tail(log, start))
        statements = _statements(server_log, server_start, payments)
    writes = tuple(call["ms"] for call in calls if call["named"] == JOURNAL)
    counted = Counter(str(call["named"]) for call in calls)
    return Measured(Trips(payments, counted, statements), took, writes)


@contextmanager
def _watching(plan: LabPlan, region: str, dsn: str) -> Iterator[None]:
    """The proxy's log marks reads of sessions, and PostgreSQL logs every statement."""
    sessions = plan.directory_table.replace("directory", "sessions")
    control = Control(plan.control_socket)
    mark = Rule(Mode.DELAY, service="dynamodb", operation="GetItem", resource=sessions, seconds=0.0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        (before,) = connection.execute("SHOW log_statement").fetchone() or ("none",)
        try:
            control.set_faults(region, mark)
            _log_statements(connection, "all")
            yield
        finally:
            _log_statements(connection, before)
            control.set_faults(region)


def _log_statements(connection: psycopg.Connection[Any], which: str) -> None:
    connection.execute(sql.SQL("ALTER SYSTEM SET log_statement = {}").format(sql.Literal(which)))
    connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)  # every server process reads it by itself


def _tail(file: Path, start: int) -> str:
    with file.open() as text:
        text.seek(start)
        return text.read()


def _calls(log: str) -> list[dict[str, Any]]:
    """Of whoever reads sessions, which only the API function does; each with a name."""
    calls: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    callers = {call["access_key"] for call in calls if call["fault"] == Mode.DELAY}
    return [call | {"named": _named(call)} for call in calls if call["access_key"] in callers]


def _named(call: Mapping[str, Any]) -> str:
    if call["service"] == "dynamodb" and call["operation"] == "GetItem":
        return SESSION if call["fault"] else "GetItem control"
    tables = {"PutItem": JOURNAL, "BatchGetItem": "BatchGetItem directory"}
    return tables.get(call["operation"], f"{call['service']} {call['operation']}")


def _statements(log: Path, start: int, posted: int) -> int:
    """Everything said on the connection on which the payments were posted, once it is written."""
    deadline = time.monotonic() + _FLUSHED_WITHIN
    while True:
        said = list(_STATEMENT.finditer(_tail(log, start)))
        posting = Counter(found["pid"] for found in said if _POSTS in found["text"])
        ((pid, times),) = posting.most_common(1) or [("", 0)]
        if times >= posted or time.monotonic() > deadline:
            return sum(found["pid"] == pid for found in said)
        time.sleep(0.05)


def import_times(package: Path, *, compiled: bool) -> tuple[float, ...]:
    """Milliseconds of CPU to import the API's handler from its package, with what there is on Lambda.

    `compiled`: whether Python finds what it compiled before. On Lambda it does not: the files are read-only.
    """
    with tempfile.TemporaryDirectory() as scratch:
        code, runtime = Path(scratch, "code"), link_runtime_packages(Path(scratch, "runtime"))
        with zipfile.ZipFile(package) as archive:
            archive.extractall(code)
        variables = {
            "PATH": os.defpath,
            "AWS_REGION": "us-east-1",
            "POWERTOOLS_SERVICE_NAME": "api",
            "POWERTOOLS_METRICS_NAMESPACE": "bench",
            "PYTHONPATH": str(runtime),
            **({} if compiled else {"PYTHONDONTWRITEBYTECODE": "1"}),
        }
        command = [sys.executable, "-S", "-s", "-P", "-c", _IMPORT, str(code)]

        def once() -> float:
            done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
            return float(done.stdout)

        once()
        return tuple(once() for _ in range(_STARTS))


def main() -> int:
    directory = DEFAULT_DIRECTORY / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    deployment = Deployment(directory, directory / "bench.log")
    write_private(deployment.log, b"")
    try:
        deployment.build()
        _report_package(next((directory / "dist" / "functions").glob("service-*.zip")))
        try:
            deployment.lab("up")
            deployment.deploy("zone")
            deployment.deploy("root")
            plan = read_plan(plan_file(directory))
            _report(measure(plan, deployment.status(), payments=PAYMENTS, name="bench"))
        finally:
            deployment.lab("down")
    except StageError as error:
        print(f"{error}\nEverything that was said is in {deployment.log}.", file=sys.stderr)
        return 1
    return 0


def _report_package(package: Path) -> None:
    cold, warm = (median(import_times(package, compiled=compiled)) for compiled in (False, True))
    print(f"package of the API function: {package.stat().st_size / 2**20:.1f} MiB (aim: {_ZIP_AIM} MiB)")
    print(
        f"importing its handler: {warm:.0f} ms of CPU, and {cold:.0f} ms when Python has to compile it first "
        f"(aim: {_IMPORT_AIM} ms)"
    )


def _report(measured: Measured) -> None:
    trips = measured.trips
    rest = sorted(set(trips.calls) - {SESSION, JOURNAL, *OCCASIONAL})
    print(
        f"a payment on a warm path: {trips.each(SESSION):.2f} session reads, "
        f"{trips.each(JOURNAL):.2f} journal writes, "
        f"{trips.statements / trips.payments:.2f} ledger transactions"
    )
    print(
        f"and when what was read is too old: {trips.each(OCCASIONAL[0]):.2f} directory reads, "
        f"{trips.each(OCCASIONAL[1]):.2f} control reads; nothing else"
        + (f", but for {', '.join(rest)}" if rest else "")
    )
    without = [took - write for took, write in zip(measured.payments, measured.writes, strict=True)]
    print(f"latency in the lab: {_spread(measured.payments)} of {trips.payments}")
    print(f"the same without their journal writes: {_spread(without)}; a write: {_spread(measured.writes)}")


def _spread(values: Sequence[float]) -> str:
    hundredths = quantiles(values, n=100, method="inclusive")
    return f"p50 {hundredths[49]:.0f} ms, p99 {hundredths[98]:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
