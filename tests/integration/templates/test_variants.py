"""cfn-lint and sam have nothing to say, whatever is configured."""

import subprocess
import sys
from pathlib import Path

import pytest

from generator.render import render
from tests.rules.variants import SETTINGS

_BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants")
    for name, settings in SETTINGS.items():
        (folder / name).mkdir()
        for title, text in render(settings()).items():
            (folder / name / f"{title}.json").write_text(text, "utf-8")
    return folder


def test_cfn_lint_reports_nothing(rendered: Path) -> None:
    run = subprocess.run(
        [_BIN / "cfn-lint", *sorted(rendered.glob("*/*.json"))], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_sam_reports_nothing(name: str, rendered: Path) -> None:
    """About `root`: the others hold nothing of sam's, and cfn-lint is what it would ask about them."""
    run = subprocess.run(
        [
            _BIN / "sam",
            "validate",
            "--lint",
            "--region",
            "us-east-1",
            "--template",
            rendered / name / "root.json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
