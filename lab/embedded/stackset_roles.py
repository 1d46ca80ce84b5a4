"""The two roles of a self-managed StackSet, checked as AWS finds them wrong: when an operation begins.

The administration role must trust CloudFormation and may assume the execution role; the execution role must
exist in the target account and trust the administration role:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-prereqs-self-managed.html
"""

import json
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam

from lab.embedded.stackset_state import StackSet

_SERVICE = "cloudformation.amazonaws.com"


def missing_trust(stack_set: StackSet, account: str) -> str | None:
    """Why CloudFormation cannot work in `account`, in AWS's words; None when it can."""
    administration_account = stack_set.administration_role_arn.split(":")[4]
    administration_name = stack_set.administration_role_arn.rpartition("/")[2]
    administration = iam._roles.get_scoped(administration_account, None, administration_name)
    execution = iam._roles.get_scoped(account, None, stack_set.execution_role_name)
    refusal = (
        f"Account {account} should have '{stack_set.execution_role_name}' role with trust relationship to "
        f"Role '{administration_name}'."
    )
    if administration is None or not _trusts_cloudformation(_trust_policy(administration)):
        return refusal
    if execution is None or not iam_evaluator.evaluate_trust_policy(
        _trust_policy(execution), stack_set.administration_role_arn
    ):
        return refusal
    request = iam_evaluator.EvalContext(
        principal_arn=stack_set.administration_role_arn,
        principal_type="AssumedRole",
        principal_account=administration_account,
        action="sts:AssumeRole",
        resource_arn=str(execution["Arn"]),
        region="",
    )
    granted = iam_evaluator._gather_role_policies(administration_name, administration_account)
    return None if iam_evaluator.evaluate(request, granted).decision == "Allow" else refusal


def _trust_policy(role: dict[str, Any]) -> dict[str, Any]:
    document = role.get("AssumeRolePolicyDocument") or {}
    parsed: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return parsed


def _trusts_cloudformation(policy: dict[str, Any]) -> bool:
    statements = policy.get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") or {}
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and _SERVICE in (
            services if isinstance(services, list) else [services]
        ):
            return True
    return False
