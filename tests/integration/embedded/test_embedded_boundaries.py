"""What a role's own policies grant beyond its permissions boundary does not count."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import HOME, EmbeddedAws, delete, deploy, unique
from tests.integration.embedded.sessions import allow


def _template(role: str, *, bounded: bool) -> dict[str, Any]:
    """A role that may list tables and topics, and a boundary that knows of tables only."""

    def document(*statements: dict[str, Any]) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": list(statements)}

    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    properties: dict[str, Any] = {
        "RoleName": role,
        "AssumeRolePolicyDocument": document(trust),
        "Policies": [
            {
                "PolicyName": "granted",
                "PolicyDocument": document(allow(["dynamodb:ListTables", "sns:ListTopics"])),
            }
        ],
    }
    if bounded:
        properties["PermissionsBoundary"] = {"Ref": "Boundary"}
    return {
        "Resources": {
            "Boundary": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": document(allow(["dynamodb:ListTables"]))},
            },
            "Role": {"Type": "AWS::IAM::Role", "Properties": properties},
        }
    }


def _client(aws: EmbeddedAws, role: str, service: str) -> Any:
    arn = aws.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    taken = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return aws.client(
        service, HOME, taken["AccessKeyId"], secret_key=taken["SecretAccessKey"], token=taken["SessionToken"]
    )


def test_a_boundary_takes_away_what_the_role_was_granted_and_goes_with_an_update(aws: EmbeddedAws) -> None:
    role, stack = unique("bounded"), unique("stack")
    assert deploy(aws, stack, _template(role, bounded=True)) == "CREATE_COMPLETE"
    boundary = aws.client("iam").get_role(RoleName=role)["Role"]["PermissionsBoundary"]
    assert ":policy/" in boundary["PermissionsBoundaryArn"]
    assert "TableNames" in _client(aws, role, "dynamodb").list_tables()
    with pytest.raises(ClientError, match=r"AuthorizationError|AccessDenied"):
        _client(aws, role, "sns").list_topics()

    assert deploy(aws, stack, _template(role, bounded=False)) == "UPDATE_COMPLETE"
    assert "PermissionsBoundary" not in aws.client("iam").get_role(RoleName=role)["Role"]
    assert "Topics" in _client(aws, role, "sns").list_topics()
    assert delete(aws, stack) == "DELETE_COMPLETE"
