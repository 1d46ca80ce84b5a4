"""The command line of a build: its options, and how what goes wrong is told."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from generator.problems import BuildError

ROOT = Path(__file__).parents[1]
_OURS = frozenset({"generator", "templates"})


def run(build: Callable[[Namespace], None], arguments: Sequence[str], description: str) -> int:
    """The exit code: 0 built; 1 the build found something wrong; 2 wrong usage or configuration."""
    parsed = _parser(description).parse_args(arguments)
    try:
        return _run(build, parsed)
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] in _OURS:
            raise
        there_is = f"build.py: there is no module named {missing.name} here"
        print(f"{there_is}; run `make setup`, then .venv/bin/python", file=sys.stderr)
        return 2


def _run(build: Callable[[Namespace], None], options: Namespace) -> int:
    from templates.config import ConfigurationError  # not before somebody can say that msgspec is missing

    try:
        build(options)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser(description: str) -> ArgumentParser:
    parser = ArgumentParser(prog="build.py", description=description)
    parser.add_argument(
        "--environment", metavar="NAME", help="goes before ENVIRONMENT_SUFFIX, and that before the file"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, default=_here("deployment.toml"), help="default: %(default)s"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=_here("dist"), help="default: %(default)s")
    parser.add_argument("--no-check", dest="check", action="store_false", help="render without checking")
    parser.add_argument("--no-package", dest="package", action="store_false", help="leave the functions out")
    return parser


def _here(name: str) -> Path:
    return Path(os.path.relpath(ROOT / name))
