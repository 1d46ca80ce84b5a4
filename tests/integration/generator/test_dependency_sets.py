"""What is resolved for AWS is exactly what is pinned, and runs there."""

import re
from pathlib import Path

import pytest

from generator.dependencies import resolve
from generator.package import CACHE, SETS, SOURCE

ELF_MACHINE = {"arm64": 0xB7, "x86_64": 0x3E}
# Amazon Linux 2, which Lambda's python3.11 runs on.
NEWEST_GLIBC = (2, 26)


@pytest.fixture(scope="module", params=sorted(ELF_MACHINE))
def resolved(request: pytest.FixtureRequest) -> tuple[str, dict[str, Path]]:
    requirements = {name: SOURCE / "requirements" / f"{name}.txt" for name in SETS}
    return request.param, resolve(requirements, "python3.11", request.param, CACHE / "dependencies")


def test_everything_is_pinned_and_nothing_else_comes_along(resolved: tuple[str, dict[str, Path]]) -> None:
    for name, directory in resolved[1].items():
        pins = re.findall(
            r"^([\w-]+)==(\S+)$", (SOURCE / "requirements" / f"{name}.txt").read_text(), re.MULTILINE
        )
        installed = [path.name.removesuffix(".dist-info") for path in directory.glob("*.dist-info")]
        assert {f"{project.replace('-', '_')}-{version}" for project, version in pins} == set(installed)


def test_compiled_code_is_for_the_platform(resolved: tuple[str, dict[str, Path]]) -> None:
    architecture, directories = resolved
    for name in ("service", "migrations"):
        libraries = [path for path in directories[name].rglob("*") if ".so" in path.suffixes]
        assert libraries
        for library in libraries:
            content = library.read_bytes()
            assert content[:4] == b"\x7fELF"
            assert int.from_bytes(content[18:20], "little") == ELF_MACHINE[architecture], library
            needed = {tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", content)}
            assert all(version <= NEWEST_GLIBC for version in needed), library


def test_boto3_is_left_to_the_runtime(resolved: tuple[str, dict[str, Path]]) -> None:
    assert not any((directory / "boto3").exists() for directory in resolved[1].values())
