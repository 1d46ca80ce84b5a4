"""The ledger's database: one regional cluster of an Aurora global database, and who may reach it."""

from functools import partial

from msgspec import Struct
from troposphere import AWSHelperFn, If, NoValue, Split, Template, ec2, iam, logs, rds

from templates import deliveries, policies
from templates.config import Settings
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.links import Link
from templates.parameters import ENGINE, cluster_parameters, instance_parameters
from templates.places import IS_PRIMARY, here
from templates.security_groups import PORT, add_security_groups

CLUSTER_ENDPOINT = Link("Database", "ClusterEndpoint", "Host name of this region's cluster.")
CLUSTER_READER_ENDPOINT = Link(
    "Database", "ReaderEndpoint", "Host name at which this region's cluster can be read."
)
CLUSTER_PORT = Link("Database", "ClusterPort", "Port of this region's cluster.")
APPLICATION_SECURITY_GROUP_ID = Link(
    "Database", "ApplicationSecurityGroupId", "Security group of whatever may reach the database."
)
# A writer and a reader that takes its place, in both regions: the one that takes over has nobody else to ask.
INSTANCES = 2


class DatabasePlan(Struct, frozen=True):
    """Where the cluster runs and what belongs to its region."""

    vpc_id: AWSHelperFn
    subnet_ids: AWSHelperFn  # separated by commas
    key_arn: AWSHelperFn


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


def add_database(template: Template, settings: Settings, plan: DatabasePlan) -> rds.DBCluster:
    names = settings.names
    application, database = add_security_groups(template, plan.vpc_id)
    cluster = _add_cluster(template, settings, plan, database)
    parameters = template.add_resource(instance_parameters(settings))
    metrics_role = template.add_resource(_metrics_role(settings))
    first: rds.DBInstance | None = None
    for number in range(1, INSTANCES + 1):
        instance = _instance(settings, plan, number)
        instance.DBClusterIdentifier = cluster.ref()
        instance.DBParameterGroupName = parameters.ref()
        instance.MonitoringRoleArn = metrics_role.get_att("Arn")
        # Whichever is made first becomes the writer.
        if first is not None:
            instance.DependsOn = [first]
        first = first or instance
        template.add_resource(keep(instance, disposable=settings.test_environment))
    template.add_output(CLUSTER_ENDPOINT.publish(names, cluster.get_att("Endpoint.Address")))
    template.add_output(CLUSTER_READER_ENDPOINT.publish(names, cluster.get_att("ReadEndpoint.Address")))
    template.add_output(CLUSTER_PORT.publish(names, cluster.get_att("Endpoint.Port")))
    template.add_output(APPLICATION_SECURITY_GROUP_ID.publish(names, application.ref()))
    return cluster


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
    parameters = template.add_resource(cluster_parameters(settings))
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
        # Whoever deletes it in spite of everything finds its last 35 days, and takes the final snapshot: the
        # stack keeps a cluster (see lifetime.keep), so it is never CloudFormation that could take one.
        DeleteAutomatedBackups=disposable,
        DeletionProtection=not disposable,
        DependsOn=[log_group],
    )
    return template.add_resource(keep(cluster, disposable=disposable))


def _instance(settings: Settings, plan: DatabasePlan, number: int) -> rds.DBInstance:
    return rds.DBInstance(
        f"Instance{number}",
        DBInstanceIdentifier=here(partial(settings.names.regional, f"ledger-{number}")),
        DBInstanceClass="db.serverless",
        Engine=ENGINE,
        PubliclyAccessible=False,
        # Tiers 0 and 1 grow with the writer, so whoever takes over is as large as it was.
        PromotionTier=number - 1,
        # A global database's regions are upgraded in an order, and long-term support means to stay.
        AutoMinorVersionUpgrade=False,
        CACertificateIdentifier="rds-ca-rsa2048-g1",
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=plan.key_arn,
        PerformanceInsightsRetentionPeriod=7,
        MonitoringInterval=60,
    )


def _metrics_role(settings: Settings) -> iam.Role:
    """Enhanced monitoring writes to the group RDSOSMetrics, which RDS makes once for the account's region."""
    return iam.Role(
        "MetricsRole",
        RoleName=here(partial(settings.names.regional, "os-metrics")),
        PermissionsBoundary=policies.boundary_arn(settings.names),
        Description="Lets RDS write what an instance's operating system measures",
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service(
                "monitoring.rds.amazonaws.com",
                *deliveries.own_resources("rds", f"db:{settings.names.service}-*"),
            )
        ),
        Policies=[
            iam.Policy(PolicyName="metrics", PolicyDocument=policies.document(*deliveries.write_os_metrics()))
        ],
    )


def _master(settings: Settings, field: str) -> str:
    """Resolved by CloudFormation when it deploys, and never shown by it."""
    return f"{{{{resolve:secretsmanager:{settings.names.secret('master')}:SecretString:{field}}}}}"
