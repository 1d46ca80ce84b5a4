"""A complete build, packages and all, from two clones on one machine: every byte is the same."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[3]
PARTS = (
    "build.py",
    "deployment.toml",
    "requirements.txt",
    "docs/openapi.json",
    "generator",
    "templates",
    "src",
)


def clone(folder: Path) -> Path:
    """What a build reads, at another place, with nothing resolved yet."""
    for part in PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    return folder


def build(repository: Path, umask: int, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, str(repository / "build.py"), "--environment", "lab"],
        cwd=repository.parent,
        umask=umask,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    one = clone(tmp_path_factory.mktemp("one"))
    other = clone(tmp_path_factory.mktemp("the-other") / "deeper")
    build(one, 0o022, PYTHONHASHSEED="1", TZ="Pacific/Auckland")
    build(other, 0o077, PYTHONHASHSEED="2", TZ="America/New_York", LC_ALL="C")
    return one, other


def test_every_byte_is_the_same(clones: tuple[Path, Path]) -> None:
    one, other = (content(repository / "dist") for repository in clones)
    assert len([name for name in one if name.endswith(".zip")]) == 3
    assert one == other


def test_zips_are_named_by_their_hash_and_templates_name_them(clones: tuple[Path, Path]) -> None:
    dist = clones[0] / "dist"
    zips = {name: digest for name, digest in content(dist).items() if name.endswith(".zip")}
    assert all(name.endswith(f"-{digest}.zip") for name, digest in zips.items())
    root, service = (dist / "root.json").read_text(), (dist / "service.json").read_text()
    assert set(re.findall(r"functions/[a-z]+-\w+\.zip", root)) == set(zips)
    assert set(re.findall(r"functions/[a-z]+-\w+\.zip", service)) == {
        name for name in zips if not name.startswith("functions/rollout")
    }


def test_the_rollout_function_carries_the_other_zips(clones: tuple[Path, Path]) -> None:
    functions = clones[0] / "dist" / "functions"
    others = {
        path.name: path.read_bytes() for path in functions.iterdir() if not path.name.startswith("rollout")
    }
    with ZipFile(next(functions.glob("rollout-*.zip"))) as rollout:
        carried = {name: rollout.read(name) for name in rollout.namelist() if name.startswith("functions/")}
    assert carried == {f"functions/{name}": data for name, data in others.items()}


def test_a_change_of_one_function_changes_its_zip_and_the_one_that_carries_it(
    clones: tuple[Path, Path],
) -> None:
    one, other = clones
    dependencies = other / ".build" / "dependencies"
    before, resolved = (
        content(other / "dist"),
        {path.name: path.stat().st_mtime for path in dependencies.iterdir()},
    )
    handler = other / "src" / "handlers" / "api.py"
    handler.write_text(handler.read_text() + "# changed\n")
    build(other, 0o022)
    after = content(other / "dist")
    assert {name.split("-")[0] for name in set(before) - set(after)} == {
        "functions/service",
        "functions/migrations",
        "functions/rollout",
    }
    assert {name for name in before if after.get(name, before[name]) != before[name]} == {
        "build.json",
        "root.json",
        "service.json",
    }
    assert len(after) == len(before)
    assert {path.name: path.stat().st_mtime for path in dependencies.iterdir()} == resolved
    assert content(one / "dist") == before
