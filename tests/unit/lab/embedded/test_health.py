"""What a health check's settings make of what its checkers found."""

import pytest

from lab.embedded.health import Observed, status


def after(*results: bool, threshold: int) -> Observed:
    seen = Observed()
    for result in results:
        seen.take(result, threshold)
    return seen


def test_it_takes_as_many_results_in_a_row_to_change_in_either_direction() -> None:
    assert after(False, False, threshold=3).healthy
    assert after(False, False, True, False, False, threshold=3).healthy
    assert not after(False, False, False, threshold=3).healthy
    red = (False, False, False)
    assert not after(*red, True, True, threshold=3).healthy
    assert not after(*red, True, True, False, True, True, threshold=3).healthy
    assert after(*red, True, True, True, threshold=3).healthy


@pytest.mark.parametrize("seen", [None, Observed(), Observed(healthy=False)])
@pytest.mark.parametrize("disabled", ["true", "false"])
@pytest.mark.parametrize("inverted", ["true", "false"])
def test_a_check_that_is_disabled_or_not_looked_at_yet_is_healthy_unless_inverted(
    seen: Observed | None, disabled: str, inverted: str
) -> None:
    found = seen is None or disabled == "true" or seen.healthy
    assert status({"Disabled": disabled, "Inverted": inverted}, seen) is (found != (inverted == "true"))
