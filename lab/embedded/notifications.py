"""Topics as operators meet them: encrypted with a key, guarded by a policy, read in a mailbox.

An address is asked first, as on AWS; until it confirmed, nothing is delivered to it. What is delivered is
appended to `mail.jsonl` in the lab's logs. https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ministack.core.responses import get_account_id, get_region
from ministack.services import kms, sns

from lab.embedded import service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

_TOPIC, _SUBSCRIPTION = "AWS::SNS::Topic", "AWS::SNS::Subscription"
_MAILED = ("email", "email-json")
_KEPT = ("KmsMasterKeyId", "SignatureVersion", "TracingConfig")
_PENDING = "PendingConfirmation"
_ASKED = "_asked"
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


def register(handlers: Handlers) -> None:
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    mailbox = Mailbox(plan)
    for kind in (_TOPIC, _SUBSCRIPTION):
        for step in ("create", "update"):
            handlers[kind][step] = _asking_first(handlers[kind][step], mailbox, keeps=kind == _TOPIC)
    handlers[_SUBSCRIPTION]["create"] = _of_known_topics(handlers[_SUBSCRIPTION]["create"])
    sns._subscribe = _asking_subscriber(sns._subscribe, mailbox)
    sns._fanout = _mailing(sns._fanout, mailbox)
    sns._list_subscriptions_by_topic = _hiding_pending(sns._list_subscriptions_by_topic)
    sns._list_subscriptions = _hiding_pending(sns._list_subscriptions)


class Mailbox:
    """Where the lab keeps what operators would get."""

    def __init__(self, plan: LabPlan) -> None:
        self._plan = plan

    def ask(self, subscription: Properties) -> None:
        topic = subscription["topic_arn"]
        query = urlencode(
            {"Action": "ConfirmSubscription", "TopicArn": topic, "Token": subscription["token"]}
        )
        where = f"{self._plan.aws_endpoint_url}/?{query}"
        self.deliver(
            to=subscription["endpoint"],
            topic=topic,
            subject="AWS Notification - Subscription Confirmation",
            text=f"You have chosen to subscribe to the topic: {topic}\n"
            f"To confirm this subscription, visit {where}",
            token=subscription["token"],
        )

    def deliver(self, *, to: str, topic: str, subject: str, text: str, **more: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        letter = {"at": at, "to": to, "topic": topic, "subject": subject, "text": text, **more}
        file = self._plan.mail_file
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as box:
            box.write(json.dumps(letter) + "\n")


def publish_as(service: str, *, source_arn: str, topic_arn: str, subject: str, message: str) -> str | None:
    """Publish for an AWS service; None, or why the topic or its key does not let the service."""
    topic = sns._topic_by_arn_any_scope(topic_arn)
    if topic is None:
        return f"Topic does not exist: {topic_arn} (NotFound)"
    account, policy = get_account_id(), topic["attributes"].get("Policy")
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": account, "aws:sourceowner": account}
    if not service_roles.admits(policy, service, "sns:Publish", topic_arn, context):
        return f"{service} is not authorized to perform: SNS:Publish on {topic_arn} (AuthorizationError)"
    refused = _refused_by_key(topic["attributes"].get("KmsMasterKeyId"), service, source_arn)
    if refused is not None:
        return refused
    sns._fanout(topic_arn, secrets.token_hex(16), message, subject)
    return None


def _refused_by_key(reference: str | None, service: str, source_arn: str) -> str | None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: who publishes needs it."""
    if not reference:
        return None
    key = kms._resolve_key(reference)
    if reference == "alias/aws/sns" or key is None or key["KeyState"] != "Enabled":
        return f"the topic's key {reference} cannot be used by {service} (KMSAccessDenied)"
    source = {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}
    arn, context = service_roles.key_via("sns", get_region(), reference, **source)
    for action in _KEY_ACTIONS:
        if not service_roles.admits(key.get("Policy"), service, action, arn, context):
            return f"{service} is not authorized to perform: {action} on resource: {arn} (KMSAccessDenied)"
    return None


def _asking_first(
    inherited: Callable[..., Created], mailbox: Mailbox, *, keeps: bool
) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        created = inherited(*arguments)
        properties: Properties = next(a for a in reversed(arguments) if isinstance(a, dict))
        arn = created[0] if keeps else str(properties["TopicArn"])
        topic = sns._topics.get(arn)
        if topic is None:
            return created
        if keeps:
            _keep(topic, properties)
        for subscription in topic["subscriptions"]:
            _hold(subscription, mailbox)
        sns._refresh_subscription_counts(topic)
        return created

    return act


def _of_known_topics(inherited: Callable[..., Created]) -> Callable[..., Created]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        if sns._topics.get(properties["TopicArn"]) is None:
            raise ResourceError("Topic does not exist (NotFound)")
        return inherited(logical_id, properties, stack_name)

    return create


def _keep(topic: Properties, properties: Properties) -> None:
    """Attributes of a topic that MiniStack's handler drops although its API describes them."""
    for name in _KEPT:
        if name in properties:
            topic["attributes"][name] = str(properties[name])
        else:
            topic["attributes"].pop(name, None)


def _hold(subscription: Properties, mailbox: Mailbox) -> None:
    """Ask the address, once; until it answers the subscription is pending."""
    attributes = subscription["attributes"]
    for name in ("TopicArn", "Protocol", "Endpoint", "Owner"):
        attributes.setdefault(name, subscription[{"TopicArn": "topic_arn"}.get(name, name.lower())])
    attributes.setdefault("SubscriptionArn", subscription["arn"])
    attributes.setdefault(_PENDING, "false")
    if subscription["protocol"] not in _MAILED or subscription.get(_ASKED):
        return
    subscription.update({"confirmed": False, "token": secrets.token_hex(32), _ASKED: True})
    attributes.update({_PENDING: "true", "ConfirmationWasAuthenticated": "false"})
    mailbox.ask(subscription)


def _asking_subscriber(inherited: Callable[..., Any], mailbox: Mailbox) -> Callable[..., Any]:
    def subscribe(params: Any) -> Any:
        response = inherited(params)
        if response[0] >= 400 or sns._p(params, "Protocol") not in _MAILED:
            return response
        topic = sns._topic_by_arn_any_scope(sns._p(params, "TopicArn"))
        for subscription in topic["subscriptions"]:
            _hold(subscription, mailbox)
        sns._refresh_subscription_counts(topic)
        result = "<SubscribeResult><SubscriptionArn>pending confirmation</SubscriptionArn></SubscribeResult>"
        return sns._xml(200, "SubscribeResponse", result)

    return subscribe


def _mailing(inherited: Callable[..., None], mailbox: Mailbox) -> Callable[..., None]:
    def fan_out(topic_arn: str, message_id: str, message: str, subject: str, *rest: Any, **more: Any) -> None:
        inherited(topic_arn, message_id, message, subject, *rest, **more)
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        for subscription in topic["subscriptions"]:
            if subscription["confirmed"] and subscription["protocol"] in _MAILED:
                mailbox.deliver(
                    to=subscription["endpoint"],
                    topic=topic_arn,
                    subject=subject or "AWS Notification Message",
                    text=message,
                )

    return fan_out


def _hiding_pending(inherited: Callable[..., Any]) -> Callable[..., Any]:
    """A subscription has no ARN that anybody may see before it is confirmed."""

    def listed(params: Any) -> Any:
        status, headers, body = inherited(params)
        text = body.decode() if isinstance(body, bytes) else body
        for arn, topic_arn in list(sns._sub_arn_to_topic.items()):
            topic = sns._topics.get(topic_arn) or {"subscriptions": []}
            pending = [s for s in topic["subscriptions"] if s["arn"] == arn and not s["confirmed"]]
            if pending:
                tag = "<SubscriptionArn>{}</SubscriptionArn>"
                text = text.replace(tag.format(arn), tag.format(_PENDING))
        return status, headers, text.encode()

    return listed
