"""`python -m ops preflight` against the deployed system, which has what it asks for."""

import json
import os
import subprocess
import sys

from lab import environment
from tests.integration.system.deployment import System


def test_what_is_deployed_could_be_deployed(system: System) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "--environment", "lab", "preflight", "--json"],
        cwd=system.workspace,
        env=environment.for_child(system.plan, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, {one["answer"] for one in checks}) == (0, {"yes"}), checks
    assert {one["name"] for one in checks} == {
        "addresses",
        "api logs",
        "certificates",
        "credentials",
        "database",
        "delegation",
        "lambda",
        "names",
        "networks",
        "region switch",
        "regions",
        "role",
        "stack sets",
    }
    needed = {one["what"] for one in checks if one["name"] == "addresses"}
    assert needed == {"3 of 5 used, 0 more needed"}
