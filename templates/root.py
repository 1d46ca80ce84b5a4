"""The stack that is deployed: what both regions share, and the rollout of their stacks, in order."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

from troposphere import AWSObject, Output, Parameter, Template, awslambda, cloudtrail

from templates import foundation, service, zone
from templates.audit import add_trail
from templates.boundary import add_boundary, add_drill_boundary
from templates.config import Settings
from templates.credentials import add_credentials
from templates.custom import ControlRecord, EmptiedBuckets, PublishedCode, StackSetOutputs, StackSetRoles
from templates.dashboard import add_dashboard
from templates.database import add_global_cluster
from templates.failover import add_plan
from templates.functions import MIGRATIONS_PACKAGE, SERVICE_PACKAGE
from templates.names import Place
from templates.peering import add_peering
from templates.policies import Value
from templates.rollout import SERVICE_TIMEOUT_SECONDS, add_rollout, emptied_buckets
from templates.rotation import secret_parameter
from templates.stacksets import Roles, StackSetPlan, add_roles, add_stack_set, trial_session
from templates.tables import add_tables
from templates.target import add_environment
from templates.workers import ROTATED

SERVICE_REGION_ORDER = "ServiceRegionOrder"


def render(settings: Settings, regional: Mapping[str, str]) -> Template:
    """`regional` is the text of each template rolled out: with another text, its outputs are read again."""
    names, regions = settings.names, settings.regions
    template = Template(Description="Payments: what both regions share, and the rollout of their stacks")
    template.set_version()
    # No resource here is of a serverless type: it tells the linters that `sam` packages the rollout function.
    template.set_transform("AWS::Serverless-2016-10-31")
    add_environment(template, settings)
    order = template.add_parameter(_service_region_order(settings))
    primary_first = [regions.primary, regions.secondary]

    function = add_rollout(template, settings)
    hosted_zone_id: Value = settings.dns.hosted_zone_id or zone.HOSTED_ZONE_ID.read(names)
    roles = add_roles(template, settings, function.Role, hosted_zone_id)
    boundaries = [add_boundary(template, settings)]
    if settings.drills.faults:
        boundaries.append(add_drill_boundary(template, settings))
    ready = template.add_resource(_roles_ready(settings, function, roles))
    ready.DependsOn = boundaries
    foundations = add_stack_set(
        template,
        settings,
        roles,
        StackSetPlan(
            "foundation",
            "Network, key and receiving buckets of each region",
            primary_first,
            primary_first,
            {},
        ),
        after=[ready],
    )
    outputs = template.add_resource(_foundation_outputs(settings, function, foundations, regional))

    code = template.add_resource(_published_code(settings, function, outputs))
    # Secrets and tables name the regions' keys by alias, which tells CloudFormation nothing.
    secrets = _after(outputs, add_credentials(template, settings))
    tables = _after(outputs, add_tables(template, settings))
    control = template.add_resource(
        ControlRecord(
            "FirstControlRecord",
            ServiceToken=function.get_att("Arn"),
            ServiceTimeout=SERVICE_TIMEOUT_SECONDS,
            Table=tables["control"].ref(),
            Active=regions.primary,
        )
    )
    peering = add_peering(
        template,
        names.shared("peering"),
        outputs.get_att("PrimaryVpcId"),
        outputs.get_att("SecondaryVpcId"),
        regions.secondary,
    )
    peering.DependsOn = [control]
    global_cluster = add_global_cluster(template, settings)
    global_cluster.DependsOn = [control]
    databases = add_stack_set(
        template,
        settings,
        roles,
        # The first cluster founds the global database.
        StackSetPlan(
            "data",
            "Database, backups and transaction log of each region",
            primary_first,
            primary_first,
            {},
        ),
        after=[global_cluster, *secrets.values()],
    )
    trail = _add_audit(template, settings, outputs) if settings.audit.trail else None
    filled: AWSObject = databases
    if settings.test_environment:
        filled = _add_emptied_buckets(template, settings, function, databases, trail)
    services = add_stack_set(
        template,
        settings,
        roles,
        StackSetPlan(
            "service",
            "Functions, API and host names of each region",
            primary_first,
            order.ref(),
            {
                service.HOSTED_ZONE_ID: hosted_zone_id,
                service.PEERING_CONNECTION_ID: peering.ref(),
                **{secret_parameter(user): secrets[user].ref() for user in ROTATED},
            },
        ),
        after=[filled, code, control, *tables.values()],
    )
    # It votes on what the services answer.
    add_stack_set(
        template,
        settings,
        roles,
        StackSetPlan(
            "witness",
            "The witness region's vote on whether the active region can be reached",
            [regions.witness],
            [regions.witness],
            {},
        ),
        after=[services],
    )
    # Region switch looks at once whether what the plan names is there.
    add_plan(template, settings, global_cluster, after=[services])
    places: tuple[Place, ...] = ("primary", "secondary")
    add_dashboard(template, settings, {place: service.alarm_names(settings, place) for place in places})
    _add_outputs(
        template,
        settings,
        {
            "GlobalClusterIdentifier": ("Global database that holds the ledger.", global_cluster.ref()),
            "JournalTableName": (
                "Every accepted payment; decides what the ledger will hold.",
                tables["journal"].ref(),
            ),
            "ControlTableName": ("Which region is active, and its epoch.", tables["control"].ref()),
            "DirectoryTableName": ("Merchants and accounts.", tables["directory"].ref()),
            "ProgressTableName": (
                "How far the functions that run by the clock have got.",
                tables["progress"].ref(),
            ),
            "SessionsTableName": ("Session tokens of merchants.", tables["sessions"].ref()),
            "MasterSecretArn": ("Break-glass credentials of the database.", secrets["master"].ref()),
            "MigratorSecretArn": (
                "Credentials that releases change the ledger's schema with.",
                secrets["migrator"].ref(),
            ),
            "ApplicationSecretArn": (
                "Credentials that payments are posted with.",
                secrets["application"].ref(),
            ),
            "PeeringConnectionId": ("Peering of the two regions' networks.", peering.ref()),
            "RolloutFunctionName": ("Function to look at when a custom resource fails.", function.ref()),
            "StackSetAdministrationRoleArn": (
                "Role to pass when a StackSet is operated by hand.",
                roles.administration.get_att("Arn"),
            ),
        },
    )
    return template


def _add_emptied_buckets(
    template: Template,
    settings: Settings,
    function: awslambda.Function,
    databases: AWSObject,
    trail: cloudtrail.Trail | None,
) -> EmptiedBuckets:
    """Made when every bucket is there and before anything is put into them: so it is deleted in between."""
    emptied = EmptiedBuckets(
        "EmptiedBuckets",
        ServiceToken=function.get_att("Arn"),
        ServiceTimeout=SERVICE_TIMEOUT_SECONDS,
        Buckets=emptied_buckets(settings),
        DependsOn=[databases],
    )
    if trail is not None:
        emptied.DependsOn.append("AuditBucket")
        trail.DependsOn = [*trail.DependsOn, emptied]
    return template.add_resource(emptied)


def _add_audit(template: Template, settings: Settings, outputs: StackSetOutputs) -> cloudtrail.Trail:
    trail = add_trail(template, settings, after=[outputs])
    template.add_output(
        Output(
            "AuditTrailArn",
            Description="Who did what in this account, in every region.",
            Value=trail.get_att("Arn"),
        )
    )
    template.add_output(
        Output(
            "AuditBucketName",
            Description="Where the audit trail's files are, for as long as nobody may delete them.",
            Value=trail.S3BucketName,
        )
    )
    return trail


def _service_region_order(settings: Settings) -> Parameter:
    return Parameter(
        SERVICE_REGION_ORDER,
        Type="CommaDelimitedList",
        Default=f"{settings.regions.secondary},{settings.regions.primary}",
        Description="Regions in the order a release reaches them: the standby first.",
    )


def _roles_ready(settings: Settings, function: awslambda.Function, roles: Roles) -> StackSetRoles:
    return StackSetRoles(
        "RolesReady",
        ServiceToken=function.get_att("Arn"),
        ServiceTimeout=SERVICE_TIMEOUT_SECONDS,
        AdministrationRoleArn=roles.administration.get_att("Arn"),
        ExecutionRoleArn=roles.execution.get_att("Arn"),
        SessionName=trial_session(settings.names),
    )


def _foundation_outputs(
    settings: Settings, function: awslambda.Function, foundations: AWSObject, regional: Mapping[str, str]
) -> StackSetOutputs:
    return StackSetOutputs(
        "FoundationOutputs",
        ServiceToken=function.get_att("Arn"),
        ServiceTimeout=SERVICE_TIMEOUT_SECONDS,
        StackSetName=settings.names.shared("foundation"),
        Regions={"Primary": settings.regions.primary, "Secondary": settings.regions.secondary},
        Outputs=[link.value for link in foundation.OUTPUTS_FOR_ROOT],
        TemplateHash=sha256(regional["foundation"].encode()).hexdigest(),
        DependsOn=[foundations],
    )


def _published_code(
    settings: Settings, function: awslambda.Function, outputs: StackSetOutputs
) -> PublishedCode:
    return PublishedCode(
        "Code",
        ServiceToken=function.get_att("Arn"),
        ServiceTimeout=SERVICE_TIMEOUT_SECONDS,
        Buckets={
            settings.regions.primary: outputs.get_att("PrimaryCodeBucketName"),
            settings.regions.secondary: outputs.get_att("SecondaryCodeBucketName"),
        },
        Keys=[SERVICE_PACKAGE, MIGRATIONS_PACKAGE],
    )


Kind = TypeVar("Kind", bound=AWSObject)


def _after(first: AWSObject, resources: dict[str, Kind]) -> dict[str, Kind]:
    for resource in resources.values():
        resource.DependsOn = [first]
    return resources


def _add_outputs(template: Template, settings: Settings, values: Mapping[str, tuple[str, Value]]) -> None:
    names = settings.names
    hosts = {
        "ApiUrl": ("Where clients send payments, whichever region is active.", names.domain),
        "PrimaryUrl": ("The primary region's API, active or not.", names.host("primary")),
        "SecondaryUrl": ("The secondary region's API, active or not.", names.host("secondary")),
    }
    described = {title: (text, f"https://{host}") for title, (text, host) in hosts.items()} | dict(values)
    places: tuple[Place, ...] = ("primary", "secondary")
    for place in places:
        described |= {
            f"{place.capitalize()}TransactionsBucketName": (
                f"The {place} region's transaction log; the other region holds a copy.",
                names.bucket("transactions", place),
            ),
            f"{place.capitalize()}BackupVaultName": (
                f"The {place} region's backups of the ledger, and copies of the other's.",
                names.regional("ledger", place),
            ),
        }
    for title, (description, value) in described.items():
        template.add_output(Output(title, Description=description, Value=value))
