"""The command: what it prints, how it fails, and that its output depends on nothing around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ENVIRONMENT_SUFFIX"}


def build(
    *arguments: str, cwd: Path = ROOT, umask: int = -1, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "build.py"), *arguments],
        cwd=cwd,
        umask=umask,
        env={**ENVIRONMENT, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_builds_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    first = build("--no-package", "--no-check", "--out", str(one), PYTHONHASHSEED="1", TZ="Pacific/Auckland")
    second = build(
        "--no-package",
        "--no-check",
        "--out",
        str(other),
        cwd=tmp_path,
        umask=0o077,
        PYTHONHASHSEED="2",
        TZ="America/New_York",
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert set(content(one)) == {
        f"{name}.json" for name in ("build", "zone", "foundation", "data", "service", "witness", "root")
    }
    assert content(one) == content(other)
    assert all(text.endswith(b"\n") for text in content(one).values())


def test_it_says_what_it_does_on_stdout(tmp_path: Path) -> None:
    done = build("--no-package", "--environment", "lab", "--out", str(tmp_path / "out"))
    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines() if not line.startswith("note: ")] == [
        "rendered zone, foundation, data, service, witness, root for payments in lab",
        "checked, nothing found",
        f"wrote {tmp_path / 'out'}",
    ]


def test_a_wrong_configuration_is_told_on_stderr_without_a_traceback(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text((ROOT / "deployment.toml").read_text().replace('"us-east-2"', '"us-east-1"'))
    done = build("--config", "mine.toml", "--out", "out", cwd=tmp_path, ENVIRONMENT_SUFFIX="No")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        'ENVIRONMENT_SUFFIX: environment: found "No"; allowed: lower-case letters, digits and single hyphens'
        " between them, starting with a letter",
        'mine.toml: regions.secondary: found "us-east-1", which regions.primary is; allowed: another region',
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_outside_the_virtual_environment_one_line_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-S", str(ROOT / "build.py"), "--no-package", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "build.py: there is no module named msgspec here; run `make setup`, then .venv/bin/python\n"
    )


def test_a_misspelt_environment_builds_nothing(tmp_path: Path) -> None:
    done = build("--no-package", "--out", "out", cwd=tmp_path, ENVIRONMENT_SUFFIX="prd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'ENVIRONMENT_SUFFIX: environment: found "prd";'
        " allowed: prod, lab, or another with a table under [environments]\n"
    )
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--colour"], ["--environment"], ["extra"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = build(*arguments)
    assert done.returncode == 2
    assert "usage: build.py" in done.stderr


def test_a_missed_objective_fails_the_build_and_leaves_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    config = tmp_path / "strict.toml"
    config.write_text((ROOT / "deployment.toml").read_text().replace("rto_minutes = 30", "rto_minutes = 1"))
    done = build("--config", str(config), "--no-package", "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "service.json: recovery to the secondary takes 90 s at worst, the objective is 60 s;"
        " check more often, or raise objectives.rto_minutes",
        "service.json: recovery to the primary takes 120 s at worst, the objective is 60 s;"
        " check more often, or raise objectives.rto_minutes",
    ]
    assert content(tmp_path / "out") == {}


def test_rendering_alone_checks_and_packages_nothing(tmp_path: Path) -> None:
    done = build("--no-check", "--no-package", "--out", str(tmp_path / "out"))
    assert [line for line in done.stdout.splitlines() if not line.startswith("note: ")] == [
        "rendered zone, foundation, data, service, witness, root for payments in prod",
        f"wrote {tmp_path / 'out'}",
    ]
