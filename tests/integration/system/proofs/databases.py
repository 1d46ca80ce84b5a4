"""RDS's and AWS Backup's own words about the ledger."""

import json
from typing import Any

from tests.integration.system.comparison import only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _global_cluster(cluster: Resource) -> Found:
    """Both regions' clusters are its members."""
    found: Found = only(
        cluster.aws("rds").describe_global_clusters(GlobalClusterIdentifier=cluster.physical_id)[
            "GlobalClusters"
        ]
    )
    regions = {member["DBClusterArn"].split(":")[3] for member in found["GlobalClusterMembers"]}
    if found["Status"] != "available" or regions != set(cluster.system.regions):
        raise LookupError(f"it is {found['Status']}, with members in {sorted(regions)}")
    return found


def _cluster(cluster: Resource) -> Found:
    rds = cluster.aws("rds")
    found: Found = only(rds.describe_db_clusters(DBClusterIdentifier=cluster.physical_id)["DBClusters"])
    if found["Status"] != "available":
        raise LookupError(f"it is {found['Status']}")
    global_clusters = [
        one["GlobalClusterIdentifier"]
        for one in rds.describe_global_clusters()["GlobalClusters"]
        if found["DBClusterArn"] in {member["DBClusterArn"] for member in one["GlobalClusterMembers"]}
    ]
    return found | {
        "DBClusterParameterGroupName": found["DBClusterParameterGroup"],
        "DBSubnetGroupName": found["DBSubnetGroup"],
        "EnableCloudwatchLogsExports": found.get("EnabledCloudwatchLogsExports", []),
        "EnableIAMDatabaseAuthentication": found["IAMDatabaseAuthenticationEnabled"],
        "GlobalClusterIdentifier": only(global_clusters),
        "ServerlessV2ScalingConfiguration": found.get("ServerlessV2ScalingConfiguration"),
        "VpcSecurityGroupIds": [one["VpcSecurityGroupId"] for one in found["VpcSecurityGroups"]],
    }


def _instance(instance: Resource) -> Found:
    answer = instance.aws("rds").describe_db_instances(DBInstanceIdentifier=instance.physical_id)
    found: Found = only(answer["DBInstances"])
    if found["DBInstanceStatus"] != "available":
        raise LookupError(f"it is {found['DBInstanceStatus']}")
    return found | {
        "DBParameterGroupName": only(found["DBParameterGroups"])["DBParameterGroupName"],
        "EnablePerformanceInsights": found.get("PerformanceInsightsEnabled"),
        "PerformanceInsightsKMSKeyId": found.get("PerformanceInsightsKMSKeyId"),
    }


def _cluster_parameters(group: Resource) -> Found:
    rds, name = group.aws("rds"), group.physical_id
    answer = rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)
    found: Found = only(answer["DBClusterParameterGroups"])
    pages = rds.get_paginator("describe_db_cluster_parameters").paginate(
        DBClusterParameterGroupName=name, Source="user"
    )
    return found | _group_words(found, pages)


def _instance_parameters(group: Resource) -> Found:
    rds, name = group.aws("rds"), group.physical_id
    found: Found = only(rds.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"])
    pages = rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name, Source="user")
    return found | _group_words(found, pages)


def _group_words(found: Found, pages: Any) -> Found:
    parameters = {
        one["ParameterName"]: one.get("ParameterValue") for page in pages for one in page["Parameters"]
    }
    return {"Family": found["DBParameterGroupFamily"], "Parameters": parameters}


def _subnet_group(group: Resource) -> Found:
    answer = group.aws("rds").describe_db_subnet_groups(DBSubnetGroupName=group.physical_id)
    found: Found = only(answer["DBSubnetGroups"])
    return found | {"SubnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]]}


def _vault(vault: Resource) -> Found:
    backup = vault.aws("backup")
    found: Found = backup.describe_backup_vault(BackupVaultName=vault.physical_id)
    policy = backup.get_backup_vault_access_policy(BackupVaultName=vault.physical_id)["Policy"]
    return found | {"AccessPolicy": json.loads(policy)}


def _plan(plan: Resource) -> Found:
    found: Found = plan.aws("backup").get_backup_plan(BackupPlanId=plan.physical_id)["BackupPlan"]
    rules = [
        rule | {"TargetBackupVault": rule["TargetBackupVaultName"]} | _windows(rule)
        for rule in found["Rules"]
    ]
    return {"BackupPlan": found | {"BackupPlanRule": rules}}


def _windows(rule: Found) -> Found:
    return {
        name: rule[f"{name}Minutes"]
        for name in ("CompletionWindow", "StartWindow")
        if f"{name}Minutes" in rule
    }


def _selection(selection: Resource) -> Found:
    plan_id = selection.properties["BackupPlanId"]
    pages = selection.aws("backup").get_paginator("list_backup_selections").paginate(BackupPlanId=plan_id)
    name = selection.properties["BackupSelection"]["SelectionName"]
    listed = [one for page in pages for one in page["BackupSelectionsList"] if one["SelectionName"] == name]
    found: Found = selection.aws("backup").get_backup_selection(
        BackupPlanId=plan_id, SelectionId=only(listed)["SelectionId"]
    )
    return {"BackupPlanId": found["BackupPlanId"], "BackupSelection": found["BackupSelection"]}


PROOFS = {
    "AWS::Backup::BackupPlan": _plan,
    "AWS::Backup::BackupSelection": _selection,
    "AWS::Backup::BackupVault": _vault,
    "AWS::RDS::DBCluster": _cluster,
    "AWS::RDS::DBClusterParameterGroup": _cluster_parameters,
    "AWS::RDS::DBInstance": _instance,
    "AWS::RDS::DBParameterGroup": _instance_parameters,
    "AWS::RDS::DBSubnetGroup": _subnet_group,
    "AWS::RDS::GlobalCluster": _global_cluster,
}
