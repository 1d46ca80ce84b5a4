"""Runs the rule packs, each in the environment that `make audit` installed for them."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.audit.findings import Finding

_HERE = Path(__file__).parent


class PackError(Exception):
    """A rule pack did not run to its end."""


def checkov(tools: Path, folder: Path) -> Iterator[Finding]:
    """https://www.checkov.io; what it asks its maker's server for, it works without."""
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "-o", "json"]
    report = json.loads(_run([str(tools / "venv/bin/checkov"), "-d", str(folder), *options], allowed=(0, 1)))
    if report["summary"]["parsing_errors"]:
        raise PackError(f"checkov could not read {report['results']['parsing_errors']}")
    for one in report["results"]["failed_checks"]:
        resource = one["resource"].rpartition(".")[2]
        yield _finding(one["check_id"], Path(one["file_path"]), resource, one["check_name"])


def packs_of_npm(tools: Path, templates: Sequence[Path]) -> Iterator[Finding]:
    """cdk-nag and AWS Control Tower's proactive rules: see packs.cjs."""
    command = ["node", str(_HERE / "packs.cjs"), *map(str, templates)]
    for one in json.loads(_run(command, {"NODE_PATH": str(tools / "node_modules")})):
        resource = one.get(
            "resource"
        )  # a message about the template as a whole repeats those about its parts
        if resource is not None:
            yield _finding(one["rule"], Path(one["template"]), resource, one["message"])


def parliament(tools: Path, folder: Path) -> Iterator[Finding]:
    """https://github.com/duo-labs/parliament; policies are ENVIRONMENT/REGION/TEMPLATE/TITLE-NUMBER.json."""
    command = [str(tools / "venv/bin/parliament"), "--directory", str(folder), "--json"]
    for line in _run(command, allowed=(0, 1)).splitlines():
        one = json.loads(line)
        path = Path(one["location"]["filepath"])
        rule = f"parliament-{one['issue']}"
        if particular := _particular(one["issue"], one["detail"]):
            rule = f"{rule}[{particular}]"
        title = path.stem.rpartition("-")[0]
        yield _finding(rule, path.parent.with_suffix(".json"), title, f"{one['title']}: {one['detail']}")


def _particular(issue: str, detail: Any) -> str | None:
    """The condition key that an action is said not to have."""
    words = str(detail).split()
    return words[words.index("condition") + 1] if issue == "UNKNOWN_CONDITION_FOR_ACTION" else None


def _finding(rule: str, template: Path, resource: str, message: str) -> Finding:
    """Templates are ENVIRONMENT/REGION/TEMPLATE.json."""
    return Finding(rule, f"{template.stem}.{resource}", template.parts[-3], " ".join(message.split()))


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)
) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode not in allowed:
        raise PackError(f"{command[0]} failed ({done.returncode}):\n{done.stderr.strip()[-2000:]}")
    return done.stdout
