"""The ledger's database: one regional cluster of an Aurora global database, and who may reach it."""

from dataclasses import dataclass
from functools import partial

from troposphere import AWSHelperFn, If, NoValue, Split, Tags, Template, ec2, logs, rds

from templates.config import Settings
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.links import Link
from templates.network import ANYWHERE
from templates.places import IS_PRIMARY, here, lookup

CLUSTER_ENDPOINT = Link("Database", "ClusterEndpoint", "Host name of this region's cluster.")
CLUSTER_PORT = Link("Database", "ClusterPort", "Port of this region's cluster.")
APPLICATION_SECURITY_GROUP_ID = Link(
    "Database", "ApplicationSecurityGroupId", "Security group of whatever may reach the database."
)
PORT = 5432
ENGINE = "aurora-postgresql"
_NOWHERE = "127.0.0.1/32"  # without any rule of ours, EC2 adds one that allows everything


@dataclass(frozen=True, slots=True)
class DatabasePlan:
    """Where the cluster runs and what belongs to its region."""

    vpc_id: AWSHelperFn
    subnet_ids: AWSHelperFn  # separated by commas
    key_arn: AWSHelperFn
    instances: int = 1


def add_global_cluster(template: Template, settings: Settings) -> rds.GlobalCluster:
    """Created empty, before its members: the first regional cluster that names it founds it."""
    cluster = rds.GlobalCluster(
        "GlobalCluster",
        GlobalClusterIdentifier=settings.names.shared("ledger"),
        Engine=ENGINE,
        EngineVersion=settings.database.engine_version,
        StorageEncrypted=True,
        DeletionProtection=not settings.test_environment,
    )
    return template.add_resource(keep(cluster, disposable=settings.test_environment))


def add_database(template: Template, settings: Settings, plan: DatabasePlan) -> None:
    names = settings.names
    application, database = add_security_groups(template, plan.vpc_id)
    cluster = _add_cluster(template, settings, plan, database)
    parameters = _add_instance_parameters(template, settings)
    for number in range(1, plan.instances + 1):
        _add_instance(template, settings, plan, cluster, parameters, number)
    template.add_output(CLUSTER_ENDPOINT.publish(names, cluster.get_att("Endpoint.Address")))
    template.add_output(CLUSTER_PORT.publish(names, cluster.get_att("Endpoint.Port")))
    template.add_output(APPLICATION_SECURITY_GROUP_ID.publish(names, application.ref()))


def add_security_groups(
    template: Template, vpc_id: AWSHelperFn
) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    """The application's and the database's; each names the other, so their rules are separate resources."""
    application = template.add_resource(
        ec2.SecurityGroup(
            "ApplicationSecurityGroup",
            GroupDescription="Functions that use the database",
            VpcId=vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp",
                    FromPort=443,
                    ToPort=443,
                    CidrIp=ANYWHERE,
                    Description="AWS services, through gateway endpoints and NAT",
                )
            ],
            Tags=Tags(Name="application"),
        )
    )
    database = template.add_resource(
        ec2.SecurityGroup(
            "DatabaseSecurityGroup",
            GroupDescription="The database",
            VpcId=vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp",
                    FromPort=PORT,
                    ToPort=PORT,
                    CidrIp=_NOWHERE,
                    Description="Nothing: a database answers, it never calls",
                )
            ],
            Tags=Tags(Name="database"),
        )
    )
    for rule in (
        ec2.SecurityGroupEgress(
            "ApplicationToDatabase",
            GroupId=application.get_att("GroupId"),
            DestinationSecurityGroupId=database.get_att("GroupId"),
            Description="The database of this region",
        ),
        ec2.SecurityGroupEgress(
            "ApplicationToPeer",
            GroupId=application.get_att("GroupId"),
            CidrIp=lookup("PeerCidr"),
            Description="The database of the other region, by the peering",
        ),
        ec2.SecurityGroupIngress(
            "DatabaseFromApplication",
            GroupId=database.get_att("GroupId"),
            SourceSecurityGroupId=application.get_att("GroupId"),
            Description="Functions of this region",
        ),
        ec2.SecurityGroupIngress(
            "DatabaseFromPeer",
            GroupId=database.get_att("GroupId"),
            CidrIp=lookup("PeerCidr"),
            Description="Functions of the other region, by the peering",
        ),
    ):
        rule.IpProtocol, rule.FromPort, rule.ToPort = "tcp", PORT, PORT
        template.add_resource(rule)
    return application, database


def _add_cluster(
    template: Template, settings: Settings, plan: DatabasePlan, security_group: ec2.SecurityGroup
) -> rds.DBCluster:
    names, disposable = settings.names, settings.test_environment
    identifier = partial(names.regional, "ledger")
    log_group = logs.LogGroup(
        "ClusterLogs",
        # RDS would make it itself, without our key and for ever; so it exists first.
        LogGroupName=here(lambda place: f"/aws/rds/cluster/{identifier(place)}/postgresql"),
        KmsKeyId=plan.key_arn,
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    template.add_resource(keep(log_group, disposable=disposable))
    subnet_group = template.add_resource(
        rds.DBSubnetGroup(
            "SubnetGroup",
            DBSubnetGroupName=here(identifier),
            DBSubnetGroupDescription="Private subnets of the three zones",
            SubnetIds=Split(",", plan.subnet_ids),
        )
    )
    parameters = template.add_resource(
        rds.DBClusterParameterGroup(
            "ClusterParameters",
            DBClusterParameterGroupName=here(partial(names.regional, f"ledger-{_major(settings)}")),
            Description="TLS only; statements that change the schema are logged",
            Family=f"{ENGINE}{_major(settings)}",
            Parameters={"rds.force_ssl": "1", "log_statement": "ddl"},
        )
    )
    cluster = rds.DBCluster(
        "Cluster",
        DBClusterIdentifier=here(identifier),
        GlobalClusterIdentifier=names.shared("ledger"),
        Engine=ENGINE,
        EngineVersion=settings.database.engine_version,
        # Only where the global database is founded: on the other cluster these would mean its replacement.
        DatabaseName=If(IS_PRIMARY, settings.database.name, NoValue),
        MasterUsername=If(IS_PRIMARY, _master(settings, "username"), NoValue),
        MasterUserPassword=If(IS_PRIMARY, _master(settings, "password"), NoValue),
        Port=PORT,
        ServerlessV2ScalingConfiguration=rds.ServerlessV2ScalingConfiguration(
            MinCapacity=settings.database.min_capacity, MaxCapacity=settings.database.max_capacity
        ),
        DBSubnetGroupName=subnet_group.ref(),
        DBClusterParameterGroupName=parameters.ref(),
        VpcSecurityGroupIds=[security_group.get_att("GroupId")],
        StorageEncrypted=True,
        KmsKeyId=plan.key_arn,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        BackupRetentionPeriod=1 if disposable else 35,
        PreferredBackupWindow="07:00-08:00",
        PreferredMaintenanceWindow="sun:08:30-sun:09:30",
        AutoMinorVersionUpgrade=False,
        CopyTagsToSnapshot=True,
        DeletionProtection=not disposable,
        DependsOn=[log_group],
    )
    return template.add_resource(keep(cluster, disposable=disposable))


def _add_instance_parameters(template: Template, settings: Settings) -> rds.DBParameterGroup:
    return template.add_resource(
        rds.DBParameterGroup(
            "InstanceParameters",
            DBParameterGroupName=here(partial(settings.names.regional, f"ledger-{_major(settings)}")),
            Description="Statements that take longer than a second are logged",
            Family=f"{ENGINE}{_major(settings)}",
            Parameters={"log_min_duration_statement": "1000"},
        )
    )


def _add_instance(
    template: Template,
    settings: Settings,
    plan: DatabasePlan,
    cluster: rds.DBCluster,
    parameters: rds.DBParameterGroup,
    number: int,
) -> None:
    instance = rds.DBInstance(
        f"Instance{number}",
        DBInstanceIdentifier=here(partial(settings.names.regional, f"ledger-{number}")),
        DBClusterIdentifier=cluster.ref(),
        DBInstanceClass="db.serverless",
        Engine=ENGINE,
        DBParameterGroupName=parameters.ref(),
        PubliclyAccessible=False,
        # A global database's regions are upgraded in an order, and long-term support means to stay.
        AutoMinorVersionUpgrade=False,
        CACertificateIdentifier="rds-ca-rsa2048-g1",
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=plan.key_arn,
        PerformanceInsightsRetentionPeriod=7,
    )
    template.add_resource(keep(instance, disposable=settings.test_environment))


def _master(settings: Settings, field: str) -> str:
    """Resolved by CloudFormation when it deploys, and never shown by it."""
    return f"{{{{resolve:secretsmanager:{settings.names.secret('master')}:SecretString:{field}}}}}"


def _major(settings: Settings) -> str:
    return settings.database.engine_version.split(".")[0]
