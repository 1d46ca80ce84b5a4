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


def test_whoever_takes_over_is_as_warm_as_the_writer_was() -> None:
    template = data.render(settings())
    assert properties(template, "Instance1")["PromotionTier"] == 0
    assert properties(template, "Instance2")["PromotionTier"] == 1
    assert template.to_dict()["Resources"]["Instance2"]["DependsOn"] == ["Instance1"]
    assert "Condition" not in template.to_dict()["Resources"]["Instance2"]
    capacity = properties(template, "Cluster")["ServerlessV2ScalingConfiguration"]
    assert capacity == {"MinCapacity": 2.0, "MaxCapacity": 16.0}


def test_a_deleted_cluster_leaves_its_backups_behind() -> None:
    assert properties(data.render(settings()), "Cluster")["DeleteAutomatedBackups"] is False
    assert properties(data.render(settings("lab")), "Cluster")["DeleteAutomatedBackups"] is True


def test_the_operating_system_is_measured_by_a_role_for_our_instances_only() -> None:
    template = data.render(settings())
    assert properties(template, "Instance1")["MonitoringInterval"] == 60
    (trust,) = properties(template, "MetricsRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":db:payments-*")


def test_only_tls_and_no_forgotten_transaction() -> None:
    parameters = properties(data.render(settings()), "ClusterParameters")["Parameters"]
    assert parameters["rds.force_ssl"] == "1"
    assert parameters["ssl_min_protocol_version"] == "TLSv1.2"
    assert int(parameters["idle_in_transaction_session_timeout"]) <= 60_000
