"""Where what could not be done goes: one queue in each region, which people read and nothing else does."""

from awacs import kms
from awacs import sqs as sqs_actions
from awacs.aws import Action, Bool, Condition, Deny, Principal, Statement
from msgspec.structs import replace
from troposphere import AWSHelperFn, Template, awslambda, sqs

from templates import policies
from templates.functions import FunctionPlan
from templates.sites import Site

QUEUE = "dead-letters"
_KEPT_SECONDS = 14 * 24 * 60 * 60  # as long as SQS keeps anything


def add_dead_letters(template: Template, site: Site) -> sqs.Queue:
    """What is in it says which function was asked what, and why that failed; reading it takes our key."""
    queue = template.add_resource(
        sqs.Queue(
            "DeadLetters",
            QueueName=site.name(QUEUE),
            KmsMasterKeyId=site.key_arn,
            MessageRetentionPeriod=_KEPT_SECONDS,
        )
    )
    template.add_resource(
        sqs.QueuePolicy(
            "DeadLettersPolicy",
            Queues=[queue.ref()],
            PolicyDocument=policies.document(_refuse_plain_http(queue.get_att("Arn"))),
        )
    )
    return queue


def send(site: Site) -> tuple[Statement, ...]:
    """For whoever's role Lambda or the scheduler sends by. A queue with a key wants both of it from a sender.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    arn = policies.arn("sqs", "${Queue}", Queue=site.name(QUEUE))
    return (
        policies.allow("SendDeadLetters", [sqs_actions.SendMessage], arn),
        policies.use_key_through(
            "UseKeyForDeadLetters", site.key_arn, "sqs", kms.Decrypt, kms.GenerateDataKey
        ),
    )


def may_send_dead_letters(site: Site, plan: FunctionPlan) -> FunctionPlan:
    """Lambda sends them by the function's own role."""
    return replace(plan, statements=(*plan.statements, *send(site)))


def add_event_config(
    template: Template,
    plan: FunctionPlan,
    function: awslambda.Function,
    queue: sqs.Queue,
    age_seconds: int,
    retries: int = 0,
) -> awslambda.EventInvokeConfig:
    """Where the next event comes anyway, nothing is tried again at once; what waited too long is not done.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    return template.add_resource(
        awslambda.EventInvokeConfig(
            f"{plan.title}Events",
            FunctionName=function.ref(),
            Qualifier="$LATEST",
            MaximumRetryAttempts=retries,
            MaximumEventAgeInSeconds=age_seconds,
            DestinationConfig=awslambda.DestinationConfig(
                OnFailure=awslambda.OnFailure(Destination=queue.get_att("Arn"))
            ),
        )
    )


def _refuse_plain_http(queue_arn: AWSHelperFn) -> Statement:
    return Statement(
        Sid="RefusePlainHttp",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[Action("sqs", "*")],
        Resource=[queue_arn],
        Condition=Condition(Bool({"aws:SecureTransport": "false"})),
    )
