"""What runs by the clock: each function has a schedule, whose role lets it start that one and no other."""

from awacs import awslambda as lambda_actions
from awacs import kms
from awacs.aws import Condition, Statement, StringEquals
from msgspec import Struct
from troposphere import Template, awslambda, iam, scheduler, sqs

from templates import dead_letters, policies
from templates.config import Settings
from templates.functions import FunctionPlan
from templates.policies import Value
from templates.sites import Site

# What the function knows a rehearsal by (src/handlers/rehearsal.py).
REHEARSAL = '{"rehearsal": "everything up to the first write"}'
_REHEARSED_MINUTES = 6 * 60
_REHEARSAL_AGE_SECONDS = 600
# The scheduler could not start the function: it tries again, as long as that is of use.
_TRIES = 2


class Timer(Struct, frozen=True):
    """A function and how often it is started; whoever starts late or fails is followed by the next anyway."""

    plan: FunctionPlan
    minutes: int
    rehearses: bool = False

    @property
    def every_seconds(self) -> int:
        return 60 * self.minutes

    @property
    def age_seconds(self) -> int:
        """How long a start may wait."""
        return _REHEARSAL_AGE_SECONDS if self.rehearses else self.every_seconds

    @property
    def event(self) -> str:
        return REHEARSAL if self.rehearses else "{}"


def rehearsal(plan: FunctionPlan) -> Timer:
    """Keeps a function `Active` that runs only in a disaster, and finds out what it lacks."""
    return Timer(plan, _REHEARSED_MINUTES, rehearses=True)


def add_group(template: Template, site: Site) -> scheduler.ScheduleGroup:
    return template.add_resource(scheduler.ScheduleGroup("Schedules", Name=site.name("schedules")))


def add_schedule(
    template: Template,
    settings: Settings,
    site: Site,
    timer: Timer,
    function: awslambda.Function,
    group: scheduler.ScheduleGroup,
    queue: sqs.Queue,
) -> scheduler.Schedule:
    plan = timer.plan
    name = site.name(plan.title.lower())
    arn = policies.arn(
        "scheduler", "schedule/${Group}/${Schedule}", Group=group.properties["Name"], Schedule=name
    )
    role = template.add_resource(_role(settings, site, plan, group, function, arn))
    unit = "minute" if timer.minutes == 1 else "minutes"
    return template.add_resource(
        scheduler.Schedule(
            f"{plan.title}Schedule",
            Name=name,
            GroupName=group.ref(),
            Description=plan.description,
            ScheduleExpression=f"rate({timer.minutes} {unit})",
            FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
            KmsKeyArn=site.key_arn,
            State="ENABLED",
            Target=scheduler.Target(
                Arn=function.get_att("Arn"),
                RoleArn=role.get_att("Arn"),
                Input=timer.event,
                RetryPolicy=scheduler.RetryPolicy(
                    MaximumRetryAttempts=_TRIES, MaximumEventAgeInSeconds=timer.age_seconds
                ),
                DeadLetterConfig=scheduler.DeadLetterConfig(Arn=queue.get_att("Arn")),
            ),
        )
    )


def _role(
    settings: Settings,
    site: Site,
    plan: FunctionPlan,
    group: scheduler.ScheduleGroup,
    function: awslambda.Function,
    schedule_arn: Value,
) -> iam.Role:
    """Assumed for schedules of our group only: the role's condition takes a group, not a schedule.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    trusted = policies.assumed_by_service(
        "scheduler.amazonaws.com",
        StringEquals({"aws:SourceAccount": policies.ACCOUNT, "aws:SourceArn": group.get_att("Arn")}),
    )
    return iam.Role(
        f"{plan.title}ScheduleRole",
        RoleName=site.name(f"{plan.title.lower()}-schedule"),
        PermissionsBoundary=policies.boundary_arn(settings.names),
        Description=f"Lets the scheduler start the function {plan.title}",
        AssumeRolePolicyDocument=policies.document(trusted),
        Policies=[
            iam.Policy(
                PolicyName="schedule",
                PolicyDocument=policies.document(
                    policies.allow("StartFunction", [lambda_actions.InvokeFunction], function.get_att("Arn")),
                    _decrypt_schedule(site, schedule_arn),
                    *dead_letters.send(site),
                ),
            )
        ],
    )


def _decrypt_schedule(site: Site, schedule_arn: Value) -> Statement:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html"""
    own = StringEquals({"kms:EncryptionContext:aws:scheduler:schedule:arn": schedule_arn})
    return policies.allow("DecryptSchedule", [kms.Decrypt], site.key_arn, condition=Condition(own))
