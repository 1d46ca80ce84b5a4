"""What the default configuration deploys, so that a change to infrastructure can be read as a difference."""

import json
from difflib import unified_diff
from functools import cache
from pathlib import Path

import pytest

from generator.render import render
from templates.config import load

_HERE = Path(__file__).parent
_DEPLOYMENT = _HERE.parents[1] / "deployment.toml"


@cache
def _rendered() -> dict[str, str]:
    texts = render(load(_DEPLOYMENT, None, {}))
    return {
        name: json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n" for name, text in texts.items()
    }


@pytest.mark.parametrize("name", ["zone", "foundation", "data", "service", "witness", "root"])
def test_the_template_is_the_golden_one(name: str, update_golden: bool) -> None:
    golden = _HERE / f"{name}.json"
    if update_golden:
        golden.write_text(_rendered()[name], "utf-8")
    expected = golden.read_text("utf-8")
    lines = unified_diff(expected.splitlines(), _rendered()[name].splitlines(), "golden", "rendered", n=1)
    difference = "\n".join(lines)
    assert not difference, f"if this is intended, pytest tests/golden --update-golden:\n{difference}"


def test_every_template_has_a_golden_one() -> None:
    assert {path.stem for path in _HERE.glob("*.json")} == set(_rendered())
