"""A link ties an export to its imports."""

from templates.links import Link
from templates.names import Names

NAMES = Names("payments", "prod", "payments.example.com")
VPC_ID = Link("Network", "VpcId", "The private network of the region.")


def test_what_is_published_is_what_is_read() -> None:
    output = VPC_ID.publish(NAMES, "vpc-1")
    assert output.title == "VpcId"
    assert output.to_dict() == {
        "Description": "The private network of the region.",
        "Export": {"Name": "payments-prod-Network-VpcId"},
        "Value": "vpc-1",
    }
    assert VPC_ID.read(NAMES).to_dict() == {"Fn::ImportValue": "payments-prod-Network-VpcId"}
