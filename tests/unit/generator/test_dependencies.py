"""Dependencies are resolved by the real `sam build`, and only when something changed."""

import sys
from pathlib import Path

import pytest

from generator.dependencies import failure, resolve
from generator.problems import BuildError

# sam resolves for any runtime whose interpreter it finds; the one at hand always is.
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def requirements(folder: Path, text: str) -> dict[str, Path]:
    file = folder / "rollout.txt"
    file.write_text(text)
    return {"rollout": file}


def test_what_did_not_change_is_not_resolved_again_and_each_platform_has_its_own(tmp_path: Path) -> None:
    nothing = requirements(tmp_path, "# nothing\n")
    first = resolve(nothing, RUNTIME, "arm64", tmp_path / "cache")["rollout"]
    (first / "mark").touch()
    again = resolve(nothing, RUNTIME, "arm64", tmp_path / "cache")["rollout"]
    assert (again / "mark").exists()
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {first.name}
    assert resolve(nothing, RUNTIME, "x86_64", tmp_path / "cache")["rollout"] != first


def test_what_cannot_be_resolved_leaves_nothing_behind(tmp_path: Path) -> None:
    wrong = requirements(tmp_path, "./no-such-directory\n")
    with pytest.raises(BuildError) as raised:
        resolve(wrong, RUNTIME, "arm64", tmp_path / "cache")
    assert str(raised.value).startswith(
        f"{wrong['rollout']}: sam build fails for {RUNTIME} on arm64: PythonPipBuilder"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / ".build").write_text("a file")
    with pytest.raises(BuildError) as raised:
        resolve(requirements(tmp_path, "# nothing\n"), RUNTIME, "arm64", tmp_path / ".build" / "dependencies")
    assert str(raised.value) == (
        f"{tmp_path / '.build' / 'dependencies'}: Not a directory;"
        " make it readable and writable; what is in the cache may be removed at any time"
    )


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        (
            "\nBuild Failed\nError: PythonPipBuilder:ResolveDependencies - {psycopg-binary==3.3.9(wheel)}\n",
            "service.txt: sam build fails for python3.11 on arm64:"
            " PythonPipBuilder:ResolveDependencies - {psycopg-binary==3.3.9(wheel)};"
            " pin versions with wheels for that runtime and architecture, and see that pip reaches its index",
        ),
        (
            "Error: PythonPipBuilder:Validation - Binary validation failed for python, searched for python in"
            " following locations  : ['/usr/bin/python'] which did not satisfy constraints for runtime:"
            " python3.11. Do you have python for runtime: python3.11 on your PATH?\n",
            "service.txt: sam build fails for python3.11 on arm64: PythonPipBuilder:Validation - Binary"
            " validation failed for python, searched for python in following locations  : ['/usr/bin/python']"
            " which did not satisfy constraints for runtime: python3.11. Do you have python for runtime:"
            " python3.11 on your PATH?;"
            " install the interpreter of python3.11, or build on a machine that has it",
        ),
        (
            "/usr/bin/python3: No module named samcli\n",
            "service.txt: sam build fails for python3.11 on arm64:"
            " /usr/bin/python3: No module named samcli; run `make setup`, which installs it",
        ),
    ],
)
def test_a_failure_is_told_in_one_line(errors: str, line: str) -> None:
    assert str(failure(errors, {"service": Path("service.txt")}, "python3.11", "arm64")) == line
