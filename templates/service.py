"""The regional stack that is a release: functions and what starts them, API, host names, alarms, schema."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from awacs import awslambda as lambda_actions
from awacs import dynamodb, rds
from troposphere import AWSHelperFn, Output, Parameter, Sub, Template, scheduler, sqs

from templates import plans, policies, takeover
from templates.alarms import add_health_condition, alarms, names_in
from templates.api import ApiPlan, add_api, problem, problems
from templates.config import Settings
from templates.custom import SchemaMigration
from templates.dead_letters import add_dead_letters, add_event_config, may_send_dead_letters
from templates.detection import UNREACHABLE, add_detection, decide, votes
from templates.drills import add_drills
from templates.encryption import KEY_ARN
from templates.firewall import FirewallPlan, add_firewall
from templates.functions import MIGRATIONS_PACKAGE, FunctionPlan, add_function
from templates.monitoring import AlarmPlan, add_alarm
from templates.names import Place
from templates.notifications import Topic, add_topic
from templates.peering import add_peering_routes
from templates.places import add_places, here, lookup, peer
from templates.plans import function_plan, use_table
from templates.policies import Value
from templates.probe import probe
from templates.rotation import add_rotation
from templates.routing import RoutingPlan, add_routing
from templates.schedules import Timer, add_group, add_schedule, rehearsal
from templates.sites import data_site
from templates.workers import rotate, timers

HOSTED_ZONE_ID = "HostedZoneId"
PEERING_CONNECTION_ID = "PeeringConnectionId"
# API Gateway waits 29 s; a request that meets the fencing phase waits up to 10 s of them.
_API_TIMEOUT_SECONDS = 28
_MIGRATION_TIMEOUT_SECONDS = 600
_COMPARISON_TIMEOUT_SECONDS = 60


def render(settings: Settings, openapi: Mapping[str, Any], probe_text: str) -> Template:
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
    site = data_site(settings)
    queue, group = add_dead_letters(template, site), add_group(template, site)
    _add_workers(template, settings, migration, probe_text, group, queue)
    stage = add_api(template, _rest_api_plan(settings, openapi), api_function)
    add_firewall(template, _firewall_plan(settings, openapi), stage)
    health_check = add_routing(template, RoutingPlan(names, hosted_zone_id.ref()), stage)
    topic = _add_alarms(template, settings, health_check.ref())
    add_detection(template, settings, topic, group, queue, migration)
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


def _add_workers(
    template: Template,
    settings: Settings,
    migration: SchemaMigration,
    probe_text: str,
    group: scheduler.ScheduleGroup,
    queue: sqs.Queue,
) -> None:
    site = data_site(settings)
    for timer in (*_timers(settings, probe_text), *map(rehearsal, takeover.steps(settings))):
        function = add_function(template, settings, may_send_dead_letters(site, timer.plan))
        function.DependsOn = [migration]
        # Started before it is said where failures go, it would lose one.
        events = add_event_config(template, timer.plan, function, queue, timer.age_seconds)
        add_schedule(template, settings, site, timer, function, group, queue).DependsOn = [events]
    add_function(template, settings, _compare_plan(settings)).DependsOn = [migration]
    function = add_function(template, settings, rotate(settings))
    add_rotation(template, function, migration)


def _timers(settings: Settings, probe_text: str = "") -> tuple[Timer, ...]:
    """Whoever only watches them needs no text."""
    return (*timers(settings), takeover.finisher(settings), probe(settings, probe_text))


def alarm_plans(settings: Settings, health_check: Value) -> list[AlarmPlan]:
    """Of one region; `health_check` is the id of the primary's."""
    functions = [
        _api_plan(settings),
        _migrate_plan(settings),
        _compare_plan(settings),
        rotate(settings),
    ]
    rehearsed = [*takeover.steps(settings), *([decide(settings)] if settings.failover.automatic else [])]
    timers = (*_timers(settings), *map(rehearsal, rehearsed))
    return alarms(settings, functions, timers, health_check)


def alarm_names(settings: Settings, place: Place) -> list[str]:
    """Of every alarm there."""
    plans = [*alarm_plans(settings, health_check=""), *votes(settings)]
    return [*names_in(settings, plans, place), settings.names.regional(UNREACHABLE, place)]


def _add_alarms(template: Template, settings: Settings, health_check: AWSHelperFn) -> Topic:
    names = settings.names
    topic = add_topic(
        template,
        here(partial(names.regional, "alerts")),
        settings.alerts.emails,
        KEY_ARN.read(names),
        alarms=here(partial(names.regional, "*")),
    )
    add_health_condition(template)
    rung = {
        plan.title: add_alarm(template, data_site(settings), topic, plan)
        for plan in alarm_plans(settings, health_check)
    }
    if settings.drills.faults:
        add_drills(template, settings, rung)
    template.add_output(
        Output("AlertTopicArn", Description="Topic that this region's alarms tell.", Value=topic.arn)
    )
    return topic


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
    peer_function = peer(partial(names.regional, "api"))
    return function_plan(
        settings,
        "Api",
        "Answers the payment API",
        environment={
            **plans.tables(settings, "sessions", "journal", "control", "directory"),
            **plans.writer(settings),
            **plans.application(settings),
            "PEER_REGION": lookup("PeerRegion"),
            "PEER_FUNCTION": peer_function,
        },
        statements=(
            use_table(settings, "sessions", dynamodb.GetItem, dynamodb.PutItem),
            use_table(settings, "journal", dynamodb.GetItem, dynamodb.PutItem),
            use_table(settings, "control", dynamodb.GetItem),
            use_table(settings, "directory", dynamodb.BatchGetItem, dynamodb.GetItem),
            plans.decrypt_tables(settings),
            *plans.read_secrets(settings, "application"),
            policies.allow(
                "Forward",
                [lambda_actions.InvokeFunction],
                policies.arn(
                    "lambda", "function:${Function}", region=lookup("PeerRegion"), Function=peer_function
                ),
            ),
        ),
        timeout_seconds=_API_TIMEOUT_SECONDS,
        memory_mb=1024,
    )


def _migrate_plan(settings: Settings) -> FunctionPlan:
    names = settings.names
    users = ("master", "migrator", "application")
    return function_plan(
        settings,
        "Migrate",
        "Brings the ledger's schema to what this release needs",
        environment={
            **plans.writer(settings),
            **plans.clusters(settings),
            **{f"{user.upper()}_SECRET": names.secret(user) for user in users},
        },
        statements=(plans.describe_clusters(settings), *plans.read_secrets(settings, *users)),
        timeout_seconds=_MIGRATION_TIMEOUT_SECONDS,
        package=MIGRATIONS_PACKAGE,
    )


def _compare_plan(settings: Settings) -> FunctionPlan:
    """For readiness: an operator's machine is in neither network, and this function reaches both databases.
    With the migrations, because it says whether the ledger has those of its own release.
    """
    return function_plan(
        settings,
        "Compare",
        "Says whether both regions' ledgers hold the same, for whoever asks; changes nothing",
        environment={
            "GLOBAL_CLUSTER": settings.names.shared("ledger"),
            "DATABASE_NAME": settings.database.name,
            **plans.application(settings),
        },
        statements=(
            plans.describe_clusters(settings),
            # The global cluster tells who the members are, but not where they listen.
            policies.allow("FindDatabases", [rds.DescribeDBClusters], *plans.cluster_arns(settings)),
            *plans.read_secrets(settings, "application"),
        ),
        timeout_seconds=_COMPARISON_TIMEOUT_SECONDS,
        package=MIGRATIONS_PACKAGE,
    )
