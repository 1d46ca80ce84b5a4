"""Roles for the tests of what a policy is worth, and clients with a session of one."""

import json
from typing import Any

from tests.integration.embedded.embedded_aws import HOME, EmbeddedAws, unique

Statement = dict[str, Any]


def document(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resource: str = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def deny(actions: str | list[str], **more: Any) -> Statement:
    return {**allow(actions, **more), "Effect": "Deny"}


def of_account(aws: EmbeddedAws) -> dict[str, Any]:
    return {"Principal": {"AWS": f"arn:aws:iam::{aws.plan.account_id}:root"}}


class Role:
    """A role anybody of the account may take, with one policy that can be replaced."""

    def __init__(self, aws: EmbeddedAws, *statements: Statement, service: str | None = None) -> None:
        self._aws = aws
        self._iam = aws.client("iam")
        self.name = unique("role")
        principal = {"Service": service} if service else {"AWS": "*"}
        trust = document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
        created = self._iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=trust)
        self.arn = str(created["Role"]["Arn"])
        self.may(*statements)

    def may(self, *statements: Statement) -> None:
        self._iam.put_role_policy(
            RoleName=self.name, PolicyName="granted", PolicyDocument=document(*statements)
        )

    def client(self, service: str, region: str = HOME) -> Any:
        taken = self._aws.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="test")["Credentials"]
        return self._aws.client(
            service,
            region,
            taken["AccessKeyId"],
            secret_key=taken["SecretAccessKey"],
            token=taken["SessionToken"],
        )
