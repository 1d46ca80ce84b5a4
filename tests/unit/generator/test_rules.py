"""The project's laws: each is broken once, and what it says then is part of it."""

from typing import Any

import pytest

from generator.rules import STATEFUL, broken

KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def found(template: dict[str, Any], name: str = "data", *, disposable: bool = False) -> list[str]:
    return [str(problem) for problem in broken(name, {"Resources": {}, **template}, disposable=disposable)]


def policy(**statement: object) -> dict[str, Any]:
    document = {"Statement": [{"Effect": "Allow", **statement}]}
    return {
        "Resources": {"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}}
    }


AT = "data.json: Resources.P.Properties.PolicyDocument.Statement.0"


def test_every_output_says_what_it_is() -> None:
    assert found({"Outputs": {"A": {"Value": "1", "Description": "The first."}}}) == []
    assert found({"Outputs": {"A": {"Value": "1"}}}) == [
        "data.json: Outputs.A: has no description; say what it is, to whoever reads the stack"
    ]


@pytest.mark.parametrize("kind", sorted(STATEFUL))
def test_what_happens_to_data_is_decided(kind: str) -> None:
    assert found({"Resources": {"D": {"Type": kind, **KEPT}}}) == []
    assert found({"Resources": {"D": {"Type": kind}}}) == [
        f"data.json: Resources.D: a {kind} with DeletionPolicy missing;"
        " pass it through templates.lifetime.keep",
        f"data.json: Resources.D: a {kind} with UpdateReplacePolicy missing;"
        " pass it through templates.lifetime.keep",
    ]


def test_data_is_deleted_in_test_environments_only() -> None:
    gone = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain"}
    assert found({"Resources": {"D": gone}}, disposable=True) == []
    assert found({"Resources": {"D": gone}}) == [
        "data.json: Resources.D: a AWS::S3::Bucket with DeletionPolicy Delete;"
        " pass it through templates.lifetime.keep"
    ]


def test_credentials_are_never_written_down() -> None:
    line = "{}: holds a credential in the clear; generate it in Secrets Manager and refer to it with {}"
    resolve = "{{resolve:secretsmanager:...}}"

    def cluster(password: object) -> dict[str, Any]:
        properties = {"MasterUserPassword": password}
        return {"Resources": {"C": {"Type": "AWS::RDS::DBCluster", "Properties": properties, **KEPT}}}

    assert found(cluster("{{resolve:secretsmanager:x:SecretString:password}}")) == []
    assert found(cluster({"Ref": "Password"})) == []
    assert found(cluster("hunter2hunter2")) == [
        line.format("data.json: Resources.C.Properties.MasterUserPassword", resolve)
    ]
    key = "AKIA" + "A1B2C3D4E5F6G7H8"
    assert found({"Description": f"with {key}"}) == [line.format("data.json: Description", resolve)]


def test_a_wildcard_has_a_reason() -> None:
    assert found(policy(Action="s3:GetObject", Resource="arn:aws:s3:::x/*")) == []
    assert found(policy(Action="ec2:DescribeVpcs", Resource="*", Sid="NoResourceLevel")) == []
    assert found(policy(Action=["s3:*"], Resource="arn:aws:s3:::x")) == [
        f"{AT}: has the wildcard 's3:*' without a Sid; narrow it, or name why in a Sid"
    ]
    assert found(policy(Action="ec2:DescribeVpcs", Resource=["*"])) == [
        f"{AT}: has the wildcard '*' without a Sid; narrow it, or name why in a Sid"
    ]
    assert found(policy(Action="*", Resource="*", Effect="Deny")) == []


def test_nothing_is_allowed_by_what_it_is_not() -> None:
    assert found(policy(NotAction="iam:*", Resource="arn:aws:s3:::x")) == [
        f"{AT}: allows by NotAction; name what is allowed instead"
    ]


@pytest.mark.parametrize("everybody", ["*", {"AWS": "*"}, {"AWS": ["*"]}])
def test_nothing_is_allowed_to_everybody(everybody: object) -> None:
    statement = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*", "Principal": everybody}
    assert found(policy(**statement)) == [f"{AT}: allows everybody, without a condition; name the principal"]
    assert found(policy(**statement, Condition={"Bool": {"aws:SecureTransport": "true"}})) == []


def test_regional_templates_need_no_transform() -> None:
    transform = {"Transform": "AWS::Serverless-2016-10-31"}
    assert found(transform) == ["data.json: uses a transform; render what the transform would have made"]
    assert found(transform, "root") == []
    included = {
        "Resources": {"D": {"Type": "AWS::SNS::Topic", "Properties": {"Fn::Transform": {"Name": "x"}}}}
    }
    assert found(included) == ["data.json: uses a transform; render what the transform would have made"]


@pytest.mark.parametrize("kind", ["AWS::CloudFormation::Stack", "AWS::Serverless::Function"])
def test_regional_templates_hold_nothing_that_is_expanded(kind: str) -> None:
    assert found({"Resources": {"D": {"Type": kind}}}) == [
        f"data.json: Resources.D: a {kind}, which a regional template cannot hold;"
        " declare what it consists of"
    ]
