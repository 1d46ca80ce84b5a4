"""The validator, the limits and the rules have nothing to say, whatever is configured."""

import pytest

from generator.check import check
from generator.render import render
from tests.rules.variants import SETTINGS


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_build_of_the_variant_finds_nothing(name: str) -> None:
    settings = SETTINGS[name]()
    assert all("can be sent inline" in note for note in check(render(settings), settings))
