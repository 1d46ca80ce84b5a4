"""The keys everything is encrypted with: one for each region's data, one for the root stack's own logs."""

from dataclasses import dataclass

from troposphere import Template, kms

from templates import policies
from templates.lifetime import keep
from templates.links import Link
from templates.policies import Value

KEY_ARN = Link("Encryption", "KeyArn", "Key that everything in this region is encrypted with.")


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """A key, the services that may use it on a caller's behalf, and the log groups it encrypts (patterns)."""

    title: str
    description: str
    alias: Value
    services: tuple[str, ...]
    regions: tuple[str, ...]
    log_groups: tuple[str, ...]
    disposable: bool


def add_key(template: Template, plan: KeyPlan) -> kms.Key:
    # A replica is made by a call to its service in the other region: both count as the way the key is used.
    endpoints = [policies.endpoint(service, region) for service in plan.services for region in plan.regions]
    key = template.add_resource(
        kms.Key(
            plan.title,
            Description=plan.description,
            EnableKeyRotation=True,
            PendingWindowInDays=7 if plan.disposable else 30,
            KeyPolicy=policies.document(
                policies.administer_key(),
                policies.use_key_through_services(endpoints),
                policies.let_services_keep_key(endpoints),
                policies.encrypt_logs(*plan.log_groups),
            ),
        )
    )
    template.add_resource(kms.Alias(f"{plan.title}Alias", AliasName=plan.alias, TargetKeyId=key.ref()))
    return keep(key, disposable=plan.disposable)
