"""Backup and copy jobs: of the ledger's cluster a real, verified base backup; of everything else a record.

https://docs.aws.amazon.com/aws-backup/latest/devguide/API_StartBackupJob.html. A plan's schedule is not run.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
    new_uuid,
    request_scope,
)
from ministack.services import backup, dynamodb, iam, rds, s3

from lab.control import ControlError, NoSupervisorError
from lab.embedded import backup_vaults as vaults
from lab.embedded import service_roles
from lab.embedded.handlers import ResourceError, Response
from lab.embedded.keys import require_key

Record = dict[str, Any]
SERVICE = "backup.amazonaws.com"
_MANAGED_GRANTS = "policy/service-role/AWSBackupServiceRolePolicyForBackup"
"""Its text is AWS's; what it is for is all that is needed of it."""
_copies: Any = AccountRegionScopedDict()


class BackupControl(Protocol):
    """The supervisor's side, `lab.control.Control`. Blocking."""

    def back_up_database(self, region: str, name: str) -> int: ...
    def copy_backup(self, name: str, copy: str) -> None: ...
    def delete_backup(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Kind:
    """A resource type of AWS Backup, what a role needs for it, and whether the resource is there."""

    name: str
    actions: tuple[str, ...]
    exists: Callable[[str], bool]


def _kinds() -> dict[str, _Kind]:
    """By the beginning of the resource part of an ARN, with its service."""
    return {
        "rds:cluster": _Kind(
            "Aurora",
            ("rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters"),
            lambda arn: any(cluster["DBClusterArn"] == arn for cluster in rds._clusters.values()),
        ),
        "dynamodb:table": _Kind(
            "DynamoDB",
            ("dynamodb:StartAwsBackupJob", "dynamodb:DescribeTable"),
            lambda arn: any(table["TableArn"] == arn for table in dynamodb._tables.values()),
        ),
        "s3:": _Kind("S3", ("s3:GetBucketVersioning",), lambda arn: arn.rpartition(":")[2] in s3._buckets),
    }


def kind_of(arn: str) -> _Kind | None:
    parts = arn.split(":", 5)
    name = f"{parts[2]}:{parts[5].partition(':')[0].partition('/')[0]}" if len(parts) == 6 else ""
    return next(
        (kind for key, kind in _kinds().items() if name == key or key == f"{name.split(':')[0]}:"), None
    )


def role_obstacle(role_arn: str, actions: tuple[str, ...], resource: str) -> str | None:
    missing = service_roles.lacking(role_arn, SERVICE, [])
    if missing:
        return missing
    role = iam._roles.get(role_arn.rpartition("/")[2]) or {}
    if any(str(policy).endswith(_MANAGED_GRANTS) for policy in role.get("AttachedPolicies", ())):
        return None
    return service_roles.lacking(role_arn, SERVICE, [(action, resource) for action in actions])


class Jobs:
    def __init__(self, databases: BackupControl) -> None:
        self._databases = databases
        self._running: set[asyncio.Task[None]] = set()

    # --- backup -------------------------------------------------------------------------------------------

    def start_backup(self, body: Record) -> Response:
        name, arn, role = (str(body.get(key, "")) for key in ("BackupVaultName", "ResourceArn", "IamRoleArn"))
        vault = backup._vaults.get(name)
        if vault is None:
            return vaults.refused("ResourceNotFoundException", f"Backup vault {name} does not exist.")
        kind = kind_of(arn)
        if kind is None or not kind.exists(arn):
            return vaults.refused("ResourceNotFoundException", f"Resource {arn} does not exist.")
        if missing := service_roles.lacking(role, SERVICE, []):
            return vaults.refused(
                "InvalidParameterValueException",
                f"IAM Role {role} cannot be assumed by AWS Backup: {missing}",
            )
        response: Response = backup._start_job(body)
        job: Record = next(reversed(list(backup._jobs.values())))
        job.update(
            State="RUNNING",
            PercentDone="0.0",
            ResourceType=kind.name,
            RecoveryPointArn=_recovery_point_arn(kind.name, f"job-{job['BackupJobId']}"),
            AccountId=get_account_id(),
        )
        del job["CompletionDate"]
        self._begin(self._back_up(job, kind, vault, dict(body.get("Lifecycle") or {})))
        shown = {name: job[name] for name in ("BackupJobId", "RecoveryPointArn", "CreationDate", "IsParent")}
        return (response[0], response[1], vaults.answer(shown)[2])

    async def _back_up(self, job: Record, kind: _Kind, vault: Record, lifecycle: Record) -> None:
        arn = job["ResourceArn"]
        failure = role_obstacle(job["IamRoleArn"], kind.actions, arn) or vaults.retention_refusal(
            vault, lifecycle
        )
        size, real = 0, False
        if failure is None and kind.name == "Aurora":
            try:
                size = await asyncio.to_thread(
                    self._databases.back_up_database, get_region(), job["BackupJobId"]
                )
                real = True
            except NoSupervisorError:
                pass  # the embedded AWS runs alone: there is no database to copy
            except ControlError as error:
                failure = str(error)
        _finish(job, failure, size)
        if failure is None:
            _keep_point(job["RecoveryPointArn"], vault, job, kind.name, lifecycle, size, real=real)

    # --- copy ---------------------------------------------------------------------------------------------

    def start_copy(self, body: Record) -> Response:
        arn, target = str(body.get("RecoveryPointArn", "")), str(body.get("DestinationBackupVaultArn", ""))
        point = vaults.points.get(arn)
        if point is None or point["BackupVaultName"] != body.get("SourceBackupVaultName"):
            return vaults.refused("ResourceNotFoundException", f"Cannot find Recovery point. {arn}")
        role = str(body.get("IamRoleArn", ""))
        if missing := service_roles.lacking(role, SERVICE, []):
            return vaults.refused(
                "InvalidParameterValueException",
                f"IAM Role {role} cannot be assumed by AWS Backup: {missing}",
            )
        identifier = new_uuid()
        job = {
            "AccountId": get_account_id(),
            "CopyJobId": identifier,
            "SourceBackupVaultArn": point["BackupVaultArn"],
            "SourceRecoveryPointArn": arn,
            "DestinationBackupVaultArn": target,
            "ResourceArn": point["ResourceArn"],
            "ResourceType": point["ResourceType"],
            "IamRoleArn": role,
            "CreationDate": int(time.time()),
            "State": "RUNNING",
            "BackupSizeInBytes": point["BackupSizeInBytes"],
        }
        _copies[identifier] = job
        self._begin(self._copy(job, point, dict(body.get("Lifecycle") or point.get("Lifecycle") or {})))
        return vaults.answer(
            {"CopyJobId": identifier, "CreationDate": job["CreationDate"], "IsParent": False}
        )

    async def _copy(self, job: Record, point: Record, lifecycle: Record) -> None:
        region, name = (
            job["DestinationBackupVaultArn"].split(":")[3],
            job["DestinationBackupVaultArn"].split(":")[-1],
        )
        with request_scope(get_account_id(), region):
            vault = backup._vaults.get(name)
            if vault is None:
                _finish(job, f"Backup vault {name} does not exist in {region}", 0)
                return
            failure = vaults.retention_refusal(vault, lifecycle) or _key_obstacle(vault)
            if failure is None and point["_real"]:
                try:
                    await asyncio.to_thread(self._databases.copy_backup, point["_name"], job["CopyJobId"])
                except ControlError as error:
                    failure = str(error)
            _finish(job, failure, point["BackupSizeInBytes"])
            if failure is None:
                arn = _recovery_point_arn(point["ResourceType"], f"copyjob-{job['CopyJobId']}")
                job["DestinationRecoveryPointArn"] = arn
                source = {**job, "BackupJobId": job["CopyJobId"]}
                size = point["BackupSizeInBytes"]
                _keep_point(arn, vault, source, point["ResourceType"], lifecycle, size, real=point["_real"])

    def delete_point(self, vault: str, arn: str) -> Response:
        point = vaults.points.get(arn)
        response = vaults.delete_point(vault, arn)
        if response[0] < 400 and point and point["_real"]:
            self._begin(asyncio.to_thread(self._databases.delete_backup, point["_name"]))
        return response

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def describe_copy(identifier: str) -> Response:
    job = _copies.get(identifier)
    if job is None:
        return vaults.refused("ResourceNotFoundException", f"Copy job {identifier} does not exist.")
    return vaults.answer({"CopyJob": job})


def list_copies(query: dict[str, str]) -> Response:
    response: Response = backup._paginate(list(_copies.values()), query, "CopyJobs")
    return response


def _recovery_point_arn(kind: str, job: str) -> str:
    """A snapshot where the service has its own, else AWS Backup's."""
    if kind == "Aurora":
        return f"arn:aws:rds:{get_region()}:{get_account_id()}:cluster-snapshot:awsbackup:{job}"
    return f"arn:aws:backup:{get_region()}:{get_account_id()}:recovery-point:{job.partition('-')[2]}"


def _keep_point(
    arn: str, vault: Record, job: Record, kind: str, lifecycle: Record, size: int, *, real: bool
) -> None:
    vaults.points[arn] = {
        "RecoveryPointArn": arn,
        "BackupVaultName": vault["BackupVaultName"],
        "BackupVaultArn": vault["BackupVaultArn"],
        "ResourceArn": job["ResourceArn"],
        "ResourceType": kind,
        "IamRoleArn": job["IamRoleArn"],
        "Status": "COMPLETED",
        "CreationDate": job["CreationDate"],
        "CompletionDate": int(time.time()),
        "BackupSizeInBytes": size,
        "IsEncrypted": True,
        "EncryptionKeyArn": vault.get("EncryptionKeyArn") or "",
        "Lifecycle": lifecycle,
        "_real": real,
        "_name": job["BackupJobId"],
    }


def _finish(job: Record, failure: str | None, size: int) -> None:
    job.update(
        State="FAILED" if failure else "COMPLETED",
        StatusMessage=failure or "",
        CompletionDate=int(time.time()),
        BackupSizeInBytes=size,
    )
    if "PercentDone" in job and failure is None:
        job["PercentDone"] = "100.0"


def _key_obstacle(vault: Record) -> str | None:
    try:
        if vault.get("EncryptionKeyArn"):
            require_key(vault["EncryptionKeyArn"])
    except ResourceError as error:
        return str(error)
    return None
