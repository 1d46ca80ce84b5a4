"""Packages the functions: one zip per dependency set, the same byte for byte wherever it is built."""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from generator.dependencies import resolve
from generator.problems import CACHE_ADVICE, BuildError, Problem, usable
from templates.config import Settings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
CACHE = ROOT / ".build"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNZIPPED_BYTES = 250 * 1024 * 1024


class DependencySet(NamedTuple):
    """Functions that need the same third-party code share one zip."""

    packages: tuple[str, ...]
    with_sql: bool = False
    with_zips: bool = False


_SERVICE = ("payments", "failover", "adapters", "handlers")
SETS = {
    "service": DependencySet(_SERVICE),
    "migrations": DependencySet(_SERVICE, with_sql=True),
    # Carries the other zips to the bucket of each region; so it comes last.
    "rollout": DependencySet(("rollout", "adapters", "failover"), with_zips=True),
}


def package(settings: Settings) -> dict[str, Path]:
    """The zip of each dependency set, made or found in the cache; its name tells what is in it.

    Raises BuildError when dependencies cannot be resolved, the cache is of no use, or a zip is more than
    Lambda takes.
    """
    requirements = {name: SOURCE / "requirements" / f"{name}.txt" for name in SETS}
    functions = settings.functions
    dependencies = resolve(requirements, functions.runtime, functions.architecture, CACHE / "dependencies")
    zips: dict[str, Path] = {}
    for name, parts in SETS.items():
        entries = dict(installed(dependencies[name]))
        for source in parts.packages:
            entries.update(own(SOURCE, source, with_sql=parts.with_sql))
        if parts.with_zips:
            entries.update((f"functions/{file.name}", file) for file in zips.values())
        zips[name] = assemble(name, entries, CACHE / "functions")
    return zips


def named(texts: Mapping[str, str], zips: Mapping[str, Path]) -> dict[str, str]:
    """The templates with the names of the zips in the place of their tokens."""
    replacements = {f"{name}-UNPACKAGED.zip": file.name for name, file in zips.items()}
    finished = {name: _replaced(text, replacements) for name, text in texts.items()}
    # Hashes by which the root template tells that a regional one has changed: those of the finished ones.
    hashes = {_hash(text): _hash(finished[name]) for name, text in texts.items()}
    finished["root"] = _replaced(finished["root"], hashes)
    for name, text in finished.items():
        if "UNPACKAGED" in text:
            raise BuildError(
                Problem(f"{name}.json", "names a zip nobody makes", f"use one of {', '.join(replacements)}")
            )
    return finished


def installed(directory: Path) -> Iterator[tuple[str, Path]]:
    """What a function needs of its dependencies: no scripts, no tests, nothing machines disagree about."""
    for path, file in _files(directory):
        top = path.parts[0]
        if top == "bin" or top.endswith(".data") or path == PurePosixPath("requirements.txt"):
            continue
        if top.endswith(".dist-info") and path.name in {
            "RECORD",
            "INSTALLER",
            "REQUESTED",
            "direct_url.json",
        }:
            continue
        if {"tests", "test"}.isdisjoint(path.parts[:-1]):
            yield str(path), file


def own(source: Path, name: str, *, with_sql: bool) -> Iterator[tuple[str, Path]]:
    """The files of one of our packages."""
    for path, file in _files(source / name):
        if with_sql or path.suffix != ".sql":
            yield f"{name}/{path}", file


def _files(directory: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and not name.endswith((".pyc", "~")):
                file = Path(folder, name)
                yield PurePosixPath(file.relative_to(directory).as_posix()), file


def assemble(name: str, entries: Mapping[str, Path], cache: Path) -> Path:
    """The zip of some files by the paths they have in it, from the cache if it is there.

    The same content gives the same bytes, wherever Python is linked with the same zlib.
    """
    size = sum(file.stat().st_size for file in entries.values())
    if size > UNZIPPED_BYTES:
        raise BuildError(
            Problem(
                f"the zip of {name}",
                f"has {size} bytes unzipped, Lambda takes {UNZIPPED_BYTES}",
                f"look for what is large in src/requirements/{name}.txt",
            )
        )
    content = {path: file.read_bytes() for path, file in sorted(entries.items())}
    fingerprint = sha256(b"zip 1\n")
    for path, data in content.items():
        fingerprint.update(f"{path}\n{_bytes_hash(data)}\n".encode())
    place = cache / f"{name}-{fingerprint.hexdigest()[:16]}"
    with usable(place, CACHE_ADVICE):
        made = next(iter(place.glob("*.zip")), None)
        return made or _write_zip(place, name, content)


def _write_zip(place: Path, name: str, content: Mapping[str, bytes]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".draft-{os.getpid()}"
    with ZipFile(draft, "w") as archive:
        for path, data in content.items():
            entry = ZipInfo(path)  # dated 1980-01-01, the earliest a zip knows
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, also when built elsewhere
            entry.compress_type = ZIP_STORED if path.endswith(".zip") else ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=9)
    finished = place / f"{name}-{_bytes_hash(draft.read_bytes())}.zip"
    draft.rename(finished)
    return finished


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def _hash(text: str) -> str:
    return _bytes_hash(text.encode())


def _bytes_hash(data: bytes) -> str:
    return sha256(data).hexdigest()
