"""The preferences of an operation: the order of regions and how much may fail."""

import pytest

from lab.embedded.stackset_state import Preferences, parameter_values


def test_region_order_comes_first_and_never_adds_a_region() -> None:
    preferences = Preferences({"RegionOrder": ["c", "z", "a"]})
    assert preferences.ordered(["a", "b", "c", "b"]) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("document", "accounts", "tolerated"),
    [({}, 5, 0), ({"FailureToleranceCount": 2}, 5, 2), ({"FailureTolerancePercentage": 50}, 5, 2)],
)
def test_tolerated_failures_round_down(document: dict[str, int], accounts: int, tolerated: int) -> None:
    assert Preferences(document).tolerated_failures(accounts) == tolerated


def test_previous_values_are_taken_only_where_asked() -> None:
    parameters = [
        {"ParameterKey": "A", "ParameterValue": "new"},
        {"ParameterKey": "B", "UsePreviousValue": "true"},
        {"ParameterKey": "C", "UsePreviousValue": "true"},
    ]
    assert parameter_values(parameters, {"A": "old", "B": "old"}) == {"A": "new", "B": "old"}
