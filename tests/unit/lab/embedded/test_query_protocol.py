"""The Query protocol, both ways."""

from lab.embedded.query_protocol import parsed, rendered


def test_flat_parameters_become_lists_and_mappings() -> None:
    assert parsed(
        {
            "StackSetName": ["set"],
            "Regions.member.2": ["us-east-2"],
            "Regions.member.1": ["us-east-1"],
            "OperationPreferences.RegionOrder.member.1": ["us-east-2"],
            "Parameters.member.1.ParameterKey": ["Key"],
            "Parameters.member.1.ParameterValue": ["a.member.1"],
        }
    ) == {
        "StackSetName": "set",
        "Regions": ["us-east-1", "us-east-2"],
        "OperationPreferences": {"RegionOrder": ["us-east-2"]},
        "Parameters": [{"ParameterKey": "Key", "ParameterValue": "a.member.1"}],
    }


def test_ten_members_keep_their_order() -> None:
    flat = {f"Names.member.{number}": [str(number)] for number in range(1, 12)}
    assert parsed(flat)["Names"] == [str(number) for number in range(1, 12)]


def test_values_become_xml() -> None:
    value = {"Name": "a<b", "Active": True, "Nothing": None, "Regions": ["x", "y"], "Empty": []}
    assert rendered(value) == (
        "<Name>a&lt;b</Name><Active>true</Active>"
        "<Regions><member>x</member><member>y</member></Regions><Empty></Empty>"
    )
