"""Experiments of AWS Fault Injection Service: the faults of those drills that AWS can make, in either region.

Nothing happens until somebody starts one, in the region that is to suffer. Each names by ARN what it touches,
all of it ours and in its own region, and has a role of its own that can touch nothing else. It ends by
itself, when it is stopped, or as soon as an alarm says that payments differ or wait; then all is undone.

What AWS offers no fault for is not here: Aurora's replication, the witness of a table, an alarm, a plan. Its
shortest fault, a minute, is longer than it takes to give a region up, so that none stands in for a flap.
https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
"""

from collections.abc import Mapping, Sequence
from functools import partial

from awacs import dynamodb, ec2, rds, tag
from awacs import logs as log_actions
from awacs.aws import Condition, Statement, StringEquals
from msgspec import Struct
from troposphere import AWSHelperFn, GetAtt, Select, Split, Sub, Template, cloudwatch, fis, iam, logs

from templates import policies
from templates.config import Settings
from templates.database import INSTANCES
from templates.deliveries import own_resources
from templates.encryption import KEY_ARN
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.network import PRIVATE_ROUTE_TABLES, PRIVATE_SUBNET_IDS, VPC_ID
from templates.places import here
from templates.policies import allow, arn
from templates.tables import TABLES

STOPPED_BY = ("Differences", "OldestOpenEntry")
"""The alarms that end a drill: the ledger is not what was accepted, or does not become it."""

# Longer than a recovery takes at worst, with the minutes that tables may go on being replicated; whoever has
# seen enough stops it.
_LASTS = {"duration": "PT20M"}
_POLICY_ACTIONS = [
    dynamodb.DeleteResourcePolicy,
    dynamodb.GetResourcePolicy,
    dynamodb.PutResourcePolicy,
]
_MANAGED = "managedByFIS"  # what the service makes it tags so, and changes only what is tagged so


class Drill(Struct, frozen=True):
    """One fault: the action, what it acts on in the service's words, and what its role needs for that."""

    title: str
    scenario: str
    meaning: str
    action: str
    targets: tuple[str, str]  # what the action calls them, and their type
    arns: Sequence[AWSHelperFn]
    statements: Sequence[Statement]
    parameters: Mapping[str, str]


def add_drills(template: Template, settings: Settings, alarms: Mapping[str, cloudwatch.Alarm]) -> None:
    """`alarms` of the region, by the titles of their plans."""
    group = template.add_resource(_log_group(settings))
    stops = [alarms[title].get_att("Arn") for title in STOPPED_BY]
    for drill in (_region_loss(settings), _partition(settings), _ledger_loss(settings)):
        role = template.add_resource(_role(settings, drill))
        template.add_resource(_experiment(settings, drill, role, group, stops))


def _region_loss(settings: Settings) -> Drill:
    """As close as it gets: API Gateway, schedules and tables go on, and find that nothing answers them."""
    ids = Split(",", PRIVATE_SUBNET_IDS.read(settings.names))
    subnets = [
        arn("ec2", "subnet/${Subnet}", Subnet=Select(zone, ids)) for zone in range(len(PRIVATE_ROUTE_TABLES))
    ]
    return Drill(
        title="DrillRegionLoss",
        scenario="region-loss",
        meaning="Functions and databases reach nothing outside of their subnets, and nothing reaches them",
        action="aws:network:disrupt-connectivity",
        targets=("Subnets", "aws:ec2:subnet"),
        arns=subnets,
        statements=_cut_off(settings, subnets),
        parameters={"scope": "all", **_LASTS},
    )


def _cut_off(settings: Settings, subnets: Sequence[Sub]) -> tuple[Statement, ...]:
    """A subnet's network ACL is replaced by a copy that denies; nothing else is made, nor deleted."""
    acls = arn("ec2", "network-acl/*")
    asked = Condition(StringEquals({f"aws:RequestTag/{_MANAGED}": "true"}))
    own = Condition(StringEquals({f"aws:ResourceTag/{_MANAGED}": "true"}))
    tagging = Condition(
        StringEquals({f"aws:RequestTag/{_MANAGED}": "true", "ec2:CreateAction": "CreateNetworkAcl"})
    )
    return (
        allow(
            "FindNetworks",
            [ec2.DescribeManagedPrefixLists, ec2.DescribeNetworkAcls, ec2.DescribeSubnets, ec2.DescribeVpcs],
            "*",
        ),
        allow("CopyAcls", [ec2.CreateNetworkAcl], acls, condition=asked),
        allow(
            "CopyAclsHere", [ec2.CreateNetworkAcl], arn("ec2", "vpc/${Vpc}", Vpc=VPC_ID.read(settings.names))
        ),
        allow("TagCopies", [ec2.CreateTags], acls, condition=tagging),
        allow("ChangeCopies", [ec2.CreateNetworkAclEntry, ec2.DeleteNetworkAcl], acls, condition=own),
        allow("CutOff", [ec2.ReplaceNetworkAclAssociation], acls, *subnets),
    )


def _partition(settings: Settings) -> Drill:
    """Where a strongly consistent table cannot hear another region, it refuses to be read and written."""
    tables = [arn("dynamodb", f"table/{settings.names.shared(table.name)}") for table in TABLES]
    streams = [
        arn("dynamodb", f"table/{settings.names.shared(table.name)}/stream/*")
        for table in TABLES
        if not table.strong
    ]
    return Drill(
        title="DrillPartition",
        scenario="partition",
        meaning="The region's replicas of all tables are cut off from those of the others",
        action="aws:dynamodb:global-table-pause-replication",
        targets=("Tables", "aws:dynamodb:global-table"),
        arns=tables,
        statements=(
            # DynamoDB itself is denied, by a policy of the table and, if changes travel by it, of its stream.
            allow("PauseReplication", _POLICY_ACTIONS, *tables, *streams),
            allow("RefuseRequests", [dynamodb.DescribeTable, dynamodb.InjectError], *tables),
        ),
        parameters=_LASTS,
    )


def _ledger_loss(settings: Settings) -> Drill:
    instances = [
        arn("rds", "db:${Instance}", Instance=here(partial(settings.names.regional, f"ledger-{number}")))
        for number in range(1, INSTANCES + 1)
    ]
    return Drill(
        title="DrillLedgerLoss",
        scenario="ledger-loss",
        meaning="All instances of the region's cluster restart: there is no ledger until they are back",
        action="aws:rds:reboot-db-instances",
        targets=("DBInstances", "aws:rds:db"),
        arns=instances,
        statements=(
            allow("Restart", [rds.RebootDBInstance], *instances),
            allow("FindInstances", [rds.DescribeDBInstances], "*"),
        ),
        parameters={},
    )


def _experiment(
    settings: Settings, drill: Drill, role: iam.Role, group: logs.LogGroup, stops: Sequence[GetAtt]
) -> fis.ExperimentTemplate:
    """Found by its tag: an experiment template has no name of its own."""
    called, kind = drill.targets
    return fis.ExperimentTemplate(
        drill.title,
        Description=drill.meaning,
        RoleArn=role.get_att("Arn"),
        Targets={
            called: fis.ExperimentTemplateTarget(
                ResourceType=kind, ResourceArns=list(drill.arns), SelectionMode="ALL"
            )
        },
        Actions={
            drill.scenario: fis.ExperimentTemplateAction(
                ActionId=drill.action, Parameters=dict(drill.parameters), Targets={called: called}
            )
        },
        StopConditions=[
            fis.ExperimentTemplateStopCondition(Source="aws:cloudwatch:alarm", Value=alarm) for alarm in stops
        ],
        # Of what is named, all has to be there: an experiment that finds less than that does not begin.
        ExperimentOptions=fis.ExperimentTemplateExperimentOptions(
            AccountTargeting="single-account", EmptyTargetResolutionMode="fail"
        ),
        LogConfiguration=fis.ExperimentTemplateLogConfiguration(
            LogSchemaVersion=2,
            CloudWatchLogsConfiguration=fis.CloudWatchLogsConfiguration(LogGroupArn=group.get_att("Arn")),
        ),
        Tags={"Name": here(partial(settings.names.regional, f"drill-{drill.scenario}"))},
    )


def _log_group(settings: Settings) -> logs.LogGroup:
    name = here(partial(settings.names.regional, "drills"))
    group = logs.LogGroup(
        "DrillLogs",
        LogGroupName=policies.named("/aws/fis/${Drills}", Drills=name),
        KmsKeyId=KEY_ARN.read(settings.names),
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    return keep(group, disposable=settings.test_environment)


def _role(settings: Settings, drill: Drill) -> iam.Role:
    return iam.Role(
        f"{drill.title}Role",
        RoleName=here(partial(settings.names.regional, f"drill-{drill.scenario}")),
        Description=f"What the drill {drill.scenario} may touch",
        PermissionsBoundary=policies.boundary_arn(settings.names, policies.DRILL_BOUNDARY),
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service("fis.amazonaws.com", *own_resources("fis", "experiment/*"))
        ),
        Policies=[
            iam.Policy(
                PolicyName="drill",
                PolicyDocument=policies.document(
                    *drill.statements,
                    # Targets are looked up by the tagging API, which knows no resources.
                    allow("FindResources", [tag.GetResources], "*"),
                    # Whoever has logs delivered sets the delivery up, and the account's leave for it.
                    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
                    allow(
                        "DeliverLogs",
                        [
                            log_actions.CreateLogDelivery,
                            log_actions.DescribeLogGroups,
                            log_actions.DescribeResourcePolicies,
                            log_actions.PutResourcePolicy,
                        ],
                        "*",
                    ),
                ),
            )
        ],
    )
