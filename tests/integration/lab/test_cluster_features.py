"""What is configured of a cluster beside its replication: parameters, logs, monitoring, readers, backups."""

import json
from collections.abc import Iterator
from typing import Any

import boto3.session
import psycopg
import pytest
from botocore.exceptions import ClientError

from lab.control import Control, ControlError
from lab.plan import LabPlan
from tests.integration.lab.clusters import MASTER, PRIMARY, connect
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, StackError, Template, cluster, resource

pytestmark = pytest.mark.lab
LOGS = "/aws/rds/cluster/featured/postgresql"


def trusting(service: str, *actions: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    grant = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policies = [{"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": [grant]}}]
    document = {"Version": "2012-10-17", "Statement": [trust]}
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=document, Policies=policies)


def featured(trusted: str = "monitoring.rds.amazonaws.com") -> Template:
    template = cluster("featured", "", **MASTER)
    resources = template["Resources"]
    properties = resources["Cluster"]["Properties"]
    del properties["GlobalClusterIdentifier"]
    properties.update(
        DBClusterParameterGroupName={"Ref": "ClusterParameters"}, EnableCloudwatchLogsExports=["postgresql"]
    )
    family = "aurora-postgresql14"
    resources["ClusterParameters"] = resource(
        "AWS::RDS::DBClusterParameterGroup",
        Description="cluster",
        Family=family,
        Parameters={"rds.force_ssl": "1", "log_statement": "ddl", "work_mem": "5120"},
    )
    resources["InstanceParameters"] = resource(
        "AWS::RDS::DBParameterGroup",
        Description="instance",
        Family=family,
        Parameters={"work_mem": "6144", "shared_buffers": "1024"},
    )
    resources["MonitoringRole"] = trusting(trusted, "logs:*")
    resources["BackupRole"] = trusting("backup.amazonaws.com", "rds:*")
    resources["Vault"] = resource("AWS::Backup::BackupVault", BackupVaultName="featured")
    resources["Instance"]["Properties"].update(
        DBInstanceIdentifier="featured-1",
        DBParameterGroupName={"Ref": "InstanceParameters"},
        EnablePerformanceInsights=True,
        PerformanceInsightsRetentionPeriod=7,
        MonitoringInterval=60,
        MonitoringRoleArn={"Fn::GetAtt": ["MonitoringRole", "Arn"]},
    )
    reader = json.loads(json.dumps(resources["Instance"]))
    reader["Properties"]["DBInstanceIdentifier"] = "featured-2"
    resources["Reader"] = {**reader, "DependsOn": ["Instance"]}
    template["Outputs"] = {
        "BackupRole": {"Value": {"Fn::GetAtt": ["BackupRole", "Arn"]}},
        "InstanceParameters": {"Value": {"Ref": "InstanceParameters"}},
        "ClusterParameters": {"Value": {"Ref": "ClusterParameters"}},
    }
    return template


@pytest.fixture(scope="module")
def region(lab: LabPlan, aws: boto3.session.Session) -> Region:
    return Region(lab, aws, PRIMARY)


@pytest.fixture(scope="module")
def made(region: Region) -> Iterator[dict[str, str]]:
    yield region.deploy("featured", featured())
    region.remove("featured")


@pytest.fixture
def client(lab: LabPlan, aws: boto3.session.Session) -> Any:
    def of(service: Any) -> Any:
        return aws.client(service, region_name=PRIMARY, endpoint_url=lab.regions[PRIMARY].proxy_url)

    return of


def change_work_mem(region: Region, made: dict[str, str], value: str) -> None:
    region.rds.modify_db_parameter_group(
        DBParameterGroupName=made["InstanceParameters"],
        Parameters=[{"ParameterName": "work_mem", "ParameterValue": value, "ApplyMethod": "immediate"}],
    )


def test_parameters_of_the_groups_are_postgresql_s(
    lab: LabPlan, region: Region, made: dict[str, str]
) -> None:
    def setting(name: str) -> str:
        with connect(lab, PRIMARY) as connection:
            row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])

    eventually(lambda: setting("work_mem") == "6MB")  # the instance's group is above the cluster's
    assert setting("log_statement") == "ddl"
    assert setting("shared_buffers") == "32MB"  # waits for a restart, as any static parameter
    change_work_mem(region, made, "7168")
    eventually(lambda: setting("work_mem") == "7MB")
    described = region.rds.describe_db_cluster_parameters(
        DBClusterParameterGroupName=made["ClusterParameters"], Source="user"
    )
    values = {item["ParameterName"]: item["ParameterValue"] for item in described["Parameters"]}
    assert values == {"rds.force_ssl": "1", "log_statement": "ddl", "work_mem": "5120"}
    with pytest.raises(ClientError, match="invalid value for parameter"):
        change_work_mem(region, made, "plenty")
    assert setting("work_mem") == "7MB"


def test_what_postgresql_logs_is_exported(lab: LabPlan, made: dict[str, str], client: Any) -> None:
    with connect(lab, PRIMARY) as connection:
        eventually(lambda: connection.execute("SHOW log_statement").fetchone() == ("ddl",))
        connection.execute("CREATE TABLE exported (id int)")
    logs = client("logs")

    def found(pattern: str) -> Any:
        return logs.filter_log_events(logGroupName=LOGS, filterPattern=f'"{pattern}"')["events"]

    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=LOGS)["logGroups"])  # RDS makes it
    eventually(lambda: found("CREATE TABLE exported"))
    assert ":ledger_master@ledger:" in found("CREATE TABLE exported")[0]["message"]
    assert not found("rdsadmin@postgres")  # what the lab itself says is nobody's
    assert logs.describe_log_streams(logGroupName=LOGS)["logStreams"][0]["logStreamName"] == "featured-1.0"


def test_features_are_described(region: Region, made: dict[str, str]) -> None:
    (found,) = region.rds.describe_db_clusters()["DBClusters"]
    assert found["EnabledCloudwatchLogsExports"] == ["postgresql"]
    writers = {item["DBInstanceIdentifier"]: item["IsClusterWriter"] for item in found["DBClusterMembers"]}
    assert writers == {"featured-1": True, "featured-2": False}
    for instance in region.rds.describe_db_instances()["DBInstances"]:
        assert instance["PerformanceInsightsEnabled"]
        assert instance["MonitoringInterval"] == 60
        assert ":role/" in instance["MonitoringRoleArn"]


def test_monitoring_by_a_role_that_rds_cannot_assume_is_refused(region: Region, made: dict[str, str]) -> None:
    template = featured(trusted="ec2.amazonaws.com")
    only = ("MonitoringRole", "InstanceParameters", "Refused")
    template["Resources"]["Refused"] = template["Resources"].pop("Reader")
    refused = template["Resources"]["Refused"]
    del refused["DependsOn"]
    refused["Properties"].update(DBInstanceIdentifier="refused", DBClusterIdentifier="featured")
    template["Resources"] = {name: template["Resources"][name] for name in only}
    with pytest.raises(StackError, match="required permissions for: ENHANCED_MONITORING"):
        region.deploy("refused", {"Resources": template["Resources"]})
    region.remove("refused")


def test_a_backup_of_the_cluster_is_a_base_backup_that_is_verified(
    lab: LabPlan, made: dict[str, str], region: Region, client: Any
) -> None:
    (found,) = region.rds.describe_db_clusters()["DBClusters"]
    backups = client("backup")
    job = backups.start_backup_job(
        BackupVaultName="featured", ResourceArn=found["DBClusterArn"], IamRoleArn=made["BackupRole"]
    )

    def ended() -> bool:
        state = backups.describe_backup_job(BackupJobId=job["BackupJobId"])["State"]
        return bool(state != "RUNNING")

    eventually(ended, 60)
    described = backups.describe_backup_job(BackupJobId=job["BackupJobId"])
    assert described["State"] == "COMPLETED", described["StatusMessage"]
    assert described["BackupSizeInBytes"] > 1_000_000
    directory = lab.runtime_directory / "backups" / job["BackupJobId"]
    assert (directory / "backup_manifest").exists()
    backups.delete_recovery_point(BackupVaultName="featured", RecoveryPointArn=described["RecoveryPointArn"])
    eventually(lambda: not directory.exists())
    with pytest.raises(ControlError, match="not the name of a backup"):
        Control(lab.control_socket).copy_backup("..", "x")


def test_a_reader_does_not_take_the_cluster_with_it(
    lab: LabPlan, region: Region, made: dict[str, str]
) -> None:
    region.rds.delete_db_instance(DBInstanceIdentifier="featured-2", SkipFinalSnapshot=True)
    with connect(lab, PRIMARY) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connect(lab, PRIMARY, sslmode="disable")


def test_a_cluster_whose_policy_is_a_snapshot_leaves_one(lab: LabPlan, aws: boto3.session.Session) -> None:
    region = Region(lab, aws, "us-east-2")
    template = cluster("photographed", "", **MASTER)
    del template["Resources"]["Cluster"]["Properties"]["GlobalClusterIdentifier"]
    template["Resources"]["Cluster"]["DeletionPolicy"] = "Snapshot"
    region.deploy("photographed", template)
    region.remove("photographed")
    assert region.rds.describe_db_clusters()["DBClusters"] == []
    (found,) = region.rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    assert (found["DBClusterIdentifier"], found["Status"]) == ("photographed", "available")
