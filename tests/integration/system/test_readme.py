"""README.md shows commands and what they say: every command is run, and really says it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests import console
from tests.integration.system.deployment import REPOSITORY, copy_repository

_BLOCKS = console.blocks(REPOSITORY / "README.md")


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
        try:
            done = subprocess.run(
                ["bash", "-c", console.script(block)],
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


@pytest.mark.parametrize("block", _BLOCKS, ids=[console.commands(block)[0].line for block in _BLOCKS])
def test_every_command_runs_and_says_what_is_shown(run: Callable[[str], str], block: str) -> None:
    said = run(block)
    assert not console.not_said(block, said), said


def test_the_page_shows_what_it_is_tested_for() -> None:
    shown = {command.line.split(" ", 1)[0] for block in _BLOCKS for command in console.commands(block)}
    assert {"make", "python", "sam", "curl"} <= shown
    assert [console.commands(block)[0].line for block in _BLOCKS if block.startswith("$ make")] == [
        "make demo",
        "make bench",
    ]


def _variables(clone: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS"))
    }
    return {**kept, "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
