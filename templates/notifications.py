"""Who is told: one topic in each region, so that a region's alarms need nothing of the other one."""

from collections.abc import Sequence
from hashlib import sha256

from awacs import sns as sns_actions
from awacs.aws import Allow, ArnLike, Bool, Condition, Deny, Principal, Statement, StringEquals
from msgspec import Struct
from troposphere import AWSHelperFn, Template, sns

from templates import policies
from templates.policies import Value


class Topic(Struct, frozen=True):
    """Where alarms tell, and what lets them."""

    arn: AWSHelperFn
    policy: sns.TopicPolicy


def add_topic(template: Template, name: Value, emails: Sequence[str], key_arn: Value, alarms: Value) -> Topic:
    """`alarms` is the pattern of the names whose alarms may publish."""
    topic = template.add_resource(
        sns.Topic("AlertTopic", TopicName=name, DisplayName="Payments", KmsMasterKeyId=key_arn)
    )
    policy = template.add_resource(
        sns.TopicPolicy(
            "AlertTopicPolicy",
            Topics=[topic.ref()],
            PolicyDocument=policies.document(
                _publish_alarms(topic.ref(), alarms), _refuse_plain_http(topic.ref())
            ),
        )
    )
    for email in emails:
        # Named by the address: with another title the same person would have to confirm again.
        digest = sha256(email.encode()).hexdigest()[:8]
        template.add_resource(
            sns.SubscriptionResource(
                f"Subscription{digest}", TopicArn=topic.ref(), Protocol="email", Endpoint=email
            )
        )
    return Topic(topic.ref(), policy)


def _publish_alarms(topic_arn: AWSHelperFn, alarms: Value) -> Statement:
    """CloudWatch's alarms of this account and region, and nobody else's."""
    return Statement(
        Sid="PublishAlarms",
        Effect=Allow,
        Principal=Principal("Service", "cloudwatch.amazonaws.com"),
        Action=[sns_actions.Publish],
        Resource=[topic_arn],
        Condition=Condition(
            [
                StringEquals({"aws:SourceAccount": policies.ACCOUNT}),
                ArnLike({"aws:SourceArn": policies.arn("cloudwatch", "alarm:${Alarms}", Alarms=alarms)}),
            ]
        ),
    )


def _refuse_plain_http(topic_arn: AWSHelperFn) -> Statement:
    return Statement(
        Sid="RefusePlainHttp",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[sns_actions.Publish],
        Resource=[topic_arn],
        Condition=Condition(Bool({"aws:SecureTransport": "false"})),
    )
