"""Zips are the same bytes wherever they are made, and hold what a function needs and nothing else."""

import os
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from generator.package import assemble, installed, named, own
from generator.problems import BuildError


def tree(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")
    return folder


def test_dependencies_without_noise(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "requirements.txt",
        "bin/tool",
        "six.py",
        "psycopg/__init__.py",
        "psycopg/__pycache__/__init__.cpython-311.pyc",
        "psycopg/tests/test_x.py",
        "psycopg_binary.libs/libpq.so.5",
        "psycopg-3.dist-info/METADATA",
        "psycopg-3.dist-info/RECORD",
        "psycopg-3.dist-info/INSTALLER",
        "psycopg-3.dist-info/licenses/LICENSE",
        "jmespath-1.data/scripts/jp.py",
    )
    assert {path for path, _ in installed(tmp_path)} == {
        "six.py",
        "psycopg/__init__.py",
        "psycopg_binary.libs/libpq.so.5",
        "psycopg-3.dist-info/METADATA",
        "psycopg-3.dist-info/licenses/LICENSE",
    }


def test_a_cache_of_zips_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "cache")
    with pytest.raises(BuildError, match=r"service-\w+: Not a directory; make it readable and writable"):
        assemble("service", {"a.py": tmp_path / "a.py"}, tmp_path / "cache" / "functions")


def test_our_own_packages_with_or_without_sql(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "adapters/a.py",
        "adapters/ca.pem",
        "adapters/migrations/1.sql",
        "adapters/.a.py.swp",
        "other/b.py",
    )
    assert {path for path, _ in own(tmp_path, "adapters", with_sql=False)} == {
        "adapters/a.py",
        "adapters/ca.pem",
    }
    assert {path for path, _ in own(tmp_path, "adapters", with_sql=True)} == {
        "adapters/a.py",
        "adapters/ca.pem",
        "adapters/migrations/1.sql",
    }


def test_a_zip_depends_on_nothing_but_its_content(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", "b.py", "a/c.py")
    other = tree(tmp_path / "other", "a/c.py", "b.py")
    (other / "b.py").chmod(0o700)
    os.utime(other / "b.py", (1, 1))
    first = assemble("service", {"b.py": one / "b.py", "a/c.py": one / "a/c.py"}, tmp_path / "cache")
    second = assemble("service", {"a/c.py": other / "a/c.py", "b.py": other / "b.py"}, tmp_path / "cache2")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    with ZipFile(first) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a/c.py", "b.py"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert archive.read("b.py") == b"# b.py\n"


def test_a_zip_is_named_by_its_hash_and_made_once(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", "a.py")
    first = assemble("service", {"a.py": source / "a.py"}, tmp_path / "cache")
    assert first.name == f"service-{sha256(first.read_bytes()).hexdigest()}.zip"
    made = first.stat().st_mtime_ns
    assert assemble("service", {"a.py": source / "a.py"}, tmp_path / "cache").stat().st_mtime_ns == made
    (source / "a.py").write_text("changed")
    assert assemble("service", {"a.py": source / "a.py"}, tmp_path / "cache").name != first.name


def test_a_zip_that_lambda_would_refuse(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(250 * 1024 * 1024 + 1)  # a hole: it takes no space
    with pytest.raises(BuildError) as raised:
        assemble("service", {"large": large}, tmp_path / "cache")
    assert str(raised.value) == (
        "the zip of service: has 262144001 bytes unzipped, Lambda takes 262144000;"
        " look for what is large in src/requirements/service.txt"
    )


def test_tokens_become_names_and_hashes_those_of_the_finished_templates() -> None:
    service = '{"S3Key":"functions/service-UNPACKAGED.zip"}'
    before = sha256(service.encode()).hexdigest()
    finished = named(
        {"service": service, "root": f'{{"Keys":["functions/service-UNPACKAGED.zip"],"Hash":"{before}"}}'},
        {"service": Path("/x/service-abc.zip")},
    )
    after = sha256(finished["service"].encode()).hexdigest()
    assert finished == {
        "service": '{"S3Key":"functions/service-abc.zip"}',
        "root": f'{{"Keys":["functions/service-abc.zip"],"Hash":"{after}"}}',
    }


def test_a_token_nobody_replaces() -> None:
    with pytest.raises(BuildError) as raised:
        named({"root": "functions/other-UNPACKAGED.zip"}, {"service": Path("service-abc.zip")})
    assert str(raised.value) == "root.json: names a zip nobody makes; use one of service-UNPACKAGED.zip"
