"""The use of a key of ours, by a service on somebody's behalf: policies of both, and the state of the key.

https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, kms

from lab.embedded import authorization, service_roles

DECRYPT, GENERATE = "kms:Decrypt", "kms:GenerateDataKey"
_STATES = {
    "Disabled": "{} is disabled.",
    "PendingDeletion": "{} is pending deletion.",
    "PendingImport": "{} is pending import.",
}
Names = Mapping[str, str]
"""An encryption context."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why KMS does not do it: the state of the key (`disabled`), a Deny (`explicit`), or nobody allows it."""

    message: str
    disabled: bool = False
    explicit: bool = False


def ours(reference: object) -> str | None:
    """The key as it was named, unless AWS manages it: nobody needs leave to use that."""
    text = str(reference or "")
    return None if not text or "alias/aws/" in text else text


def caller() -> Any:
    """Who made the request: a role's session, or somebody with everything."""
    arn = str(iam_evaluator.caller_arn())
    if ":assumed-role/" in arn:
        return _session(arn)
    return iam_evaluator.PrincipalInfo(arn=arn, type="Root", account=get_account_id(), policies=None)


def session(role_arn: str, name: str) -> Any:
    """Of a service that has taken the role on."""
    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return _session(f"arn:aws:sts::{account}:assumed-role/{role}/{name}")


def _session(arn: str) -> Any:
    account, role = arn.split(":")[4], arn.split("/")[1]
    return iam_evaluator.PrincipalInfo(
        arn=arn,
        type="AssumedRole",
        account=account,
        policies=iam_evaluator._gather_role_policies(role, account),
        limits=iam_evaluator._permissions_boundary(iam._roles, role, account),
    )


def obstacle(
    principal: Any, service: str, reference: str, actions: Iterable[str], encryption_context: Names
) -> Obstacle | None:
    """What keeps `principal` from the actions by way of `service`, in this region."""
    key = kms._resolve_key(reference)
    if key is None:
        return Obstacle(
            "The ciphertext refers to a customer master key that does not exist, does not exist in this "
            "region, or you are not allowed to access."
        )
    state = _STATES.get(key["KeyState"])
    if state is not None:
        return Obstacle(state.format(key["Arn"]), disabled=True)
    for action in actions:
        denied = _denied(principal, service, key, action, encryption_context)
        if denied is not None:
            why = authorization.reason(*denied, action)
            message = authorization.denial(principal.arn, action, key["Arn"], why)
            return Obstacle(message, explicit=denied[0] == "Deny")
    return None


def obstacle_for_grantee(role_arn: str, reference: str, encryption_context: Names) -> Obstacle | None:
    """What keeps a role from decrypting that was granted to: only a Deny can, and the key's state."""
    found = obstacle(session(role_arn, "lambda"), "lambda", reference, [DECRYPT], encryption_context)
    return found if found and (found.disabled or found.explicit) else None


def obstacle_for_service(
    principal: str, reference: str, actions: Iterable[str], context: Mapping[str, str]
) -> Obstacle | None:
    """What keeps a service that asks as itself from the key: only the key's policy can let it."""
    key = kms._resolve_key(reference)
    if key is None or key["KeyState"] != "Enabled":
        return Obstacle(f"{reference} does not exist or is not enabled", disabled=key is not None)
    for action in actions:
        if not service_roles.admits(key["Policy"], principal, action, key["Arn"], context):
            why = authorization.reason("", "resource-based", action)
            return Obstacle(authorization.denial(principal, action, key["Arn"], why))
    return None


def _denied(
    principal: Any, service: str, key: Mapping[str, Any], action: str, encryption_context: Names
) -> tuple[str, str] | None:
    """The decision and the kind of policy that took it; None when the action is allowed."""
    arn, context = service_roles.key_via(service, get_region(), str(key["Arn"]))
    pairs = {f"kms:encryptioncontext:{name}".lower(): value for name, value in encryption_context.items()}
    request = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=arn,
        region=get_region(),
        secure_transport=True,
        service_context={**context, **pairs, "kms:encryptioncontextkeys": list(encryption_context)},
        principal_keys=principal.keys,
    )
    policy = key["Policy"]
    of_key = iam_evaluator.evaluate_resource_policy(policy, request)
    if of_key.decision == "Deny":
        return "Deny", "resource-based"
    if principal.policies is None:
        return None
    own = iam_evaluator.evaluate(request, principal.policies, *principal.limits)
    both = iam_evaluator.combine_resource_policy(
        own, request, policy, get_account_id(), required=True, limits=principal.limits
    )
    if both.decision == "Allow":
        return None
    if own.decision == "Allow":
        return "ImplicitDeny", "resource-based"
    return own.decision, "identity-based"
