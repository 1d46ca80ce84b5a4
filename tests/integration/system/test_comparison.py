"""The comparison that proves resources notices what it must, and only that."""

from typing import Any

import pytest

from tests.integration.system.comparison import Seen, differences


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"Days": 7}, {"Days": 7, "Prefix": ""}),
        ([{"Id": "a"}, {"Id": "b"}], [{"Id": "b"}, {"Id": "a", "More": 1}]),
        ({"Tags": [{"Key": "Name"}]}, {"Tags": [{"Key": "aws:stack"}, {"Key": "Name"}]}),
        ("file", Seen("FILE", str.upper)),
        (1, 1.0),
    ],
)
def test_what_a_service_adds_is_no_difference(expected: Any, found: Any) -> None:
    assert not list(differences(expected, found))


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        ({"Rule": {"Days": 7}}, {"Rule": {"Days": 8}}, "Rule.Days: expected 7, found 8"),
        ({"Days": 7}, {}, "Days: expected 7, found None"),
        ({"Cidrs": ["a"]}, {"Cidrs": ["a", "b"]}, "Cidrs: expected 'nothing else', found ['b']"),
        ({"Cidrs": ["a", "b"]}, {"Cidrs": ["b"]}, "Cidrs: expected ['a'], found []"),
        ({"Rules": [{"Id": 1}]}, {"Rules": [{"Id": 2}]}, "Rules[0].Id: expected 1, found 2"),
        ({"Tags": ["a"]}, {"Tags": ["b"]}, "Tags[0]: expected 'a', found 'b'"),
        ({"On": True}, {"On": 1}, "On: expected True, found 1"),
    ],
)
def test_what_is_missing_other_or_too_much_is_a_difference(expected: Any, found: Any, said: str) -> None:
    assert [str(one) for one in differences(expected, found)] == [said]
