"""What nobody should send, sent to the deployed API: refused by somebody on the way, and nothing stored."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.seed import ACCOUNT_IDS
from tests.hostile import HOSTILE, Hostile
from tests.integration.system.deployment import Client, System
from tests.integration.system.wire import Answer, Wire
from tests.unit.handlers.document import validator

# Refused with others words than ours, on the way to API Gateway: it answers what is no HTTP itself.
_NOT_HTTP = frozenset({400, 403, 413, 431})


def _stored(system: System) -> tuple[Any, ...]:
    dynamodb = system.aws("dynamodb", system.primary)
    tables = (system.plan.directory_table.replace("directory", name) for name in ("journal", "sessions"))
    items = [dynamodb.scan(TableName=table, Select="COUNT")["Count"] for table in tables]
    ledger = system.query(system.primary, "SELECT count(*), coalesce(sum(amount), 0) FROM ledger.payment")
    return (*items, ledger)


def test_everything_hostile_is_refused_and_leaves_nothing(system: System, client: Client) -> None:
    status = system.status()
    debtor, creditor = ACCOUNT_IDS
    real = {
        "token": str(client.http.headers["Authorization"]).removeprefix("Bearer "),
        "basic": base64.b64encode(f"{client.merchant['id']}:{client.merchant['key']}".encode()).decode(),
        "debtor": debtor,
        "creditor": creditor,
    }
    before = _stored(system)
    asked = [(region, one) for region in system.regions for one in HOSTILE]
    wires = {
        region: Wire(status["regions"][region]["api_base_url"], status["ca_file"])
        for region in system.regions
    }

    def send(target: tuple[str, Hostile]) -> str | None:
        region, request = target
        return _surprise(request, wires[region].send(request.filled(**real)))

    with ThreadPoolExecutor(4) as pool:
        surprises = [
            f"{region}: {one.name}: {surprise}"
            for (region, one), surprise in zip(asked, pool.map(send, asked), strict=True)
            if surprise is not None
        ]

    assert not surprises, "\n".join(surprises)
    assert _stored(system) == before


def _surprise(request: Hostile, answer: Answer) -> str | None:
    if not 400 <= answer.status < 500:
        return f"{answer.status} {answer.body[:200]!r}"
    if request.method == "HEAD":
        return None
    if answer.media_type != "application/problem+json":
        return None if answer.status in _NOT_HTTP else f"{answer.status} as {answer.media_type}"
    problem = json.loads(answer.body)
    faults = [
        error.message for error in validator({"$ref": "#/components/schemas/Problem"}).iter_errors(problem)
    ]
    return f"{problem}: {faults}" if faults or problem["status"] != answer.status else None
