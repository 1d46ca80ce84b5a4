"""The database of one region, and the global cluster both belong to."""

from troposphere import Template

from templates import data
from templates.database import add_global_cluster
from tests.unit.templates.rendering import properties, settings


def test_only_the_founding_region_has_master_credentials() -> None:
    cluster = properties(data.render(settings()), "Cluster")
    for name in ("DatabaseName", "MasterUsername", "MasterUserPassword"):
        condition, _, otherwise = cluster[name]["Fn::If"]
        assert (condition, otherwise) == ("IsPrimary", {"Ref": "AWS::NoValue"})
    assert cluster["MasterUserPassword"]["Fn::If"][1] == (
        "{{resolve:secretsmanager:payments/prod/database/master:SecretString:password}}"
    )


def test_the_cluster_joins_the_global_database_by_its_computed_name() -> None:
    template = Template()
    add_global_cluster(template, settings())
    identifier = properties(template, "GlobalCluster")["GlobalClusterIdentifier"]
    cluster = properties(data.render(settings()), "Cluster")
    assert cluster["GlobalClusterIdentifier"] == identifier == "payments-ledger-prod"


def test_versions_stay_where_they_are() -> None:
    template = data.render(settings())
    assert properties(template, "Cluster")["EngineVersion"] == "14.6"
    assert properties(template, "Cluster")["AutoMinorVersionUpgrade"] is False
    assert properties(template, "Instance1")["AutoMinorVersionUpgrade"] is False
    assert properties(template, "ClusterParameters")["Family"] == "aurora-postgresql14"


def test_the_log_group_exists_before_the_cluster_would_make_one() -> None:
    template = data.render(settings()).to_dict()["Resources"]
    assert template["Cluster"]["DependsOn"] == ["ClusterLogs"]
    assert template["ClusterLogs"]["Properties"]["LogGroupName"]["Fn::If"][1] == (
        "/aws/rds/cluster/payments-ledger-primary-prod/postgresql"
    )


def test_the_database_hears_the_application_and_the_peer_and_nobody_else() -> None:
    template = data.render(settings()).to_dict()["Resources"]
    ingress = {
        t: r["Properties"] for t, r in template.items() if r["Type"] == "AWS::EC2::SecurityGroupIngress"
    }
    assert ingress["DatabaseFromApplication"]["SourceSecurityGroupId"] == {
        "Fn::GetAtt": ["ApplicationSecurityGroup", "GroupId"]
    }
    assert ingress["DatabaseFromPeer"]["CidrIp"] == {
        "Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "PeerCidr"]
    }
    assert len(ingress) == 2
    assert "SecurityGroupIngress" not in template["DatabaseSecurityGroup"]["Properties"]


def test_nothing_is_protected_in_a_test_environment() -> None:
    template = data.render(settings("lab"))
    assert properties(template, "Cluster")["DeletionProtection"] is False
    assert template.to_dict()["Resources"]["Cluster"]["DeletionPolicy"] == "Delete"
