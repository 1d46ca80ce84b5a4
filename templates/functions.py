"""Lambda functions: each with a role that grants exactly what it calls, and a log group with our key."""

from collections.abc import Mapping

from awacs.aws import Statement
from msgspec import Struct
from troposphere import AWSHelperFn, GetAtt, Split, Template, awslambda, iam, logs

from templates import policies
from templates.config import Settings
from templates.lifetime import keep
from templates.policies import Value

# Packaging replaces UNPACKAGED by the SHA-256 of the zip. One zip per set of dependencies.
SERVICE_PACKAGE = "functions/service-UNPACKAGED.zip"
MIGRATIONS_PACKAGE = "functions/migrations-UNPACKAGED.zip"
ROLLOUT_PACKAGE = "functions/rollout-UNPACKAGED.zip"

# PCI DSS 4.0.1, 10.5.1: twelve months; the next value CloudWatch Logs knows is 400 days.
LOG_RETENTION_DAYS = 400


class LocalPackage(AWSHelperFn):
    """A file beside the template, which ``sam deploy`` uploads and replaces by where it put it."""

    def __init__(self, path: str) -> None:
        self.data = path


class Placement(Struct, frozen=True):
    """Where in the network a function runs."""

    subnet_ids: AWSHelperFn  # separated by commas
    security_group_id: AWSHelperFn


class FunctionPlan(Struct, frozen=True):
    """What tells one function from another; `statements` is all it may do besides logging and tracing."""

    title: str
    name: Value
    role_name: Value
    description: str
    handler: str
    code: awslambda.Code | LocalPackage
    key_arn: Value
    environment: Mapping[str, Value]
    statements: tuple[Statement, ...]
    timeout_seconds: int
    memory_mb: int
    placement: Placement | None = None
    boundary: Value | None = None  # every role of a regional stack has one
    works_seconds: int = 0  # as long as it may: slower than that is slow, and else 80 % of the time limit

    @property
    def slow_seconds(self) -> int:
        """What takes longer is about to be cut off."""
        return max(self.works_seconds, self.timeout_seconds * 8 // 10)


def packaged(bucket: Value, package: str) -> awslambda.Code:
    return awslambda.Code(S3Bucket=bucket, S3Key=package)


def add_function(template: Template, settings: Settings, plan: FunctionPlan) -> awslambda.Function:
    log_group = template.add_resource(_log_group(plan, disposable=settings.test_environment))
    role = template.add_resource(_role(plan, log_group.get_att("Arn")))
    function = awslambda.Function(
        f"{plan.title}Function",
        FunctionName=plan.name,
        Description=plan.description,
        Architectures=[settings.functions.architecture],
        Runtime=settings.functions.runtime,
        Handler=plan.handler,
        Code=plan.code,
        Role=role.get_att("Arn"),
        Environment=awslambda.Environment(Variables=dict(plan.environment)),
        KmsKeyArn=plan.key_arn,
        LoggingConfig=awslambda.LoggingConfig(LogGroup=log_group.ref()),
        MemorySize=plan.memory_mb,
        Timeout=plan.timeout_seconds,
        TracingConfig=awslambda.TracingConfig(Mode="Active"),
    )
    if plan.placement is not None:
        function.VpcConfig = awslambda.VPCConfig(
            SubnetIds=Split(",", plan.placement.subnet_ids),
            SecurityGroupIds=[plan.placement.security_group_id],
        )
    return template.add_resource(function)


def _log_group(plan: FunctionPlan, *, disposable: bool) -> logs.LogGroup:
    group = logs.LogGroup(
        f"{plan.title}Logs",
        LogGroupName=policies.named("/aws/lambda/${Function}", Function=plan.name),
        KmsKeyId=plan.key_arn,
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    return keep(group, disposable=disposable)


def _role(plan: FunctionPlan, log_group_arn: GetAtt) -> iam.Role:
    # By name: the function refers to its role, so the role cannot refer to the function.
    function_arn = policies.arn("lambda", "function:${Function}", Function=plan.name)
    statements = [
        policies.write_logs(log_group_arn),
        policies.send_traces(),
        policies.decrypt_environment(plan.key_arn, function_arn),
        *plan.statements,
    ]
    if plan.placement is not None:
        statements += [policies.attach_to_network(), policies.refuse_network_to_code(function_arn)]
    role = iam.Role(
        f"{plan.title}Role",
        RoleName=plan.role_name,
        Description=f"What the function {plan.title} may do",
        AssumeRolePolicyDocument=policies.document(policies.assumed_by_service("lambda.amazonaws.com")),
        Policies=[iam.Policy(PolicyName="function", PolicyDocument=policies.document(*statements))],
    )
    if plan.boundary is not None:
        role.PermissionsBoundary = plan.boundary
    return role
