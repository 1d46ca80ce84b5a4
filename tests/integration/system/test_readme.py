"""README.md shows commands and what they say: every command is run, and really says it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.integration.system.deployment import REPOSITORY, copy_repository

_MARK = "--- next command ---"
_BLOCKS = re.findall(
    r"^```console\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.DOTALL | re.MULTILINE
)


def _commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown below it. A backslash continues a command."""
    found: list[tuple[str, list[str]]] = []
    for line in block.replace("\\\n", "").splitlines():
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


@pytest.fixture(scope="module")
def run(clone: Path) -> Callable[[str], str]:
    """Runs a block in the clone, once, and returns what it said."""

    @cache
    def once(block: str) -> str:
        script = [f"{command}\necho '{_MARK}'" for command, _ in _commands(block)]
        try:
            done = subprocess.run(
                ["bash", "-c", "\n".join(["set -euo pipefail", *script])],
                cwd=clone,
                env=_variables(clone),
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
        return done.stdout

    return once


def test_the_demo_keeps_its_secrets_and_leaves_nothing_for_a_plain_deployment(
    clone: Path, run: Callable[[str], str]
) -> None:
    """`sam deploy` without arguments deploys what `dist` holds, to production. Runs before any build."""
    log = clone / ".lab" / "demo" / "demo.log"
    log.parent.mkdir(parents=True)
    log.touch(mode=0o644)
    run(_BLOCKS[0])
    assert not (clone / "dist").exists()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Successfully created/updated stack - payments-lab in us-east-1" in log.read_text()
    assert not re.search(r'postgresql://|"key"', log.read_text())


@pytest.mark.parametrize("block", _BLOCKS, ids=[_commands(block)[0][0] for block in _BLOCKS])
def test_every_command_runs_and_says_what_is_shown(run: Callable[[str], str], block: str) -> None:
    for (command, shown), said in zip(_commands(block), run(block).split(f"{_MARK}\n"), strict=False):
        missing = {_alike(line) for line in shown} - {_alike(line) for line in said.splitlines()}
        assert not missing, f"`{command}` says:\n{said}"


def test_the_page_shows_what_it_is_tested_for() -> None:
    shown = {command.split(" ", 1)[0] for block in _BLOCKS for command, _ in _commands(block)}
    assert {"make", "python", "sam", "curl"} <= shown
    assert [_commands(block)[0][0] for block in _BLOCKS if block.startswith("$ make")] == [
        "make demo",
        "make bench",
    ]


def _variables(clone: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))
    }
    return {**kept, "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
