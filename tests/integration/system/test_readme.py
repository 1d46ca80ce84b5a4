"""README.md shows commands and what they say: every command is run, and really says it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.system.deployment import REPOSITORY, copy_repository

_MARK = "--- next command ---"
_MAKING = "make demo"


def _commands(readme: str) -> list[tuple[str, list[str]]]:
    """Each command of the console blocks with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", readme, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def _alike(line: str) -> str:
    """What may differ from run to run, or from machine to machine, is made the same."""
    line = re.sub(r"pay_[a-z2-7]{32}", "pay", line)
    line = re.sub(r"(key\s+)[\w-]{43}", r"\1key", line)
    line = re.sub(r"(CA )\S+", r"\1file", line)
    line = re.sub(r"x86_64|arm64", "architecture", line)
    return re.sub(r"\d+", "0", line).strip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone after `make setup`."""
    clone = tmp_path_factory.mktemp("readme")
    copy_repository(clone)
    (clone / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".installed":
            (clone / ".venv" / part.name).symlink_to(part)
    (clone / ".venv" / ".installed").touch()
    return clone


@pytest.mark.parametrize("demo", [True, False], ids=["demo", "step by step"])
def test_every_command_runs_and_says_what_is_shown(clone: Path, demo: bool) -> None:
    commands = [
        one for one in _commands((REPOSITORY / "README.md").read_text()) if (one[0] == _MAKING) is demo
    ]
    assert commands
    script = "\n".join(["set -euo pipefail", *(f"{command}\necho '{_MARK}'" for command, _ in commands)])
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))
    }
    variables = {**kept, "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=clone,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        down = [sys.executable, "-m", "lab", "down"]
        subprocess.run(down, cwd=clone, check=True, stdout=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout
    for (command, shown), said in zip(commands, done.stdout.split(f"{_MARK}\n"), strict=False):
        missing = {_alike(line) for line in shown} - {_alike(line) for line in said.splitlines()}
        assert not missing, f"`{command}` says:\n{said}"
