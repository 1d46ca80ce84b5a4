"""The Makefile: no target runs before the tools are there, also when several run at once."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PHONY = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
TARGETS = _PHONY[1].split() if _PHONY else []
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """As after `git clone`: nothing is installed."""
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    return tmp_path


def plan(folder: Path, *arguments: str) -> list[str]:
    command = ["make", "--dry-run", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"clean"}))
@pytest.mark.parametrize("jobs", ["-j1", "-j8"])
def test_whatever_is_asked_for_the_tools_are_installed_first(fresh: Path, target: str, jobs: str) -> None:
    lines = plan(fresh, jobs, target)
    installed = lines.index("touch .venv/.installed")
    used = [number for number, line in enumerate(lines) if re.match(r"\.venv/bin/\w+", line)]
    installing = {".venv/bin/python -m pip install", ".venv/bin/python -m pip check"}
    early = [lines[n] for n in used if n < installed and not lines[n].startswith(tuple(installing))]
    assert not early


def test_the_gate_is_the_same_whether_or_not_its_parts_run_at_once(fresh: Path) -> None:
    assert sorted(plan(fresh, "-j8", "check")) == sorted(plan(fresh, "-j1", "check"))


def test_parts_that_run_at_once_speak_one_after_the_other(tmp_path: Path) -> None:
    """Where make can: 4.0 or later; macOS has 3.81."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    settings = [line for line in lines if line.startswith("MAKEFLAGS")]
    slow = "one two:\n\t@echo $@; sleep 0.3; echo $@\n"
    (tmp_path / "Makefile").write_text("\n".join([*settings, slow]))
    done = subprocess.run(
        ["make", "-j2", "one", "two"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    version = subprocess.run(["make", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.search(r"\d+", version)[0]) >= 4:  # type: ignore[index] # it always says so
        assert sorted(done.stdout.split()[::2]) == ["one", "two"]
        assert done.stdout.split()[::2] == done.stdout.split()[1::2]
