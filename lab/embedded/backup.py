"""AWS Backup: vault, plan and selection in CloudFormation, and the part of its API that MiniStack lacks.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Backup.html
"""

import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ministack.services import backup

from lab.control import Control
from lab.embedded import backup_vaults as vaults
from lab.embedded import service_roles
from lab.embedded.backup_jobs import SERVICE, Jobs, describe_copy, list_copies
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, decoded
from lab.embedded.keys import require_key
from lab.plan import PLAN_VARIABLE, read_plan

_VAULT, _SELECTION = "AWS::Backup::BackupVault", "AWS::Backup::BackupSelection"
_LOCK = ("MinRetentionDays", "MaxRetentionDays", "ChangeableForDays")
Route = tuple[str, str, Callable[..., Any]]


def register(handlers: Handlers) -> None:
    jobs = Jobs(Control(read_plan(Path(os.environ[PLAN_VARIABLE])).control_socket))
    backup.handle_request = _with(_routes(jobs), backup.handle_request)
    handler = handlers[_VAULT]
    create, update = handler["create"], handler["update"]

    def create_vault(logical_id: str, properties: Properties, stack_name: str) -> Created:
        if "EncryptionKeyArn" in properties:
            require_key(properties["EncryptionKeyArn"])
        name = properties.get("BackupVaultName")
        if name in backup._vaults:
            raise ResourceError(
                f"Backup vault with the same name already exists {name} (AlreadyExistsException)"
            )
        created: Created = create(logical_id, properties, stack_name)
        try:
            _configure(created[0], properties, {})
        except ResourceError:
            backup._delete_vault(created[0])
            raise
        return created

    def update_vault(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        updated: Created = update(physical_id, old, new, *rest)
        _configure(updated[0], new, old)
        return updated

    def delete_vault(physical_id: str, properties: Properties) -> None:
        if physical_id in backup._vaults:
            checked(vaults.delete(physical_id))

    handler.update(create=create_vault, update=update_vault, delete=delete_vault)
    handlers[_SELECTION] = {
        "create": create_selection,
        "update": update_selection,
        "delete": delete_selection,
    }


def _configure(name: str, properties: Properties, old: Properties) -> None:
    for key, put, remove, body in (
        (
            "AccessPolicy",
            vaults.put_policy,
            vaults.delete_policy,
            lambda value: {"Policy": vaults.policy_document(value)},
        ),
        ("LockConfiguration", vaults.put_lock, vaults.delete_lock, lambda value: value),
        ("Notifications", vaults.put_notifications, vaults.delete_notifications, lambda value: value),
    ):
        if properties.get(key) == old.get(key):
            continue
        checked(put(name, body(properties[key])) if properties.get(key) else remove(name))


def create_selection(logical_id: str, properties: Properties, stack_name: str) -> Created:
    plan, selection = str(properties["BackupPlanId"]), properties["BackupSelection"]
    missing = service_roles.lacking(str(selection["IamRoleArn"]), SERVICE, [])
    if missing:
        raise ResourceError(f"IAM Role {selection['IamRoleArn']} cannot be assumed by AWS Backup: {missing}")
    made = decoded(backup._create_selection(plan, {"BackupSelection": selection}))
    identifier = str(made["SelectionId"])
    return f"{identifier}_{plan}", {
        "SelectionId": identifier,
        "BackupPlanId": plan,
        "Id": f"{identifier}_{plan}",
    }


def update_selection(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    """Nothing of a selection changes in place."""
    created = create_selection("", new, stack_name)
    delete_selection(physical_id, old)
    return created


def delete_selection(physical_id: str, properties: Properties) -> None:
    identifier, _, plan = physical_id.partition("_")
    if identifier in backup._selections:
        checked(backup._delete_selection(plan, identifier))


# --- API --------------------------------------------------------------------------------------------------


def _routes(jobs: Jobs) -> list[Route]:
    """Method, path, and what takes the path's groups and then body and query, by name."""
    vault = r"/backup-vaults/([^/]+)"
    return [
        ("GET", r"/backup-vaults/?", lambda query, **_: vaults.describe_all(query)),
        ("GET", vault, lambda name, **_: vaults.describe(name)),
        ("DELETE", vault, lambda name, **_: vaults.delete(name)),
        ("PUT", f"{vault}/access-policy", lambda name, body, **_: vaults.put_policy(name, body)),
        ("GET", f"{vault}/access-policy", lambda name, **_: vaults.policy(name)),
        ("DELETE", f"{vault}/access-policy", lambda name, **_: vaults.delete_policy(name)),
        (
            "PUT",
            f"{vault}/notification-configuration",
            lambda name, body, **_: vaults.put_notifications(name, body),
        ),
        ("GET", f"{vault}/notification-configuration", lambda name, **_: vaults.notifications(name)),
        (
            "DELETE",
            f"{vault}/notification-configuration",
            lambda name, **_: vaults.delete_notifications(name),
        ),
        ("PUT", f"{vault}/vault-lock", lambda name, body, **_: vaults.put_lock(name, body)),
        ("DELETE", f"{vault}/vault-lock", lambda name, **_: vaults.delete_lock(name)),
        ("GET", f"{vault}/recovery-points/?", lambda name, query, **_: vaults.list_points(name, query)),
        ("GET", f"{vault}/recovery-points/([^/]+)", lambda name, arn, **_: vaults.describe_point(name, arn)),
        ("DELETE", f"{vault}/recovery-points/([^/]+)", lambda name, arn, **_: jobs.delete_point(name, arn)),
        (
            "GET",
            r"/resources/(.+)/recovery-points/?",
            lambda arn, query, **_: vaults.list_points_of_resource(arn, query),
        ),
        ("PUT", r"/backup-jobs/?", lambda body, **_: jobs.start_backup(body)),
        ("PUT", r"/copy-jobs/?", lambda body, **_: jobs.start_copy(body)),
        ("GET", r"/copy-jobs/?", lambda query, **_: list_copies(query)),
        ("GET", r"/copy-jobs/([^/]+)", lambda identifier, **_: describe_copy(identifier)),
    ]


def _with(routes: list[Route], inherited: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        for wanted, pattern, act in routes:
            found = re.fullmatch(pattern, path) if method == wanted else None
            if found:
                flat = {key: value[0] if isinstance(value, list) else value for key, value in query.items()}
                parts = [unquote(part) for part in found.groups()]
                return act(*parts, body=json.loads(body or b"{}"), query=flat)
        return await inherited(method, path, headers, body, query)

    return handle
