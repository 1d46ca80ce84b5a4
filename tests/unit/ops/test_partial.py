"""Filling in a template: what is known, and what stays a question to AWS."""

from typing import Any

import pytest

from ops.partial import Partial, references

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Zone": {"Type": "String"},
        "Order": {"Type": "CommaDelimitedList", "Default": "b,a"},
        "Absent": {"Type": "String"},
    },
    "Mappings": {"Regions": {"us-east-1": {"Place": "primary"}, "us-east-2": {"Place": "secondary"}}},
    "Conditions": {
        "IsPrimary": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
        "Neither": {"Fn::Not": [{"Fn::Or": [{"Condition": "IsPrimary"}, {"Condition": "Asked"}]}]},
        "Both": {"Fn::And": [{"Condition": "IsPrimary"}, {"Condition": "Asked"}]},
        "Asked": {"Fn::Equals": [{"Ref": "Absent"}, "yes"]},
    },
    "Resources": {
        "Here": {"Type": "A::B::C", "Condition": "IsPrimary"},
        "Perhaps": {"Type": "A::B::C", "Condition": "Asked"},
        "Always": {
            "Type": "A::B::C",
            "Properties": {"Gone": {"Fn::If": ["IsPrimary", 1, {"Ref": "AWS::NoValue"}]}},
        },
    },
}


def partial(region: str = "us-east-1") -> Partial:
    return Partial(TEMPLATE, region, {"Zone": "Z1"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Zone"}, "Z1"),
        ({"Ref": "Order"}, ["b", "a"]),
        ({"Ref": "Absent"}, {"Ref": "Absent"}),
        ({"Ref": "Here"}, {"Ref": "Here"}),
        ({"Fn::If": ["IsPrimary", "x", "y"]}, "x"),
        ({"Fn::If": ["Neither", "x", "y"]}, "y"),
        ({"Fn::If": ["Both", {"Ref": "Zone"}, "y"]}, {"Fn::If": ["Both", "Z1", "y"]}),
        ({"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Place"]}, "primary"),
        ({"Fn::Sub": "${Zone}-${AWS::Region}"}, "Z1-us-east-1"),
        ({"Fn::Sub": "${Zone}-${Here.Arn}"}, {"Fn::Sub": "Z1-${Here.Arn}"}),
        ({"Fn::Sub": ["${Zone}${x}", {"x": {"Ref": "Zone"}}]}, {"Fn::Sub": ["Z1${x}", {"x": "Z1"}]}),
        ({"Fn::Join": ["/", ["a", {"Ref": "Zone"}]]}, "a/Z1"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "p,q"]}]}, "q"),
        ({"Fn::GetAtt": ["Here", "Arn"]}, {"Fn::GetAtt": ["Here", "Arn"]}),
    ],
)
def test_what_is_known_is_filled_in(value: Any, expected: Any) -> None:
    assert partial().resolve(value) == expected


def test_a_condition_that_nobody_can_decide_keeps_its_resource() -> None:
    assert partial("us-east-2").resources().keys() == {"Perhaps", "Always"}
    assert partial("us-east-2").resources()["Always"]["Properties"] == {}
    assert partial().resources().keys() == {"Here", "Perhaps", "Always"}


def test_references_are_found_wherever_they_are() -> None:
    value = [
        {"Ref": "A"},
        {"x": {"Fn::GetAtt": ["B", "Arn"]}},
        {"Fn::GetAtt": "C.Arn"},
        {"Fn::Sub": "${D}${E.Arn}${!no}"},
        {"Fn::Sub": ["${F}", {"g": {"Ref": "G"}}]},
    ]
    assert set(references(value)) == {"A", "B", "C", "D", "E", "F", "G"}
