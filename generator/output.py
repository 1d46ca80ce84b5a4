"""Writes what was built: all of it or nothing."""

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from msgspec.json import decode, encode, format

from generator.problems import BuildError, Problem, usable
from generator.recovery import worst_case
from templates.config import Settings

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
_TOOLS = ("aws-sam-cli", "awacs", "cloudformation-validate", "troposphere")


def write(out: Path, texts: Mapping[str, str], zips: Mapping[str, Path], settings: Settings) -> None:
    """Makes the directory `out` anew: templates, ``functions/``, ``build.json``; or leaves it as it was.

    Raises BuildError when `out` cannot be written, or is something else than an earlier build.
    """
    out = out.resolve()
    draft, old = (out.with_name(f".{out.name}.{word}-{os.getpid()}") for word in ("new", "old"))
    try:
        with usable(out, "make it writable, or use --out"):
            if out.exists() and not _replaceable(out):
                raise BuildError(
                    Problem(str(out), "is not the output of a build", "name another place with --out")
                )
            draft.mkdir(parents=True)
            for name, text in texts.items():
                (draft / f"{name}.json").write_text(text, "utf-8")
            if zips:
                (draft / "functions").mkdir()
            for file in zips.values():
                (draft / "functions" / file.name).write_bytes(file.read_bytes())
            (draft / "build.json").write_text(manifest(texts, settings), "utf-8")
            if out.exists():
                out.rename(old)
            draft.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for leftover in (draft, old):
            _remove(leftover)


def manifest(texts: Mapping[str, str], settings: Settings) -> str:
    """What was built, for people and tools that do not want to read templates."""
    templates = {name: decode(text) for name, text in texts.items()}
    places, objectives = settings.regions, settings.objectives
    document = {
        "service": settings.service,
        "environment": settings.environment,
        "regions": {
            "primary": places.primary,
            "secondary": places.secondary,
            "witness": places.witness,
        },
        "objectives": {"rpo_minutes": objectives.rpo_minutes, "rto_minutes": objectives.rto_minutes},
        "failover": {"automatic": settings.failover.automatic},
        "worst_case_rto_seconds": worst_case(templates["service"])._asdict(),
        "versions": {
            "engine": settings.database.engine_version,
            "runtime": settings.functions.runtime,
            "architecture": settings.functions.architecture,
            "tools": _pins(REQUIREMENTS.read_text("utf-8")),
        },
        "templates": {
            name: {
                "bytes": len(text.encode()),
                "resources": len(templates[name]["Resources"]),
                "sha256": sha256(text.encode()).hexdigest(),
            }
            for name, text in texts.items()
        },
    }
    return format(encode(document), indent=2).decode() + "\n"


def _pins(requirements: str) -> dict[str, str]:
    """The tools that decide what comes out, as pinned: asking what is installed costs more than rendering."""
    pins = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)", requirements, re.MULTILINE))
    return {tool: pins[tool] for tool in _TOOLS}


def _replaceable(out: Path) -> bool:
    return out.is_dir() and ((out / "build.json").is_file() or not any(out.iterdir()))


def _remove(folder: Path) -> None:
    if folder.is_dir():  # shutil could do this, for more than all the rest of writing costs
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.is_symlink():
                _remove(inner)
            else:
                inner.unlink()
        folder.rmdir()
