"""What runs by the clock: each function has a schedule, whose role lets it start that one and no other."""

from dataclasses import dataclass
from functools import partial

from awacs import awslambda as lambda_actions
from awacs import kms
from awacs.aws import Condition, Statement, StringEquals
from troposphere import Template, awslambda, iam, scheduler, sqs

from templates import dead_letters, policies
from templates.config import Settings
from templates.encryption import KEY_ARN
from templates.functions import FunctionPlan
from templates.places import here
from templates.policies import Value

# The scheduler could not start the function: it tries again, as long as that is of use.
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Timer:
    """A function and how often it is started; whoever starts late or fails is followed by the next anyway."""

    plan: FunctionPlan
    minutes: int

    @property
    def age_seconds(self) -> int:
        """How long a start may wait."""
        return 60 * self.minutes


def add_group(template: Template, settings: Settings) -> scheduler.ScheduleGroup:
    return template.add_resource(
        scheduler.ScheduleGroup("Schedules", Name=here(partial(settings.names.regional, "schedules")))
    )


def add_schedule(
    template: Template,
    settings: Settings,
    timer: Timer,
    function: awslambda.Function,
    group: scheduler.ScheduleGroup,
    queue: sqs.Queue,
) -> scheduler.Schedule:
    plan = timer.plan
    name = here(partial(settings.names.regional, plan.title.lower()))
    arn = policies.arn(
        "scheduler", "schedule/${Group}/${Schedule}", Group=group.properties["Name"], Schedule=name
    )
    role = template.add_resource(_role(settings, plan, group, function, arn))
    unit = "minute" if timer.minutes == 1 else "minutes"
    return template.add_resource(
        scheduler.Schedule(
            f"{plan.title}Schedule",
            Name=name,
            GroupName=group.ref(),
            Description=plan.description,
            ScheduleExpression=f"rate({timer.minutes} {unit})",
            FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
            KmsKeyArn=KEY_ARN.read(settings.names),
            State="ENABLED",
            Target=scheduler.Target(
                Arn=function.get_att("Arn"),
                RoleArn=role.get_att("Arn"),
                Input="{}",
                RetryPolicy=scheduler.RetryPolicy(
                    MaximumRetryAttempts=_TRIES, MaximumEventAgeInSeconds=timer.age_seconds
                ),
                DeadLetterConfig=scheduler.DeadLetterConfig(Arn=queue.get_att("Arn")),
            ),
        )
    )


def _role(
    settings: Settings,
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
        RoleName=here(partial(settings.names.regional, f"{plan.title.lower()}-schedule")),
        PermissionsBoundary=policies.boundary_arn(settings.names),
        Description=f"Lets the scheduler start the function {plan.title}",
        AssumeRolePolicyDocument=policies.document(trusted),
        Policies=[
            iam.Policy(
                PolicyName="schedule",
                PolicyDocument=policies.document(
                    policies.allow("StartFunction", [lambda_actions.InvokeFunction], function.get_att("Arn")),
                    _decrypt_schedule(settings, schedule_arn),
                    *dead_letters.send(settings),
                ),
            )
        ],
    )


def _decrypt_schedule(settings: Settings, schedule_arn: Value) -> Statement:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html"""
    own = StringEquals({"kms:EncryptionContext:aws:scheduler:schedule:arn": schedule_arn})
    key_arn = KEY_ARN.read(settings.names)
    return policies.allow("DecryptSchedule", [kms.Decrypt], key_arn, condition=Condition(own))
