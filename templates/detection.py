"""What a region does with votes on the other one: two alarms, one over both, and who hears of it."""

from collections.abc import Iterator
from typing import NamedTuple

from awacs import arc_region_switch, dynamodb
from awacs import cloudwatch as cloudwatch_actions
from troposphere import Sub, Template, awslambda, cloudwatch, scheduler, sqs

from templates import plans, policies
from templates.config import Settings
from templates.custom import SchemaMigration
from templates.dead_letters import add_event_config, may_send_dead_letters
from templates.functions import FunctionPlan, add_function
from templates.monitoring import NO_VOTE, AlarmPlan, Metric, add_alarm
from templates.notifications import Topic
from templates.places import lookup
from templates.plans import function_plan, use_table
from templates.probe import INTERVAL_SECONDS, OWN, VOTE, VOTE_SECONDS, WITNESS
from templates.schedules import add_schedule, rehearsal
from templates.sites import Site, data_site

UNREACHABLE = "peer-unreachable"
# CloudWatch hands the function over and is done; what fails is tried again after one minute, and after two.
_RETRIES = 2
_AGE_SECONDS = 600  # older votes are none
_TIMEOUT_SECONDS = 60


def votes(settings: Settings) -> Iterator[AlarmPlan]:
    """One vote is enough for each: it takes three misses to be cast. CloudWatch judges every 10 s."""
    for voter, who in ((OWN, "this region"), (WITNESS, "the witness")):
        yield AlarmPlan(
            title=f"PeerUnreachable{voter.capitalize()}",
            component=f"{UNREACHABLE}-{voter}",
            meaning=f"The other region is the active one, and {who} cannot reach it.",
            watches=Metric(
                settings.names.metrics, VOTE, {"Region": lookup("PeerRegion"), "Voter": voter}, "Maximum"
            ),
            limit=0,
            periods=1,
            missing=NO_VOTE,
            period_seconds=INTERVAL_SECONDS,
        )


def decide(settings: Settings) -> FunctionPlan:
    """May begin a takeover and start the plan, and cannot touch the database."""
    names = settings.names
    plan = f"plan/{names.plan}:*"
    return function_plan(
        settings,
        "Decide",
        "Takes over where two of three regions cannot reach the active one: fences, and starts the plan",
        environment={
            **plans.tables(settings, "control"),
            "GLOBAL_CLUSTER": names.shared("ledger"),
            "PLAN": names.plan,
            "ALARM": data_site(settings).name(UNREACHABLE),
            "VOTE_INTERVAL_SECONDS": str(VOTE_SECONDS),
        },
        statements=(
            use_table(settings, "control", dynamodb.GetItem, dynamodb.PutItem),
            plans.decrypt_tables(settings),
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
            policies.allow("FindVotes", [cloudwatch_actions.DescribeAlarms], "*"),
            policies.allow("FindPlan", [arc_region_switch.ListPlansInRegion], "*"),
            policies.allow(
                "StartPlan",
                [arc_region_switch.StartPlanExecution],
                policies.arn("arc-region-switch", plan, region=""),
            ),
        ),
        timeout_seconds=_TIMEOUT_SECONDS,
    )


class _Decision(NamedTuple):
    function: awslambda.Function
    before: list[awslambda.EventInvokeConfig | awslambda.Permission]


def add_detection(
    template: Template,
    settings: Settings,
    topic: Topic,
    group: scheduler.ScheduleGroup,
    queue: sqs.Queue,
    migration: SchemaMigration,
) -> cloudwatch.CompositeAlarm:
    """Rings when both agree. It calls people, and where failover is automatic the function, too."""
    site = data_site(settings)
    own, witness = (add_alarm(template, site, topic, plan) for plan in votes(settings))
    alarm = cloudwatch.CompositeAlarm(
        "PeerUnreachableAlarm",
        AlarmName=site.name(UNREACHABLE),
        AlarmDescription="Two of three regions cannot reach the active region: "
        + ("this one takes over." if settings.failover.automatic else "somebody has to decide."),
        AlarmRule=Sub('ALARM("${Own}") AND ALARM("${Witness}")', Own=own.ref(), Witness=witness.ref()),
        ActionsEnabled=True,
        AlarmActions=[topic.arn],
        OKActions=[topic.arn],
        DependsOn=[topic.policy],
    )
    if settings.failover.automatic:
        decision = _add_decision(template, settings, site, group, queue, migration)
        alarm.AlarmActions.append(decision.function.get_att("Arn"))
        alarm.DependsOn += decision.before
    return template.add_resource(alarm)


def _add_decision(
    template: Template,
    settings: Settings,
    site: Site,
    group: scheduler.ScheduleGroup,
    queue: sqs.Queue,
    migration: SchemaMigration,
) -> _Decision:
    """Let in is that alarm and no other, and the schedule that has it rehearsed.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
    """
    plan = may_send_dead_letters(site, decide(settings))
    function = add_function(template, settings, plan)
    function.DependsOn = [migration]
    permission = template.add_resource(
        awslambda.Permission(
            "AlarmMayDecide",
            Action="lambda:InvokeFunction",
            FunctionName=function.ref(),
            Principal="lambda.alarms.cloudwatch.amazonaws.com",
            SourceAccount=policies.ACCOUNT,
            SourceArn=policies.arn("cloudwatch", "alarm:${Alarm}", Alarm=site.name(UNREACHABLE)),
        )
    )
    events = add_event_config(template, plan, function, queue, _AGE_SECONDS, retries=_RETRIES)
    schedule = add_schedule(template, settings, site, rehearsal(plan), function, group, queue)
    schedule.DependsOn = [events]
    return _Decision(function, [permission, events])
