"""Resolves what the functions depend on, with `sam build`, and resolves again only what changed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from generator.problems import CACHE_ADVICE, BuildError, Problem, usable

_RESOLVERS = ("aws-sam-cli", "aws_lambda_builders", "pip")


def resolve(
    requirements: Mapping[str, Path], runtime: str, architecture: str, cache: Path
) -> dict[str, Path]:
    """A directory with the installed dependencies of each set, for the platform the functions will run on.

    Raises BuildError when a set cannot be resolved, or the cache not be used; what was resolved stays in it.
    """
    resolved = {
        name: cache / f"{name}-{_key(file, runtime, architecture)}" for name, file in requirements.items()
    }
    if missing := [name for name, directory in resolved.items() if not directory.is_dir()]:
        with usable(cache, CACHE_ADVICE):
            cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=cache, prefix="sam-") as work:
                built = _sam_build(
                    {name: requirements[name] for name in missing}, runtime, architecture, Path(work)
                )
                for name in missing:
                    _adopt(built / name.capitalize(), resolved[name])
    return resolved


def _key(file: Path, runtime: str, architecture: str) -> str:
    """Names everything the outcome depends on."""
    tools = [f"{tool} {version(tool)}" for tool in _RESOLVERS]
    seed = "\n".join([file.read_text("utf-8"), runtime, architecture, sys.version, *tools])
    return sha256(seed.encode()).hexdigest()[:16]


def _sam_build(requirements: Mapping[str, Path], runtime: str, architecture: str, work: Path) -> Path:
    """Runs it over functions that consist of a requirements file only: our own code needs no resolving."""
    for name, file in requirements.items():
        (work / name).mkdir()
        shutil.copyfile(file, work / name / "requirements.txt")
    template = work / "template.json"
    template.write_text(json.dumps(_sam_template(requirements, runtime, architecture)), "utf-8")
    built = work / "built"
    command = [
        sys.executable,
        "-m",
        "samcli",
        "build",
        "--template",
        str(template),
        "--build-dir",
        str(built),
    ]
    environment = {
        **os.environ,
        # sam looks for the runtime's interpreter on the PATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "SAM_CLI_TELEMETRY": "0",
    }
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(failure(done.stderr, requirements, runtime, architecture))
    return built


def _sam_template(names: Iterable[str], runtime: str, architecture: str) -> dict[str, object]:
    return {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            name.capitalize(): {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": name,
                    "Handler": "unused.handle",
                    "Runtime": runtime,
                    "Architectures": [architecture],
                },
            }
            for name in names
        },
    }


def failure(errors: str, requirements: Mapping[str, Path], runtime: str, architecture: str) -> Problem:
    """What `sam build` says at length, in one line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reason = next((line for line in lines if line.startswith("Error:")), lines[-1] if lines else "no message")
    reason = reason.removeprefix("Error:").strip()
    if "No module named samcli" in errors:
        todo = "run `make setup`, which installs it"
    elif "Binary validation failed" in errors:
        todo = f"install the interpreter of {runtime}, or build on a machine that has it"
    else:
        todo = (
            "pin versions with wheels for that runtime and architecture, and see that pip reaches its index"
        )
    files = ", ".join(str(file) for file in requirements.values())
    return Problem(files, f"sam build fails for {runtime} on {architecture}: {reason}", todo)


def _adopt(built: Path, directory: Path) -> None:
    try:
        built.rename(directory)
    except OSError:
        if not directory.is_dir():  # else another build was faster, with the same outcome
            raise
