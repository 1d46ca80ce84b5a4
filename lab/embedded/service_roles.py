"""What a service may do on our behalf: with a role it is given, or where a resource's policy says so.

A role must exist, trust the service, and be granted each action; policies of keys and buckets count too:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, kms

Context = Mapping[str, object]
"""Condition keys of a request beside the global ones, in lower case."""
_WITH_POLICIES = ("kms", "s3", "sqs")


def trusts(role: Mapping[str, Any], service: str, context: Context | None = None) -> bool:
    """Without a `context` whatever the conditions of its trust are."""
    document = role.get("AssumeRolePolicyDocument") or {}
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement") or []
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal") or {}
        named = principal.get("Service", []) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and service in ([named] if isinstance(named, str) else named):
            request = _request(service, get_account_id(), "sts:AssumeRole", "*", context)
            if context is None or iam_evaluator._conditions_met(statement.get("Condition", {}), request):
                return True
    return False


def lent(role_arn: str, service: str, context: Context) -> bool:
    """Whether a role exists and its conditions let the service take it on, for what `context` says."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    if role is None:
        return False
    document = role.get("AssumeRolePolicyDocument") or {}
    trust = json.loads(document) if isinstance(document, str) else document
    statements = trust.get("Statement") or []
    # Who is trusted is trusted with the role: a trust policy names no resource.
    named = [
        {**one, "Resource": "*"} for one in ([statements] if isinstance(statements, dict) else statements)
    ]
    return admits(json.dumps({**trust, "Statement": named}), service, "sts:AssumeRole", role_arn, context)


def lacking(
    role_arn: str, service: str, actions: Iterable[tuple[str, str]], context: Context | None = None
) -> str | None:
    """What keeps `service` from doing `actions` (action, resource) with the role; None when nothing does."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    if role is None:
        return f"role {role_arn} does not exist"
    if not trusts(role, service):
        return f"role {role_arn} does not trust {service}"
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    for action, resource in actions:
        request = _request(role_arn, account, action, resource, context)
        decision = iam_evaluator.evaluate(request, policies, *limits)
        owner = action.partition(":")[0]
        policy = iam_evaluator._resource_policy(owner, resource) if owner in _WITH_POLICIES else None
        if policy is not None:
            required = owner == "kms"  # a key's policy must agree; another may only refuse
            decision = iam_evaluator.combine_resource_policy(decision, request, *policy, required=required)
        elif owner == "kms":
            return f"{resource} does not exist"
        if decision.decision != "Allow":
            return f"role {role_arn} is not authorized to perform {action} on {resource}"
    return None


def admits(
    policy: str | None, service: str, action: str, resource: str, context: Context | None = None
) -> bool:
    """Whether a resource's own policy lets a service do something to it."""
    request = _request(service, get_account_id(), action, resource, context)
    decision = iam_evaluator.evaluate_resource_policy(policy, request, service=service).decision
    return bool(decision == "Allow")


def key_via(service: str, region: str, reference: str, **context: str) -> tuple[str, Context]:
    """The ARN of a region's key and the condition keys of a call that `service` makes to it."""
    key = kms._resolve_key(reference)
    arn = str(key["Arn"]) if key else reference
    aliases = [
        str(alias).rpartition(":")[2]
        for alias, key_id in kms._aliases.items()
        if key and key_id == key["KeyId"]
    ]
    return arn, {
        "kms:viaservice": f"{service}.{region}.amazonaws.com",
        "kms:calleraccount": get_account_id(),
        "kms:resourcealiases": aliases,
        **context,
    }


def _request(principal: str, account: str, action: str, resource: str, context: Context | None) -> Any:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        secure_transport=True,
        service_context=dict(context or {}),
    )
