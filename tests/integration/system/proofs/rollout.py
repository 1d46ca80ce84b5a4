"""What the rollout made: StackSets, published code, the control record, the schema."""

import json
from typing import Any

from tests.integration.system.comparison import Seen
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _stack_set(stack_set: Resource) -> Found:
    cloudformation = stack_set.aws("cloudformation")
    name = stack_set.properties["StackSetName"]
    found: Found = cloudformation.describe_stack_set(StackSetName=name)["StackSet"]
    pages = cloudformation.get_paginator("list_stack_instances").paginate(StackSetName=name)
    instances = [one for page in pages for one in page["Summaries"]]
    if {one["Status"] for one in instances} != {"CURRENT"}:
        raise LookupError(f"its instances are {[(one['Region'], one['Status']) for one in instances]}")
    operations = cloudformation.list_stack_set_operations(StackSetName=name)["Summaries"]
    operation = cloudformation.describe_stack_set_operation(
        StackSetName=name, OperationId=operations[0]["OperationId"]
    )["StackSetOperation"]

    own = cloudformation.list_stack_sets(Status="ACTIVE", CallAs="SELF")["Summaries"]

    def rendered(file: Any) -> Any:
        return json.loads((stack_set.system.workspace / "dist" / file).read_text())

    return found | {
        "CallAs": "SELF" if name in {one["StackSetName"] for one in own} else None,
        "OperationPreferences": operation["OperationPreferences"],
        "StackInstancesGroup": [
            {
                "DeploymentTargets": {"Accounts": sorted({one["Account"] for one in instances})},
                "Regions": [one["Region"] for one in instances],
            }
        ],
        "TemplateURL": Seen(json.loads(found["TemplateBody"]), rendered),
    }


def _stack_set_roles(roles: Resource) -> Found:
    """The one may be assumed by CloudFormation, the other by the one."""
    iam = roles.aws("iam")
    arns = {}
    for role, principal in (
        ("AdministrationRoleArn", "cloudformation.amazonaws.com"),
        ("ExecutionRoleArn", roles.properties["AdministrationRoleArn"]),
    ):
        found = iam.get_role(RoleName=roles.properties[role].rpartition("/")[2])["Role"]
        if principal in json.dumps(found["AssumeRolePolicyDocument"]):
            arns[role] = found["Arn"]
    return arns


def _stack_set_outputs(outputs: Resource) -> Found:
    """What the stacks of the two regions really put out is in the stacks that asked: see their parameters."""
    name = outputs.properties["StackSetName"]
    cloudformation = outputs.aws("cloudformation")
    regions, published = {}, set()
    for place, region in outputs.properties["Regions"].items():
        instance = cloudformation.describe_stack_instance(
            StackSetName=name,
            StackInstanceAccount=outputs.system.plan.account_id,
            StackInstanceRegion=region,
        )["StackInstance"]
        stacks = outputs.aws("cloudformation", region).describe_stacks(StackName=instance["StackId"])
        published |= {one["OutputKey"] for one in stacks["Stacks"][0]["Outputs"]}
        regions[place] = instance["Region"]
    wanted = [one for one in outputs.properties["Outputs"] if one in published]
    return {"StackSetName": name, "Regions": regions, "Outputs": wanted}


def _published_code(code: Resource) -> Found:
    buckets = code.properties["Buckets"]
    keys = [
        {one["Key"] for one in code.aws("s3", region).list_objects_v2(Bucket=bucket).get("Contents", [])}
        for region, bucket in buckets.items()
    ]
    everywhere = set.intersection(*keys)
    return {"Buckets": buckets, "Keys": [key for key in code.properties["Keys"] if key in everywhere]}


def _emptied_buckets(emptied: Resource) -> Found:
    """It acts when it is deleted; until then, that those buckets are there, each in its region."""
    return {
        "Buckets": {
            region: [
                bucket["Name"]
                for bucket in emptied.aws("s3", region).list_buckets(BucketRegion=region)["Buckets"]
                if bucket["Name"] in names
            ]
            for region, names in emptied.properties["Buckets"].items()
        }
    }


def _control_record(record: Resource) -> Found:
    table = record.properties["Table"]
    item = record.aws("dynamodb").get_item(
        TableName=table, Key={"id": {"S": "control"}}, ConsistentRead=True
    )["Item"]
    return {"Table": table, "Active": item["active"]["S"]}


def _schema_migration(migration: Resource) -> Found:
    """Every migration that was built is applied, in this region's database."""
    applied = migration.system.query(migration.region, "SELECT migration_id FROM migrations.applied")
    files = (migration.system.workspace / "src" / "adapters" / "migrations").glob("*.sql")
    missing = {file.stem for file in files} - {name for (name,) in applied}
    if missing:
        raise LookupError(f"not applied: {sorted(missing)}")
    return {}


PROOFS = {
    "AWS::CloudFormation::StackSet": _stack_set,
    "Custom::ControlRecord": _control_record,
    "Custom::EmptiedBuckets": _emptied_buckets,
    "Custom::PublishedCode": _published_code,
    "Custom::SchemaMigration": _schema_migration,
    "Custom::StackSetOutputs": _stack_set_outputs,
    "Custom::StackSetRoles": _stack_set_roles,
}
