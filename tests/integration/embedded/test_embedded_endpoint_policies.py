"""What the policy of a gateway endpoint does not allow, no function gets to do that goes by way of it."""

import json
from typing import Any

import pytest

from tests.integration.embedded.embedded_aws import EmbeddedAws, delete, deploy, outputs, reasons, unique
from tests.integration.embedded.sessions import allow, deny, document

CODE = """
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

def handle(event, context):
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    client = boto3.client(event["service"], region_name=event.get("region"), config=config)
    try:
        getattr(client, event["does"])(**event["what"])
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
"""


def template(name: str) -> dict[str, Any]:
    """A function in a subnet whose only ways out lead to DynamoDB and S3."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    everything = {"PolicyName": "p", "PolicyDocument": json.loads(document(allow("*")))}
    anywhere = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
    vpc, routes = {"Ref": "Vpc"}, {"Ref": "Routes"}

    def endpoint(service: str) -> tuple[str, dict[str, Any]]:
        where = {"Fn::Sub": f"com.amazonaws.${{AWS::Region}}.{service}"}
        return "EC2::VPCEndpoint", {"VpcId": vpc, "ServiceName": where, "RouteTableIds": [routes]}

    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Vpc": ("EC2::VPC", {"CidrBlock": "10.8.0.0/16"}),
        "Subnet": ("EC2::Subnet", {"VpcId": vpc, "CidrBlock": "10.8.0.0/24"}),
        "Routes": ("EC2::RouteTable", {"VpcId": vpc}),
        "Association": (
            "EC2::SubnetRouteTableAssociation",
            {"SubnetId": {"Ref": "Subnet"}, "RouteTableId": routes},
        ),
        "Group": (
            "EC2::SecurityGroup",
            {"VpcId": vpc, "GroupDescription": "out", "SecurityGroupEgress": [anywhere]},
        ),
        "ToTables": endpoint("dynamodb"),
        "ToBuckets": endpoint("s3"),
        "Table": (
            "DynamoDB::Table",
            {
                "TableName": name,
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            },
        ),
        "Bucket": ("S3::Bucket", {"BucketName": name}),
        "Role": (
            "IAM::Role",
            {
                "RoleName": name,
                "AssumeRolePolicyDocument": json.loads(document(trust)),
                "Policies": [everything],
            },
        ),
        "Function": (
            "Lambda::Function",
            {
                "FunctionName": name,
                "Runtime": "python3.11",
                "Handler": "index.handle",
                "Code": {"ZipFile": CODE},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "VpcConfig": {
                    "SubnetIds": [{"Ref": "Subnet"}],
                    "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}],
                },
            },
        ),
    }
    return {
        "Resources": {
            title: {"Type": f"AWS::{kind}", "Properties": properties}
            for title, (kind, properties) in resources.items()
        },
        "Outputs": {title: {"Value": {"Ref": title}} for title in ("ToTables", "ToBuckets")},
    }


PUT_ITEM = {"service": "dynamodb", "does": "put_item"}
PUT_OBJECT = {"service": "s3", "does": "put_object"}


class Inside:
    """The function, and the policies on its way."""

    def __init__(self, aws: EmbeddedAws, name: str) -> None:
        self._aws = aws
        self.name = name
        self.endpoints = outputs(aws, name)
        self.user = f"arn:aws:sts::{aws.plan.account_id}:assumed-role/{name}/{name}"

    def does(self, request: dict[str, Any]) -> Any:
        event = {
            "dynamodb": {"TableName": self.name, "Item": {"id": {"S": "1"}}},
            "s3": {"Bucket": self.name, "Key": "a", "Body": "b"},
        }[request["service"]]
        answer = self._aws.client("lambda").invoke(
            FunctionName=self.name, Payload=json.dumps({**request, "what": event})
        )
        return json.loads(answer["Payload"].read())

    def endpoint_says(self, endpoint: str, *statements: dict[str, Any]) -> None:
        self._aws.client("ec2").modify_vpc_endpoint(
            VpcEndpointId=self.endpoints[endpoint], PolicyDocument=document(*statements)
        )


@pytest.fixture(scope="module")
def inside(aws: EmbeddedAws) -> Any:
    name = unique("inside")
    assert deploy(aws, name, template(name)) == "CREATE_COMPLETE", reasons(aws, name)
    yield Inside(aws, name)
    aws.client("s3").delete_object(Bucket=name, Key="a")
    assert delete(aws, name) == "DELETE_COMPLETE", reasons(aws, name)


def test_without_a_policy_an_endpoint_lets_everything_pass(inside: Inside) -> None:
    assert inside.does(PUT_ITEM) is None
    assert inside.does(PUT_OBJECT) is None


def test_what_the_policy_denies_is_refused_in_its_name(inside: Inside) -> None:
    inside.endpoint_says("ToTables", deny("*", Principal="*"))
    code, message = inside.does(PUT_ITEM)
    assert code == "AccessDeniedException"
    assert message.startswith(
        f"User: {inside.user} is not authorized to perform: dynamodb:PutItem on resource:"
    )
    assert message.endswith(f"table/{inside.name} with an explicit deny in a VPC endpoint policy")
    inside.endpoint_says("ToBuckets", deny("*", Principal="*"))
    code, message = inside.does(PUT_OBJECT)
    assert code == "AccessDenied"
    assert message.endswith(f"arn:aws:s3:::{inside.name}/a with an explicit deny in a VPC endpoint policy")


def test_what_the_policy_does_not_allow_is_refused(aws: EmbeddedAws, inside: Inside) -> None:
    table = f"arn:aws:dynamodb:us-east-1:{aws.plan.account_id}:table/{inside.name}"
    inside.endpoint_says("ToTables", allow("dynamodb:GetItem", table, Principal="*"))
    _, message = inside.does(PUT_ITEM)
    assert message.endswith("because no VPC endpoint policy allows the dynamodb:PutItem action")
    own = {"StringEquals": {"aws:PrincipalAccount": aws.plan.account_id}}
    inside.endpoint_says("ToTables", allow("dynamodb:*", table, Principal="*", Condition=own))
    assert inside.does(PUT_ITEM) is None
    stranger = {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    inside.endpoint_says("ToBuckets", allow("s3:*", Principal="*", Condition=stranger))
    assert "because no VPC endpoint policy allows the s3:PutObject action" in inside.does(PUT_OBJECT)[1]
    both = {
        "StringEquals": dict.fromkeys(("aws:PrincipalAccount", "aws:ResourceAccount"), aws.plan.account_id)
    }
    inside.endpoint_says("ToBuckets", allow("s3:PutObject", Principal="*", Condition=both))
    assert inside.does(PUT_OBJECT) is None


def test_others_do_not_come_by_way_of_the_endpoint(aws: EmbeddedAws, inside: Inside) -> None:
    inside.endpoint_says("ToTables", deny("*", Principal="*"))
    aws.client("dynamodb").put_item(TableName=inside.name, Item={"id": {"S": "2"}})
