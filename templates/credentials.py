"""The database users' credentials: made once in the primary region, readable under the same name in both."""

import json

from troposphere import Tags, Template, secretsmanager

from templates.config import Settings
from templates.lifetime import keep

_PURPOSES = {
    "master": "Break-glass: the cluster was founded with it, and nothing uses it day to day",
    "migrator": "Changes the ledger's schema when a release is deployed",
    "application": "Posts payments to the ledger",
}


def add_credentials(template: Template, settings: Settings) -> dict[str, secretsmanager.Secret]:
    """By user."""
    return {
        user: template.add_resource(
            keep(_secret(settings, user, purpose), disposable=settings.test_environment)
        )
        for user, purpose in _PURPOSES.items()
    }


def _secret(settings: Settings, user: str, purpose: str) -> secretsmanager.Secret:
    names = settings.names
    return secretsmanager.Secret(
        f"{user.capitalize()}Secret",
        Name=names.secret(user),
        Description=purpose,
        KmsKeyId=names.alias("data", "primary"),
        ReplicaRegions=[
            secretsmanager.ReplicaRegion(
                Region=settings.regions.secondary, KmsKeyId=names.alias("data", "secondary")
            )
        ],
        GenerateSecretString=secretsmanager.GenerateSecretString(
            SecretStringTemplate=json.dumps({"username": f"ledger_{user}"}),
            GenerateStringKey="password",
            PasswordLength=48,
            ExcludePunctuation=True,  # RDS refuses some, and connection strings would have to quote others
        ),
        Tags=Tags(DatabaseUser=f"ledger_{user}"),
    )
