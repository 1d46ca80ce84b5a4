"""The regional stack that is a release: functions, API, host names, alarms, and the schema they need."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from awacs import dynamodb, kms
from awacs.aws import Statement
from troposphere import AWSHelperFn, Output, Parameter, Sub, Template, awslambda

from templates import policies
from templates.alarms import add_health_condition, alarms
from templates.api import ApiPlan, add_api, problem, problems
from templates.config import Settings
from templates.custom import SchemaMigration
from templates.database import APPLICATION_SECURITY_GROUP_ID, CLUSTER_ENDPOINT, CLUSTER_PORT
from templates.encryption import KEY_ARN
from templates.firewall import FirewallPlan, add_firewall
from templates.functions import (
    MIGRATIONS_PACKAGE,
    SERVICE_PACKAGE,
    FunctionPlan,
    Placement,
    add_function,
    packaged,
)
from templates.monitoring import AlarmPlan, add_alarm
from templates.network import PRIVATE_SUBNET_IDS
from templates.notifications import add_topic
from templates.peering import add_peering_routes
from templates.places import add_places, here
from templates.policies import Value
from templates.routing import RoutingPlan, add_routing
from templates.storage import CODE_BUCKET_NAME

HOSTED_ZONE_ID = "HostedZoneId"
PEERING_CONNECTION_ID = "PeeringConnectionId"
# API Gateway waits 29 s; a request that meets the fencing phase waits up to 10 s of them.
_API_TIMEOUT_SECONDS = 28
_MIGRATION_TIMEOUT_SECONDS = 600


def render(settings: Settings, openapi: Mapping[str, Any]) -> Template:
    names = settings.names
    template = Template(Description="Payments: functions, API, host names and alarms of one region")
    template.set_version()
    add_places(template, settings)
    hosted_zone_id = template.add_parameter(
        Parameter(
            HOSTED_ZONE_ID,
            Type="AWS::Route53::HostedZone::Id",
            Description="Zone that holds the domain's records.",
        )
    )
    peering_connection_id = template.add_parameter(
        Parameter(
            PEERING_CONNECTION_ID,
            Type="String",
            AllowedPattern="^pcx-[0-9a-f]+$",
            Description="Peering of the two regions' networks.",
        )
    )
    migration = _add_migration(template, settings)
    api_function = add_function(template, settings, _api_plan(settings))
    api_function.DependsOn = [migration]  # a release whose migration fails never gets to run its code
    stage = add_api(template, _rest_api_plan(settings, openapi), api_function)
    add_firewall(template, _firewall_plan(settings, openapi), stage)
    health_check = add_routing(template, RoutingPlan(names, hosted_zone_id.ref()), stage)
    _add_alarms(template, settings, health_check.ref())
    add_peering_routes(template, names, peering_connection_id.ref())
    template.add_output(
        Output(
            "RegionalUrl",
            Description="This region's API, whichever region is active.",
            Value=Sub("https://${Host}", Host=here(names.host)),
        )
    )
    template.add_output(
        Output("ApiFunctionName", Description="Function behind the API.", Value=api_function.ref())
    )
    return template


def alarm_plans(settings: Settings, health_check: Value) -> list[AlarmPlan]:
    """Of one region; `health_check` is the id of the primary's."""
    return alarms(settings, [_api_plan(settings), _migrate_plan(settings)], health_check)


def _add_alarms(template: Template, settings: Settings, health_check: AWSHelperFn) -> None:
    names = settings.names
    topic = add_topic(
        template,
        here(partial(names.regional, "alerts")),
        settings.alerts.emails,
        KEY_ARN.read(names),
        alarms=here(partial(names.regional, "*")),
    )
    add_health_condition(template)
    for plan in alarm_plans(settings, health_check):
        add_alarm(template, names, topic, plan)
    template.add_output(
        Output("AlertTopicArn", Description="Topic that this region's alarms tell.", Value=topic.arn)
    )


def _rest_api_plan(settings: Settings, openapi: Mapping[str, Any]) -> ApiPlan:
    return ApiPlan(
        name=here(partial(settings.names.regional, "api")),
        openapi=openapi,
        key_arn=KEY_ARN.read(settings.names),
        log_level="INFO" if settings.test_environment else "ERROR",
        disposable=settings.test_environment,
    )


def _firewall_plan(settings: Settings, openapi: Mapping[str, Any]) -> FirewallPlan:
    known = problems(openapi)
    return FirewallPlan(
        name=here(partial(settings.names.regional, "api")),
        key_arn=KEY_ARN.read(settings.names),
        too_many_requests=problem(known, "too-many-requests", 429),
        body_too_large=problem(known, "body-too-large", 413),
        disposable=settings.test_environment,
    )


def _add_migration(template: Template, settings: Settings) -> SchemaMigration:
    function = add_function(template, settings, _migrate_plan(settings))
    return template.add_resource(
        SchemaMigration(
            "Schema",
            ServiceToken=function.get_att("Arn"),
            ServiceTimeout=_MIGRATION_TIMEOUT_SECONDS + 60,
            Release=MIGRATIONS_PACKAGE,
        )
    )


def _api_plan(settings: Settings) -> FunctionPlan:
    names = settings.names
    tables = {name: names.shared(name) for name in ("sessions", "journal", "control", "directory")}
    environment: dict[str, Value] = {f"{name.upper()}_TABLE": table for name, table in tables.items()}
    environment |= _database(settings)
    environment |= {
        "DATABASE_SECRET": names.secret("application"),
        "POWERTOOLS_SERVICE_NAME": "api",
        "POWERTOOLS_METRICS_NAMESPACE": names.metrics,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    key_arn = KEY_ARN.read(names)
    return FunctionPlan(
        title="Api",
        name=here(partial(names.regional, "api")),
        role_name=here(partial(names.regional, "api")),
        boundary=policies.boundary_arn(names),
        description="Answers the payment API",
        handler="handlers.api.handle",
        code=_code(settings, SERVICE_PACKAGE),
        key_arn=key_arn,
        environment=environment,
        statements=(
            policies.use_table("UseSessions", tables["sessions"], dynamodb.GetItem, dynamodb.PutItem),
            policies.use_table("UseJournal", tables["journal"], dynamodb.GetItem, dynamodb.PutItem),
            policies.use_table("ReadControl", tables["control"], dynamodb.GetItem),
            policies.use_table("ReadDirectory", tables["directory"], dynamodb.BatchGetItem, dynamodb.GetItem),
            policies.use_key_through(
                "UseKeyForTables", key_arn, "dynamodb", kms.Decrypt, kms.GenerateDataKey
            ),
            *_read_secrets(settings, "application"),
        ),
        timeout_seconds=_API_TIMEOUT_SECONDS,
        memory_mb=1024,
        placement=_placement(settings),
    )


def _migrate_plan(settings: Settings) -> FunctionPlan:
    names = settings.names
    users = ("master", "migrator", "application")
    return FunctionPlan(
        title="Migrate",
        name=here(partial(names.regional, "migrate")),
        role_name=here(partial(names.regional, "migrate")),
        boundary=policies.boundary_arn(names),
        description="Brings the ledger's schema to what this release needs",
        handler="handlers.migrate.handle",
        code=_code(settings, MIGRATIONS_PACKAGE),
        key_arn=KEY_ARN.read(names),
        environment={
            **_database(settings),
            # Who the writer is, a database cannot say: it is asked of the global cluster.
            "GLOBAL_CLUSTER": names.shared("ledger"),
            "DATABASE_CLUSTER": here(partial(names.regional, "ledger")),
            **{f"{user.upper()}_SECRET": names.secret(user) for user in users},
        },
        statements=(
            policies.describe_global_cluster(names.shared("ledger")),
            *_read_secrets(settings, *users),
        ),
        timeout_seconds=_MIGRATION_TIMEOUT_SECONDS,
        memory_mb=512,
        placement=_placement(settings),
    )


def _database(settings: Settings) -> dict[str, Value]:
    return {
        "DATABASE_HOST": CLUSTER_ENDPOINT.read(settings.names),
        "DATABASE_PORT": CLUSTER_PORT.read(settings.names),
        "DATABASE_NAME": settings.database.name,
    }


def _read_secrets(settings: Settings, *users: str) -> tuple[Statement, ...]:
    names = settings.names
    return (
        policies.read_secrets(*map(names.secret, users)),
        policies.use_key_through("UseKeyForSecrets", KEY_ARN.read(names), "secretsmanager", kms.Decrypt),
    )


def _code(settings: Settings, package: str) -> awslambda.Code:
    return packaged(CODE_BUCKET_NAME.read(settings.names), package)


def _placement(settings: Settings) -> Placement:
    return Placement(
        subnet_ids=PRIVATE_SUBNET_IDS.read(settings.names),
        security_group_id=APPLICATION_SECURITY_GROUP_ID.read(settings.names),
    )
