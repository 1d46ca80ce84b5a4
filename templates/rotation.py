"""The rotation of the database users' credentials: by a function of ours, where the secrets are at home."""

from troposphere import Parameter, Template, awslambda, secretsmanager

from templates import policies
from templates.custom import SchemaMigration
from templates.places import IS_PRIMARY
from templates.workers import ROTATED

# PCI DSS 4.0.1, 8.6.3: as often as an analysis of the risk says; a month is what most analyses come to.
ROTATED_EVERY_DAYS = 30


def secret_parameter(user: str) -> str:
    """The parameter with the ARN of a user's secret, which ends as Secrets Manager likes."""
    return f"Rotated{user.capitalize()}"


def add_rotation(template: Template, function: awslambda.Function, migration: SchemaMigration) -> None:
    """In the primary region only: the other one has replicas, which follow.

    Secrets Manager tries the function when a schedule is made (``testSecret``), so the function can by then
    be called: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
    """
    for user in ROTATED:
        secret_arn = template.add_parameter(
            Parameter(
                secret_parameter(user),
                Type="String",
                AllowedPattern="^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$",
                Description=f"Credentials of the database user {user}, in the primary region.",
            )
        )
        permission = template.add_resource(
            awslambda.Permission(
                f"{user.capitalize()}MayRotate",
                FunctionName=function.get_att("Arn"),
                Action="lambda:InvokeFunction",
                Principal="secretsmanager.amazonaws.com",
                SourceAccount=policies.ACCOUNT,
                SourceArn=secret_arn.ref(),
                Condition=IS_PRIMARY,
            )
        )
        template.add_resource(
            secretsmanager.RotationSchedule(
                f"{user.capitalize()}Rotation",
                SecretId=secret_arn.ref(),
                RotationLambdaARN=function.get_att("Arn"),
                RotateImmediatelyOnUpdate=False,
                RotationRules=secretsmanager.RotationRules(AutomaticallyAfterDays=ROTATED_EVERY_DAYS),
                DependsOn=[permission, migration],
                Condition=IS_PRIMARY,
            )
        )
