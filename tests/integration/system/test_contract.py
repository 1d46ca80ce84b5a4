"""schemathesis reads the public document and asks the deployed API everything it can think of."""

import base64
import os
from pathlib import Path

from tests.integration.system.deployment import REPOSITORY, Client, System, run, tool

_ACCOUNTS = ("acc-alice", "acc-bookshop")  # of the document's examples
_MOST_EXAMPLES = 300  # of each operation, which keeps it well below a minute
_CONFIGURATION = """
generation.deterministic = true

# API Gateway answers 404 to a method nobody serves, and cannot be made to answer 405.
[checks.unsupported_method]
enabled = false

# Accounts that were made up are as well-formed as any: 422. So are ids of payments: 404.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "422"]

[[operations]]
include-name = "POST /sessions"
headers = {{ Authorization = "Basic {basic}" }}

[[operations]]
include-path-regex = "^/payments"
headers = {{ Authorization = "Bearer {token}" }}
"""


def test_every_answer_is_documented(system: System, client: Client, tmp_path: Path) -> None:
    _open_accounts(system)
    configuration = tmp_path / "schemathesis.toml"
    merchant = f"{client.merchant['id']}:{client.merchant['key']}"
    configuration.write_text(
        _CONFIGURATION.format(
            basic=base64.b64encode(merchant.encode()).decode(),
            token=str(client.http.headers["Authorization"]).removeprefix("Bearer "),
        )
    )
    command = [
        tool("schemathesis"),
        *("--config-file", str(configuration), "run", str(REPOSITORY / "docs" / "openapi.json")),
        *("--url", client.api, "--tls-verify", system.status()["ca_file"], "--workers", "4"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(_MOST_EXAMPLES)),
        *("--suppress-health-check", "all", "--continue-on-failure"),
    ]
    said = run(command, cwd=tmp_path, variables={**os.environ, "NO_COLOR": "1"})
    assert "Tested: 4" in said, said


def _open_accounts(system: System) -> None:
    for account in _ACCOUNTS:
        system.operate("accounts", "open", account, "--currency", "USD")
