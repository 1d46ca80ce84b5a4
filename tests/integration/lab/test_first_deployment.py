"""What docs/runbooks/first-deployment.md says to do when deletion protection stops a rollback."""

from typing import Any

import boto3.session
import pytest

from lab.plan import LabPlan
from tests.integration.lab.stacks import Region, StackError, Template, cluster, resource

pytestmark = pytest.mark.lab


@pytest.fixture
def region(lab: LabPlan, aws: boto3.session.Session) -> Region:
    return Region(lab, aws, "us-east-1")


def data(*, fails: bool = False) -> Template:
    """As the regional template has it: protected, and kept unless its creation is taken back."""
    master: dict[str, Any] = {"MasterUsername": "ledger_master", "MasterUserPassword": "made-up password"}
    template = cluster("first", "", DatabaseName="ledger", DeletionProtection=True, **master)
    del template["Resources"]["Cluster"]["Properties"]["GlobalClusterIdentifier"]
    template["Resources"]["Cluster"]["DeletionPolicy"] = "RetainExceptOnCreate"
    if fails:
        vault = resource("AWS::Backup::BackupVault", BackupVaultName="first", EncryptionKeyArn="alias/none")
        template["Resources"]["Fails"] = {**vault, "DependsOn": "Instance"}
    return template


def test_a_protected_cluster_of_a_failed_first_deployment_is_cleaned_up(region: Region) -> None:
    with pytest.raises(StackError, match="Cannot delete protected Cluster"):
        region.deploy("data", data(fails=True))
    # What was left has a fixed name, and is in the way of the next attempt.
    with pytest.raises(StackError, match="first"):
        region.deploy("data-again", data())
    region.remove("data-again")

    region.rds.modify_db_cluster(DBClusterIdentifier="first", DeletionProtection=False, ApplyImmediately=True)
    region.rds.delete_db_cluster(DBClusterIdentifier="first", SkipFinalSnapshot=True)
    region.remove("data")

    assert region.deploy("data", data())["Port"]
    region.rds.modify_db_cluster(DBClusterIdentifier="first", DeletionProtection=False, ApplyImmediately=True)
    region.remove("data")  # keeps the cluster, which by now is somebody's ledger
    region.rds.delete_db_cluster(DBClusterIdentifier="first", SkipFinalSnapshot=True)
