"""`AWS::DynamoDB::GlobalTable` with real replicas: one table per region, each with its own key and
protection.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-globaltable.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html: strong
consistency needs three regions of one set, two replicas and a witness or three replicas, and has no TTL and
no local indexes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import dynamodb
from ministack.services.cloudformation.provisioners import _physical_name

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list
from lab.embedded.keys import require_key

TYPE = "AWS::DynamoDB::GlobalTable"
STRONG = "STRONG"
REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)
_CONSISTENCY, _WITNESSES = "_lab_multi_region_consistency", "_lab_witnesses"
_FIXED = ("KeySchema", "LocalSecondaryIndexes", "MultiRegionConsistency", "GlobalTableWitnesses")


def consistency(table: Mapping[str, Any]) -> str:
    """Of a table of MiniStack's, whether this module made it or not."""
    return str(table.get(_CONSISTENCY, "EVENTUAL"))


def witnesses(table: Mapping[str, Any]) -> list[str]:
    """The regions that hold a vote in the table and no replica."""
    return list(table.get(_WITNESSES, ()))


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {
        "create": create,
        "update": update,
        "delete": delete,
        "update_with_logical_id": True,
    }
    _describe_consistency()


def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    check(properties)
    name = str(properties.get("TableName") or _physical_name(stack_name, logical_id, max_len=255))
    home, *others = _replicas(properties)
    request = {
        "TableName": name,
        "KeySchema": properties["KeySchema"],
        "AttributeDefinitions": properties.get("AttributeDefinitions", []),
        "GlobalSecondaryIndexes": [_index(index) for index in properties.get("GlobalSecondaryIndexes", ())],
        "LocalSecondaryIndexes": properties.get("LocalSecondaryIndexes", []),
        **_throughput(properties),
    }
    if properties.get("StreamSpecification"):
        request["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    _require_keys(properties)
    checked(dynamodb._create_table(request))
    try:
        for replica in others:
            _add_replica(name, replica["Region"])
        _configure(name, properties, old={})
    except ValueError:
        _remove(name, [replica["Region"] for replica in (*others, home)])
        raise
    return _created(name)


def update(
    physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None
) -> Created:
    check(new)
    for name in _FIXED:
        if old.get(name) != new.get(name):
            raise ResourceError(
                f"{name} of a global table cannot be changed after creation (ValidationException)"
            )
    former = {replica["Region"] for replica in _replicas(old)}
    wanted = {replica["Region"] for replica in _replicas(new)}
    if new.get("MultiRegionConsistency") == STRONG and former != wanted:
        raise ResourceError(
            "Replicas of a table with multi-Region strong consistency cannot be changed (ValidationException)"
        )
    _require_keys(new)
    for region in sorted(former - wanted):
        _unprotected(physical_id, region)
        _update_table(physical_id, ReplicaUpdates=[{"Delete": {"RegionName": region}}])
    for region in sorted(wanted - former):
        _add_replica(physical_id, region)
    if old.get("BillingMode") != new.get("BillingMode"):
        for region in sorted(wanted):
            with _in(region):
                _update_table(physical_id, **_throughput(new))
    _update_indexes(physical_id, old, new, sorted(wanted))
    _configure(physical_id, new, old)
    return _created(physical_id)


def delete(physical_id: str, properties: Properties) -> None:
    table = dynamodb._tables.get(physical_id)
    if table is None:
        return
    regions = dynamodb._replica_group(table) or [get_region()]
    for region in regions:
        _unprotected(physical_id, region)
    _remove(physical_id, [region for region in regions if region != get_region()] + [get_region()])


def check(properties: Properties) -> None:
    """What DynamoDB refuses before it makes anything. Raises ResourceError."""
    regions = [str(replica["Region"]) for replica in properties.get("Replicas", ())]
    if get_region() not in regions:
        raise ResourceError(
            f"Replicas must include the region of the stack, {get_region()} (ValidationException)"
        )
    if len(set(regions)) != len(regions):
        raise ResourceError("Replicas repeat a region (ValidationException)")
    witnesses = [str(witness["Region"]) for witness in properties.get("GlobalTableWitnesses", ())]
    if properties.get("MultiRegionConsistency") == STRONG:
        _check_strong(properties, regions, witnesses)
        return
    if witnesses:
        raise ResourceError("GlobalTableWitnesses need MultiRegionConsistency STRONG (ValidationException)")
    if len(regions) > 1 and not properties.get("StreamSpecification"):
        raise ResourceError(
            "StreamSpecification is required for a table with more than one replica (ValidationException)"
        )


def _check_strong(properties: Properties, regions: list[str], witnesses: list[str]) -> None:
    if (len(regions), len(witnesses)) not in ((3, 0), (2, 1)) or set(regions) & set(witnesses):
        raise ResourceError(
            "A table with multi-Region strong consistency needs three replicas, or two replicas and one "
            "witness in a third region (ValidationException)"
        )
    if not any({*regions, *witnesses} <= group for group in REGION_SETS):
        raise ResourceError(
            f"{', '.join(sorted({*regions, *witnesses}))} are not of one region set for multi-Region strong "
            "consistency (ValidationException)"
        )
    for name in ("TimeToLiveSpecification", "LocalSecondaryIndexes"):
        if properties.get(name):
            raise ResourceError(
                f"{name} is not supported with multi-Region strong consistency (ValidationException)"
            )


def _replicas(properties: Properties) -> list[dict[str, Any]]:
    """The replica of the stack's region first."""
    return sorted(properties["Replicas"], key=lambda replica: replica["Region"] != get_region())


def _throughput(properties: Properties) -> dict[str, Any]:
    if properties.get("BillingMode", "PROVISIONED") == "PAY_PER_REQUEST":
        return {"BillingMode": "PAY_PER_REQUEST"}
    write = properties.get("WriteProvisionedThroughputSettings", {})
    read = properties.get("ReadProvisionedThroughputSettings", {})
    units = {
        "WriteCapacityUnits": write.get("WriteCapacityAutoScalingSettings", {}).get("MinCapacity", 5),
        "ReadCapacityUnits": read.get("ReadCapacityAutoScalingSettings", {}).get("MinCapacity", 5),
    }
    return {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units}


def _index(properties: Properties) -> dict[str, Any]:
    return {name: properties[name] for name in ("IndexName", "KeySchema", "Projection") if name in properties}


def _update_indexes(name: str, old: Properties, new: Properties, regions: list[str]) -> None:
    """An index is created or deleted in every replica, one per call as UpdateTable has it."""
    former = {index["IndexName"]: _index(index) for index in old.get("GlobalSecondaryIndexes", ())}
    wanted = {index["IndexName"]: _index(index) for index in new.get("GlobalSecondaryIndexes", ())}
    gone = [index for index in former if wanted.get(index) != former[index]]
    made = [wanted[index] for index in wanted if wanted[index] != former.get(index)]
    steps = [{"Delete": {"IndexName": index}} for index in gone] + [{"Create": index} for index in made]
    for region in regions:
        with _in(region):
            for step in steps:
                _update_table(
                    name,
                    AttributeDefinitions=new.get("AttributeDefinitions", []),
                    GlobalSecondaryIndexUpdates=[step],
                )


def _add_replica(name: str, region: str) -> None:
    _update_table(name, ReplicaUpdates=[{"Create": {"RegionName": region}}])


def _configure(name: str, properties: Properties, old: Properties) -> None:
    """What each replica has of its own, and what all share."""
    for replica in _replicas(properties):
        with _in(replica["Region"]):
            table = dynamodb._tables[name]
            _encrypt(name, properties, replica)
            table["DeletionProtectionEnabled"] = bool(replica.get("DeletionProtectionEnabled", False))
            table[_CONSISTENCY] = properties.get("MultiRegionConsistency", "EVENTUAL")
            table[_WITNESSES] = [item["Region"] for item in properties.get("GlobalTableWitnesses", ())]
            recovery = replica.get("PointInTimeRecoverySpecification") or {}
            enabled = bool(recovery.get("PointInTimeRecoveryEnabled", False))
            specification = {"PointInTimeRecoveryEnabled": enabled}
            checked(
                dynamodb._update_continuous_backups(
                    {"TableName": name, "PointInTimeRecoverySpecification": specification}
                )
            )
            dynamodb._tags[table["TableArn"]] = tag_list(replica.get("Tags"))
    expiry, former = (p.get("TimeToLiveSpecification") for p in (properties, old))
    if expiry != former:
        wanted = expiry or {**(former or {}), "Enabled": False}
        checked(dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": wanted}))


def _encrypt(name: str, properties: Properties, replica: dict[str, Any]) -> None:
    table = dynamodb._tables[name]
    specification = properties.get("SSESpecification") or {}
    if not specification.get("SSEEnabled"):
        table["SSEDescription"] = None
        return
    key = replica.get("SSESpecification", {}).get("KMSMasterKeyId", "alias/aws/dynamodb")
    table["SSEDescription"] = {
        "Status": "ENABLED",
        "SSEType": specification.get("SSEType", "KMS"),
        "KMSMasterKeyArn": require_key(key),
    }


def _require_keys(properties: Properties) -> None:
    """Every replica's key exists in its region before anything is made."""
    if (properties.get("SSESpecification") or {}).get("SSEEnabled"):
        for replica in _replicas(properties):
            with _in(replica["Region"]):
                require_key(replica.get("SSESpecification", {}).get("KMSMasterKeyId", "alias/aws/dynamodb"))


def _unprotected(name: str, region: str) -> None:
    with _in(region):
        if (dynamodb._tables.get(name) or {}).get("DeletionProtectionEnabled"):
            raise ResourceError(
                f"Resource cannot be deleted as it is currently protected against deletion in {region}. "
                "Disable deletion protection first. (ValidationException)"
            )


def _remove(name: str, regions: list[str]) -> None:
    for region in regions:
        with _in(region):
            if name in dynamodb._tables:
                dynamodb._tables[name]["DeletionProtectionEnabled"] = False
                checked(dynamodb._delete_table({"TableName": name}))


def _update_table(name: str, **request: Any) -> None:
    checked(dynamodb._update_table({"TableName": name, **request}))


def _in(region: str) -> Any:
    return request_scope(get_account_id(), region)


def _created(name: str) -> Created:
    table = dynamodb._tables[name]
    attributes = {"Arn": table["TableArn"], "TableId": table["TableId"]}
    if table.get("LatestStreamArn"):
        attributes["StreamArn"] = table["LatestStreamArn"]
    return name, attributes


def _describe_consistency() -> None:
    """DescribeTable says which consistency a global table has and where its witness is."""
    inherited: Callable[[str], dict[str, Any]] = dynamodb._table_description

    def description(name: str) -> dict[str, Any]:
        described = inherited(name)
        table = dynamodb._tables[name]
        if _CONSISTENCY in table and dynamodb._replica_group(table):
            described["MultiRegionConsistency"] = table[_CONSISTENCY]
            if table[_WITNESSES]:
                described["GlobalTableWitnesses"] = [
                    {"RegionName": region, "WitnessStatus": "ACTIVE"} for region in table[_WITNESSES]
                ]
            for replica in described.get("Replicas", ()):
                other = dynamodb._tables.get_scoped(get_account_id(), replica["RegionName"], name) or {}
                key = (other.get("SSEDescription") or {}).get("KMSMasterKeyArn")
                if key:
                    replica["KMSMasterKeyId"] = key
        return described

    dynamodb._table_description = description
