"""The keys everything is encrypted with: one for each region's data, and one for each kind of log of ours."""

from awacs import kms as kms_actions
from awacs.aws import Action, Allow, Condition, Principal, Statement, StringEquals
from msgspec import Struct
from troposphere import Template, kms

from templates import policies
from templates.lifetime import keep
from templates.links import Link
from templates.policies import Value

KEY_ARN = Link("Encryption", "KeyArn", "Key that everything in this region is encrypted with.")


class KeyPlan(Struct, frozen=True):
    """A key, the services that may use it on a caller's behalf, and the log groups it encrypts (patterns).

    `alarms`: whether alarms publish to a topic encrypted with it. `statements`: what else its policy says.
    """

    title: str
    description: str
    alias: Value
    services: tuple[str, ...]
    regions: tuple[str, ...]
    log_groups: tuple[str, ...]
    disposable: bool
    alarms: bool = False
    statements: tuple[Statement, ...] = ()


def add_key(template: Template, plan: KeyPlan) -> kms.Key:
    # A replica is made by a call to its service in the other region: both count as the way the key is used.
    endpoints = [policies.endpoint(service, region) for service in plan.services for region in plan.regions]
    statements = [policies.administer_key(), policies.encrypt_logs(*plan.log_groups), *plan.statements]
    if endpoints:
        statements += [
            policies.use_key_through_services(endpoints),
            policies.let_services_keep_key(endpoints),
        ]
    if plan.alarms:
        statements.append(_encrypt_alarms())
    key = template.add_resource(
        kms.Key(
            plan.title,
            Description=plan.description,
            EnableKeyRotation=True,
            PendingWindowInDays=7 if plan.disposable else 30,
            KeyPolicy=policies.document(*statements),
        )
    )
    template.add_resource(kms.Alias(f"{plan.title}Alias", AliasName=plan.alias, TargetKeyId=key.ref()))
    return keep(key, disposable=plan.disposable)


def _encrypt_alarms() -> Statement:
    """An alarm publishes as CloudWatch itself, which it can do only where that may use the topic's key.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    return Statement(
        Sid="EncryptAlarms",
        Effect=Allow,
        Principal=Principal("Service", "cloudwatch.amazonaws.com"),
        Action=[kms_actions.Decrypt, Action("kms", "GenerateDataKey*")],
        Resource=["*"],
        Condition=Condition(StringEquals({"aws:SourceAccount": policies.ACCOUNT})),
    )
