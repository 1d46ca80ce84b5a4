"""What of an environment is there, as AWS says, and how each step of tearing it down is done."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from ops.destroy import (
    Await,
    DeleteInstances,
    DeleteLogs,
    DeleteStack,
    DeleteStackSet,
    Empty,
    Left,
    Lift,
    Remains,
    StackSetSeen,
    Step,
)
from ops.diff import RolledOut, rolled_out
from ops.directory import Rejected
from ops.inventory import Client, Named, exists, named
from ops.sam import Sam, built
from ops.stacks import PATIENT, DeployedStack, find_stack
from ops.surroundings import Surroundings
from templates.config import Settings

_LOGS: Final = "AWS::Logs::LogGroup"
_BUCKET, _VAULT = "AWS::S3::Bucket", "AWS::Backup::BackupVault"
_CLUSTER, _GLOBAL = "AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster"
_TABLE, _ZONE = "AWS::DynamoDB::GlobalTable", "AWS::Route53::HostedZone"
_KEPT: Final = "its stack kept it, or it is not of this build; delete it by hand"
_UNFINISHED: Final = frozenset({"RUNNING", "QUEUED", "STOPPING"})


class AwsWorld:
    """By the build, which says what there may be; it has to be the one that is deployed, or a later one."""

    def __init__(self, settings: Settings, around: Surroundings, dist: Path) -> None:
        self._settings = settings
        self._around = around
        self._root = Sam.of(settings, dist, "root")
        self._zone = None if settings.dns.hosted_zone_id else Sam.of(settings, dist, "zone")
        document = self._root.document()
        self._rolled_out: tuple[RolledOut, ...] = tuple(rolled_out(document))
        things = set(named(document, self._root.region))
        for each in self._rolled_out:
            template = built(dist / f"{each.template}.json")
            things |= {thing for region in each.regions for thing in named(template, region)}
        self._things = tuple(sorted(things))

    def client(self, service: str, region: str) -> Any:
        return self._around.client(service, region, PATIENT)

    # --- what there is ---

    def remains(self) -> Remains:
        """Raises Unavailable where somebody does not answer: what is unknown is not taken for gone."""
        cloudformation = self.client("cloudformation", self._root.region)
        root = find_stack(cloudformation, self._root.stack)
        zone = self._deployed_zone()
        looked_into = sorted((one for one in self._things if one.kind in _LOOKED_INTO), key=_access_logs_last)
        there = [thing for thing in looked_into if exists(thing, self.client)]
        return Remains(
            root=root.status if root is not None else None,
            zone=zone.status if zone is not None else None,
            stack_sets=tuple(self._stack_sets(cloudformation)),
            writer=self._writer(),
            protected=tuple(thing for thing in there if _is_protected(thing, self.client)),
            filled=tuple(thing for thing in there if _is_filled(thing, self.client)),
            logs=self._late_logs() if root is None else (),
        )

    def _late_logs(self) -> tuple[Named, ...]:
        groups = (thing for thing in self._things if thing.kind == _LOGS)
        return tuple(thing for thing in groups if exists(thing, self.client))

    def _deployed_zone(self) -> DeployedStack | None:
        if self._zone is None:
            return None
        return find_stack(self.client("cloudformation", self._zone.region), self._zone.stack)

    def _stack_sets(self, client: Any) -> Iterator[StackSetSeen]:
        for each in self._rolled_out:
            request = {"StackSetName": each.stack_set}
            try:
                with unknown_is_unavailable(f"StackSet {each.stack_set}"):
                    pages = client.get_paginator("list_stack_instances").paginate(**request)
                    regions = [one["Region"] for page in pages for one in page["Summaries"]]
                    operations = client.list_stack_set_operations(**request)["Summaries"]
            except ClientError as error:
                if code(error) != "StackSetNotFoundException":
                    raise
                continue
            running = [one["OperationId"] for one in operations if one["Status"] in _UNFINISHED]
            yield StackSetSeen(each.template, each.stack_set, tuple(regions), running[0] if running else None)

    def _writer(self) -> str | None:
        """Asked of both regions: the global database is described where it has a member."""
        name = self._settings.names.shared("ledger")
        regions = self._settings.regions
        for region in (regions.primary, regions.secondary):
            if exists(Named(region, _GLOBAL, name), self.client):
                with unknown_is_unavailable("global cluster"):
                    described = self.client("rds", region).describe_global_clusters(
                        GlobalClusterIdentifier=name
                    )
                for member in described["GlobalClusters"][0]["GlobalClusterMembers"]:
                    if member["IsWriter"]:
                        return str(member["DBClusterArn"]).split(":")[3]
        return None

    def left(self, *, zone: bool) -> list[Left]:
        """What neither a stack nor this command takes away."""
        found = [Left(thing.text, _KEPT) for thing in self._things if exists(thing, self.client)]
        regions = self._settings.regions
        for region in dict.fromkeys((regions.primary, regions.secondary, regions.witness)):
            found += [Left(f"key {key} in {region}", why) for key, why in self._keys(region)]
        if not zone and (kept := self._deployed_zone()) is not None:
            found.append(Left(f"stack {kept.name}", "the domain is delegated to it; --zone takes it too"))
        return found

    def _keys(self, region: str) -> Iterator[tuple[str, str]]:
        """Those with our tags: KMS deletes a key only after a while, in which it may be called back."""
        kms = self.client("kms", region)
        wanted = {"Service": self._settings.service, "Environment": self._settings.environment}
        with unknown_is_unavailable(f"keys in {region}"):
            for page in kms.get_paginator("list_keys").paginate():
                for key in page["Keys"]:
                    described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
                    if described["KeyManager"] != "CUSTOMER":
                        continue
                    tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
                    if wanted.items() <= {tag["TagKey"]: tag["TagValue"] for tag in tags}.items():
                        until = described.get("DeletionDate")
                        why = f"KMS deletes it on {until:%Y-%m-%d}" if until else "nobody deleted it"
                        yield key["KeyId"], why

    # --- what is done ---

    def begin(self, step: Step) -> Callable[[], bool]:
        match step:
            case Lift(thing):
                with unknown_is_unavailable(thing.text):
                    _unprotect(thing, self.client)
                return lambda: not _is_protected(thing, self.client)
            case Await(stack_set):
                return partial(self._operation_ended, stack_set, stack_set.running or "", heed=False)
            case DeleteInstances(stack_set, regions):
                return self._delete_instances(stack_set, regions)
            case Empty(thing):
                with unknown_is_unavailable(thing.text):
                    _empty(thing, self.client)
                # A recovery point goes after a while; a bucket that is filled again is the next run's.
                return lambda: thing.kind == _BUCKET or not _is_filled(thing, self.client)
            case DeleteStack(title):
                return self._delete_stack(title)
            case DeleteLogs(things):
                for thing in things:
                    with unknown_is_unavailable(thing.text):
                        self.client("logs", thing.region).delete_log_group(logGroupName=thing.name)
                return lambda: True
            case DeleteStackSet(stack_set):
                with unknown_is_unavailable(stack_set.name):
                    cloudformation = self.client("cloudformation", self._root.region)
                    cloudformation.delete_stack_set(StackSetName=stack_set.name)
                return lambda: True

    def _delete_instances(self, stack_set: StackSetSeen, regions: tuple[str, ...]) -> Callable[[], bool]:
        with unknown_is_unavailable(stack_set.name):
            account = self.client("sts", self._root.region).get_caller_identity()["Account"]
            operation = self.client("cloudformation", self._root.region).delete_stack_instances(
                StackSetName=stack_set.name,
                Accounts=[account],
                Regions=list(regions),
                RetainStacks=False,
                OperationPreferences={"RegionConcurrencyType": "PARALLEL", "FailureToleranceCount": 0},
            )["OperationId"]
        return partial(self._operation_ended, stack_set, operation, heed=True)

    def _operation_ended(self, stack_set: StackSetSeen, operation: str, *, heed: bool) -> bool:
        client = self.client("cloudformation", self._root.region)
        request = {"StackSetName": stack_set.name, "OperationId": operation}
        with unknown_is_unavailable(f"operation {operation}"):
            state = client.describe_stack_set_operation(**request)["StackSetOperation"]["Status"]
            if state in _UNFINISHED:
                return False
            if state != "SUCCEEDED" and heed:
                results = client.list_stack_set_operation_results(**request)["Summaries"]
                why = "; ".join(
                    f"{one['Region']}: {one['StatusReason']}" for one in results if one.get("StatusReason")
                )
                raise Rejected(f"{stack_set.name}: {why or state}; repair that, and run this again", 1)
        return True

    def _delete_stack(self, title: str) -> Callable[[], bool]:
        sam = self._root if title == "root" else self._zone
        assert sam is not None
        client = self.client("cloudformation", sam.region)
        stack = find_stack(client, sam.stack)
        if stack is None:
            return lambda: True
        if title == "zone":
            self._empty_zone(client, stack.id)
        if stack.status != "DELETE_IN_PROGRESS":
            with unknown_is_unavailable(f"stack {stack.name}"):
                client.delete_stack(StackName=stack.id)
        return partial(_stack_is_gone, client, stack.id, stack.name)

    def _empty_zone(self, client: Any, stack_id: str) -> None:
        """Route 53 deletes no zone with records in it; those that validated certificates stay."""
        with unknown_is_unavailable("hosted zone"):
            pages = client.get_paginator("list_stack_resources").paginate(StackName=stack_id)
            zones = [
                one["PhysicalResourceId"]
                for page in pages
                for one in page["StackResourceSummaries"]
                if one["ResourceType"] == "AWS::Route53::HostedZone"
                and one["ResourceStatus"] != "DELETE_COMPLETE"
            ]
            route53 = self.client("route53", self._root.region)
            for zone in zones:
                found = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
                records = [one for page in found for one in page["ResourceRecordSets"]]
                doomed = [one for one in records if one["Type"] not in ("NS", "SOA")]
                for record in doomed:
                    change = {"Action": "DELETE", "ResourceRecordSet": record}
                    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})


def _stack_is_gone(client: Any, stack_id: str, name: str) -> bool:
    with unknown_is_unavailable(f"stack {name}"):
        status = client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        if status == "DELETE_COMPLETE":
            return True
        if status != "DELETE_FAILED":
            return False
        events = client.describe_stack_events(StackName=stack_id)["StackEvents"]
    failed = [
        f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}"
        for one in events
        if one["ResourceStatus"] == "DELETE_FAILED" and one["LogicalResourceId"] != name
    ]
    raise Rejected(f"stack {name}: {failed[0] if failed else status}; repair that, and run this again", 1)


_LOOKED_INTO: Final = frozenset({_BUCKET, _VAULT, _CLUSTER, _GLOBAL, _TABLE})


def _access_logs_last(thing: Named) -> bool:
    """What happens to the other buckets is written there."""
    return "access-logs" in thing.name


def _is_protected(thing: Named, client: Client) -> bool:
    with unknown_is_unavailable(thing.text):
        if thing.kind == _TABLE:
            table = client("dynamodb", thing.region).describe_table(TableName=thing.name)["Table"]
            return bool(table.get("DeletionProtectionEnabled"))
        if thing.kind == _CLUSTER:
            rds = client("rds", thing.region)
            return bool(
                rds.describe_db_clusters(DBClusterIdentifier=thing.name)["DBClusters"][0][
                    "DeletionProtection"
                ]
            )
        if thing.kind == _GLOBAL:
            rds = client("rds", thing.region)
            described = rds.describe_global_clusters(GlobalClusterIdentifier=thing.name)["GlobalClusters"]
            return bool(described[0].get("DeletionProtection"))
    return False


def _unprotect(thing: Named, client: Client) -> None:
    if thing.kind == _TABLE:
        client("dynamodb", thing.region).update_table(TableName=thing.name, DeletionProtectionEnabled=False)
    elif thing.kind == _CLUSTER:
        client("rds", thing.region).modify_db_cluster(
            DBClusterIdentifier=thing.name, DeletionProtection=False, ApplyImmediately=True
        )
    else:
        client("rds", thing.region).modify_global_cluster(
            GlobalClusterIdentifier=thing.name, DeletionProtection=False
        )


def _is_filled(thing: Named, client: Client) -> bool:
    with unknown_is_unavailable(thing.text):
        if thing.kind == _BUCKET:
            page = client("s3", thing.region).list_object_versions(Bucket=thing.name, MaxKeys=1)
            return bool(page.get("Versions") or page.get("DeleteMarkers"))
        if thing.kind == _VAULT:
            backup = client("backup", thing.region)
            page = backup.list_recovery_points_by_backup_vault(BackupVaultName=thing.name, MaxResults=1)
            return bool(page["RecoveryPoints"])
    return False


def _empty(thing: Named, client: Client) -> None:
    """Of a bucket every version. Access logs stop first: emptying would itself be logged."""
    if thing.kind == _VAULT:
        backup = client("backup", thing.region)
        pages = backup.get_paginator("list_recovery_points_by_backup_vault").paginate(
            BackupVaultName=thing.name
        )
        for point in [point for page in pages for point in page["RecoveryPoints"]]:
            arn = point["RecoveryPointArn"]
            backup.delete_recovery_point(BackupVaultName=thing.name, RecoveryPointArn=arn)
        return
    s3 = client("s3", thing.region)
    s3.put_bucket_logging(Bucket=thing.name, BucketLoggingStatus={})
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=thing.name):
        versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        doomed = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions]
        if doomed:
            answer = s3.delete_objects(Bucket=thing.name, Delete={"Objects": doomed, "Quiet": True})
            _heed(thing, answer)


def _heed(thing: Named, answer: Mapping[str, Any]) -> None:
    """An object under a lock is the one that nobody deletes, whoever asks."""
    if errors := answer.get("Errors"):
        first = errors[0]
        what = f"{len(errors)} objects stay, such as {first['Key']}: {first['Message']}"
        raise Rejected(f"{thing.text}: {what}; a lock ends by itself, nothing takes it off", 1)
