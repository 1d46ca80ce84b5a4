"""Who may import whom: handlers -> adapters -> domain; templates know names and settings only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_OURS = {
    "templates",
    "generator",
    "payments",
    "failover",
    "adapters",
    "handlers",
    "rollout",
    "ops",
    "lab",
    "tools",
}
# Names and settings are everybody's who runs outside of Lambda.
_SETTINGS = {"templates.config", "templates.names"}
# What each package may import of ours, besides itself.
_ARROWS = {
    "templates": set[str](),
    "generator": {"templates"},
    "src/payments": {"failover"},
    "src/failover": set[str](),
    "src/adapters": {"payments", "failover"},
    "src/handlers": {"adapters", "payments", "failover"},
    "src/rollout": {"adapters", "failover"},
    "src/probe": set[str](),
    "ops": {"adapters", "payments", "failover", *_SETTINGS},
    "tools": {"generator", "templates"},
    "lab": {"adapters", "payments", "failover", "generator", "templates", "ops"},
}
_DOMAIN = ("src/payments", "src/failover")
# Rendering is a function of the settings; only these read files and the environment.
_NO_IO = {"boto3", "botocore", "http", "os", "pathlib", "requests", "socket", "subprocess", "urllib"}
_READERS = {"config.py", "reading.py"}


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that the file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def _package(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("package", _ARROWS)
def test_packages_import_along_the_arrows(package: str) -> None:
    allowed = _ARROWS[package] | {package.split("/")[-1]}
    against = {
        (str(path.relative_to(_ROOT)), imported)
        for path in sorted((_ROOT / package).rglob("*.py"))
        for imported in _imports(path)
        if _package(imported) in _OURS and not {imported, _package(imported)} & allowed
    }
    assert not against


@pytest.mark.parametrize("package", _DOMAIN)
def test_the_domain_needs_the_standard_library_only(package: str) -> None:
    foreign = {
        (path.name, imported)
        for path in (_ROOT / package).rglob("*.py")
        for imported in _imports(path)
        if _package(imported) not in sys.stdlib_module_names | _OURS
    }
    assert not foreign


def test_the_probe_needs_what_lambda_brings_only() -> None:
    """It is the whole of its function: no package of ours or of others is with it."""
    imported = {_package(name) for name in _imports(_ROOT / "src" / "probe" / "index.py")}
    assert imported - sys.stdlib_module_names == {"boto3", "botocore"}


def test_rendering_reads_and_writes_nothing() -> None:
    reaching_out = {
        (path.name, imported)
        for path in (_ROOT / "templates").glob("*.py")
        if path.name not in _READERS
        for imported in _imports(path)
        if _package(imported) in _NO_IO
    }
    assert not reaching_out


def test_nothing_refers_by_a_title_in_quotes() -> None:
    """Ref("Vcp") renders happily; an object's own ref() cannot name what is not there."""
    literal = {
        (path.name, call.lineno)
        for path in (_ROOT / "templates").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("Ref", "GetAtt")
        and isinstance(call.args[0], ast.Constant)
        and not str(call.args[0].value).startswith("AWS::")
    }
    assert not literal
