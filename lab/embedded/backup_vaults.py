"""Backup vaults with what MiniStack's lack: access policy, lock, notifications, and recovery points.

https://docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html: while a vault is locked nobody deletes
from it; a lock with `ChangeableForDays` cannot be taken off once its date has come.
"""

import json
import time
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import backup

from lab.embedded.handlers import Response

Record = dict[str, Any]
Body = dict[str, Any]
_DAY = 86_400
_COOLING_OFF = 3  # days, at least, until a lock becomes immutable
points: Any = AccountRegionScopedDict()
"""Recovery points of every vault by their ARN."""


def refused(code: str, message: str) -> Response:
    response: Response = backup._err(code, message, 404 if code == "ResourceNotFoundException" else 400)
    return response


def answer(body: Body | None = None) -> Response:
    response: Response = backup._no_content() if body is None else backup._ok(body)
    return response


def points_of(vault: str) -> list[Record]:
    return [point for point in points.values() if point["BackupVaultName"] == vault]


def describe(name: str) -> Response:
    vault = backup._vaults.get(name)
    return _missing(name) if vault is None else answer(described(vault))


def describe_all(query: dict[str, str]) -> Response:
    response: Response = backup._paginate(
        [described(vault) for vault in backup._vaults.values()], query, "BackupVaultList"
    )
    return response


def described(vault: Record) -> Record:
    shown = {name: value for name, value in vault.items() if not name.startswith("_")}
    return {**shown, "NumberOfRecoveryPoints": len(points_of(vault["BackupVaultName"]))}


def delete(name: str) -> Response:
    if name not in backup._vaults:
        return _missing(name)
    if points_of(name):
        return refused(
            "InvalidRequestException", "Backup vault cannot be deleted because it contains recovery points."
        )
    response: Response = backup._delete_vault(name)
    return response


# --- policy and notifications -----------------------------------------------------------------------------


def put_policy(name: str, body: Body) -> Response:
    return _keep(name, "_policy", body.get("Policy"))


def policy(name: str) -> Response:
    vault = backup._vaults.get(name)
    if vault is None or not vault.get("_policy"):
        return refused("ResourceNotFoundException", f"No policy is attached to backup vault {name}.")
    return answer({**_named(vault), "Policy": vault["_policy"]})


def delete_policy(name: str) -> Response:
    return _keep(name, "_policy", None)


def put_notifications(name: str, body: Body) -> Response:
    wanted = {key: body[key] for key in ("SNSTopicArn", "BackupVaultEvents") if key in body}
    return _keep(name, "_notifications", wanted)


def notifications(name: str) -> Response:
    vault = backup._vaults.get(name)
    if vault is None or not vault.get("_notifications"):
        return refused("ResourceNotFoundException", f"Backup vault {name} has no notifications.")
    return answer({**_named(vault), **vault["_notifications"]})


def delete_notifications(name: str) -> Response:
    return _keep(name, "_notifications", None)


def forbidden(vault: Record, action: str) -> Response | None:
    """The refusal of a caller whom the vault's own policy denies the action."""
    if not vault.get("_policy"):
        return None
    caller = iam_evaluator.caller_arn()
    request = iam_evaluator.EvalContext(
        principal_arn=caller,
        principal_type="Root",
        principal_account=get_account_id(),
        action=action,
        resource_arn=vault["BackupVaultArn"],
        region=get_region(),
        secure_transport=True,
    )
    if iam_evaluator.evaluate_resource_policy(vault["_policy"], request).decision != "Deny":
        return None
    return refused(
        "AccessDeniedException",
        f"User: {caller} is not authorized to perform: {action} on resource: {vault['BackupVaultArn']} with "
        "an explicit deny in a resource-based policy",
    )


def _keep(name: str, key: str, value: object) -> Response:
    vault = backup._vaults.get(name)
    if vault is None:
        return _missing(name)
    vault[key] = value
    return answer()


# --- lock -------------------------------------------------------------------------------------------------


def put_lock(name: str, body: Body) -> Response:
    vault = backup._vaults.get(name)
    if vault is None:
        return _missing(name)
    shortest, longest = body.get("MinRetentionDays"), body.get("MaxRetentionDays")
    changeable = body.get("ChangeableForDays")
    if changeable is not None and int(changeable) < _COOLING_OFF:
        return refused(
            "InvalidParameterValueException", f"ChangeableForDays must be at least {_COOLING_OFF}."
        )
    if shortest and longest and int(shortest) > int(longest):
        return refused(
            "InvalidParameterValueException", "MinRetentionDays must not be greater than MaxRetentionDays."
        )
    if immutable(vault):
        return refused("InvalidRequestException", "Vault Lock configuration is immutable.")
    delete_lock(name)
    vault["Locked"] = True
    wanted = {"MinRetentionDays": shortest, "MaxRetentionDays": longest}
    vault.update({key: int(value) for key, value in wanted.items() if value is not None})
    if changeable is not None:
        vault["LockDate"] = int(time.time()) + int(changeable) * _DAY
    return answer()


def delete_lock(name: str) -> Response:
    vault = backup._vaults.get(name)
    if vault is None:
        return _missing(name)
    if immutable(vault):
        return refused("InvalidRequestException", "Vault Lock configuration is immutable.")
    vault["Locked"] = False
    for key in ("MinRetentionDays", "MaxRetentionDays", "LockDate"):
        vault.pop(key, None)
    return answer()


def immutable(vault: Record) -> bool:
    return bool(vault.get("Locked") and vault.get("LockDate", float("inf")) <= time.time())


def retention_refusal(vault: Record, lifecycle: Body) -> str | None:
    """Why a locked vault takes nothing that is to be kept for another time."""
    if not vault.get("Locked"):
        return None
    days = lifecycle.get("DeleteAfterDays")
    kept = float("inf") if days is None or int(days) < 0 else int(days)
    if kept < vault.get("MinRetentionDays", 0) or kept > vault.get("MaxRetentionDays", float("inf")):
        return (
            f"Retention period must be between {vault.get('MinRetentionDays', 1)} and "
            f"{vault.get('MaxRetentionDays', 36500)} days, as the lock of {vault['BackupVaultName']} says"
        )
    return None


# --- recovery points --------------------------------------------------------------------------------------


def list_points(name: str, query: dict[str, str]) -> Response:
    if name not in backup._vaults:
        return _missing(name)
    response: Response = backup._paginate(
        [shown(point) for point in points_of(name)], query, "RecoveryPoints"
    )
    return response


def list_points_of_resource(arn: str, query: dict[str, str]) -> Response:
    found = [shown(point) for point in points.values() if point["ResourceArn"] == arn]
    response: Response = backup._paginate(found, query, "RecoveryPoints")
    return response


def describe_point(name: str, arn: str) -> Response:
    point = _point(name, arn)
    return _no_point(arn) if point is None else answer(shown(point))


def delete_point(name: str, arn: str) -> Response:
    point, vault = _point(name, arn), backup._vaults.get(name)
    if point is None or vault is None:
        return _no_point(arn)
    if refusal := forbidden(vault, "backup:DeleteRecoveryPoint"):
        return refusal
    if vault.get("Locked"):
        return refused(
            "InvalidRequestException",
            "Recovery point cannot be deleted. (Backup vault configured with Lock)",
        )
    points.pop(arn)
    return answer()


def shown(point: Record) -> Record:
    return {name: value for name, value in point.items() if not name.startswith("_")}


def _point(vault: str, arn: str) -> Record | None:
    point: Record | None = points.get(arn)
    return point if point and point["BackupVaultName"] == vault else None


def _no_point(arn: str) -> Response:
    return refused("ResourceNotFoundException", f"Cannot find Recovery point. {arn}")


def _missing(name: str) -> Response:
    return refused("ResourceNotFoundException", f"Backup vault {name} does not exist.")


def _named(vault: Record) -> Record:
    return {name: vault[name] for name in ("BackupVaultName", "BackupVaultArn")}


def policy_document(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
