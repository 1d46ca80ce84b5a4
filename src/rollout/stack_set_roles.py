"""Custom::StackSetRoles: waits until the administration role can really assume the execution role.

IAM is eventually consistent; a StackSet created right after its roles fails: "Account should have ... role".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import boto3

from adapters.custom_resource import Request
from rollout.waiting import until_allowed

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef


Sts = Callable[["CredentialsTypeDef | None"], "STSClient"]


def stack_set_roles(request: Request) -> Mapping[str, str]:
    return wait_for_roles(request, _sts)


def wait_for_roles(request: Request, sts: Sts, *, every: float = 3.0) -> Mapping[str, str]:
    administration = str(request.properties["AdministrationRoleArn"])
    execution = str(request.properties["ExecutionRoleArn"])
    session = str(request.properties["SessionName"])  # the only one they let us have; it may do nothing
    until_allowed(
        lambda: _assume_both(sts, administration, execution, session),
        deadline=request.deadline,
        what=f"{administration} to be allowed to assume {execution}",
        every=every,
    )
    return {}


def _assume_both(sts: Sts, administration: str, execution: str, session: str) -> None:
    first = sts(None).assume_role(RoleArn=administration, RoleSessionName=session)
    sts(first["Credentials"]).assume_role(RoleArn=execution, RoleSessionName=session)


def _sts(credentials: CredentialsTypeDef | None) -> STSClient:
    if credentials is None:
        return boto3.client("sts")
    return boto3.client(
        "sts",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
