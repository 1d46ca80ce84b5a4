"""What decides about a call beside the caller's own policies: the key behind the resource, the way the call
came. MiniStack evaluates the policies first; whoever says no here is asked after they said yes.

An explicit or missing permission is worded as AWS does:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the caller's policies allow; `principal` is MiniStack's, without policies for the root."""

    principal: Any
    access_key: str
    service: str
    action: str
    resource: str
    region: str
    context: Mapping[str, Any]

    @property
    def request(self) -> Any:
        """As it was signed; None for the root, whose signatures are not looked at."""
        return iam_evaluator._signed_request.get()


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` and `status` as the service answers; an empty code is the service's own for a denial."""

    message: str
    code: str = ""
    status: int | None = None


Check = Callable[[Call], Refusal | None]
_checks: list[Check] = []
_refusal: ContextVar[Refusal | None] = ContextVar(
    "why the call is refused that was just allowed", default=None
)


def add(check: Check) -> None:
    if not _checks:
        iam_evaluator.enforce = _checking(iam_evaluator.enforce)
        iam_actions.access_denied_response = _worded(iam_actions.access_denied_response)
    _checks.append(check)


def reason(decision: str, kind: str, action: str) -> str:
    """Why it was denied; `kind` of policy: 'identity-based', 'resource-based', 'VPC endpoint'."""
    if decision == "Deny":
        return f"with an explicit deny in {'an' if kind[0] in 'aeiou' else 'a'} {kind} policy"
    return f"because no {kind} policy allows the {action} action"


def denial(principal_arn: str, action: str, resource: str, why: str) -> str:
    return f"User: {principal_arn} is not authorized to perform: {action} on resource: {resource} {why}"


def _checking(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _refusal.set(None)
        denied = inherited(access_key, action, service, region, resource_arn, service_context)
        if denied is not None:
            return denied
        principal = iam_evaluator.resolve_principal(access_key or "", get_account_id())
        if isinstance(principal, iam_evaluator.AuthError):
            return None  # anonymous, and allowed
        call = Call(
            principal, access_key or "", service, action, resource_arn, region, dict(service_context or {})
        )
        refusal = next((found for check in _checks if (found := check(call))), None)
        if refusal is None:
            return None
        _refusal.set(refusal)
        return iam_evaluator.EvalResult("ImplicitDeny", principal.arn, reason=refusal.message)

    return enforce


def _worded(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def access_denied_response(service: str, *arguments: Any, **more: Any) -> Any:
        refusal = _refusal.get()
        if refusal is None:
            return inherited(service, *arguments, **more)
        more |= {"message": refusal.message, "error_code": refusal.code or more.get("error_code", "")}
        status, *rest = inherited(service, *arguments, **more)
        return refusal.status or status, *rest

    return access_denied_response
