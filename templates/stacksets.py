"""How `root` rolls stacks out to both regions: the two roles StackSets need, and the StackSets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from awacs import cloudformation, logs, route53, s3, sns, sts
from awacs import iam as iam_actions
from awacs.aws import Action, ArnLike, Condition, Statement, StringEquals
from troposphere import AWSHelperFn, AWSObject, Ref, Sub, Tags, Template, iam
from troposphere import cloudformation as cfn

from templates import policies
from templates.config import Settings
from templates.names import Names, Place
from templates.policies import Value, allow, arn


@dataclass(frozen=True, slots=True)
class Roles:
    administration: iam.Role
    execution: iam.Role


@dataclass(frozen=True, slots=True)
class StackSetPlan:
    """One template in both regions, one region after the other."""

    template: str
    description: str
    region_order: Sequence[str] | Ref
    parameters: Mapping[str, Value]


def add_roles(template: Template, settings: Settings, rollout_role_arn: AWSHelperFn) -> Roles:
    """Our own, because the ones AWS suggests have fixed names and may do everything."""
    names = settings.names
    administration = template.add_resource(
        iam.Role(
            "AdministrationRole",
            RoleName=names.shared("stackset-administration"),
            Description="Lets StackSets act in the regions",
            AssumeRolePolicyDocument=policies.document(
                policies.assumed_by_service(
                    "cloudformation.amazonaws.com",
                    StringEquals({"aws:SourceAccount": policies.ACCOUNT}),
                    ArnLike({"aws:SourceArn": arn("cloudformation", f"stackset/{names.shared('*')}:*")}),
                ),
                # Or it could not try whether the role works yet.
                policies.assumed_by_role(rollout_role_arn),
            ),
            Policies=[
                iam.Policy(
                    PolicyName="administration",
                    PolicyDocument=policies.document(
                        allow("ActInRegions", [sts.AssumeRole], execution_role_arn(names))
                    ),
                )
            ],
        )
    )
    execution = template.add_resource(
        iam.Role(
            "ExecutionRole",
            RoleName=names.shared("stackset-execution"),
            Description="What the stacks of both regions are made with",
            AssumeRolePolicyDocument=policies.document(
                policies.assumed_by_role(administration.get_att("Arn"))
            ),
            Policies=[
                iam.Policy(PolicyName="execution", PolicyDocument=policies.document(*_make_stacks(settings)))
            ],
        )
    )
    return Roles(administration, execution)


def administration_role_arn(names: Names) -> Value:
    return arn("iam", f"role/{names.shared('stackset-administration')}", region="")


def execution_role_arn(names: Names) -> Value:
    return arn("iam", f"role/{names.shared('stackset-execution')}", region="")


def add_stack_set(
    template: Template, settings: Settings, roles: Roles, plan: StackSetPlan, after: Sequence[AWSObject]
) -> cfn.StackSet:
    return template.add_resource(
        cfn.StackSet(
            f"{plan.template.capitalize()}StackSet",
            StackSetName=settings.names.shared(plan.template),
            Description=plan.description,
            PermissionModel="SELF_MANAGED",
            AdministrationRoleARN=roles.administration.get_att("Arn"),
            ExecutionRoleName=roles.execution.ref(),
            CallAs="SELF",
            Capabilities=["CAPABILITY_NAMED_IAM"],
            ManagedExecution=cfn.ManagedExecution(Active=True),
            OperationPreferences=cfn.OperationPreferences(
                RegionConcurrencyType="SEQUENTIAL",
                RegionOrder=plan.region_order,
                MaxConcurrentCount=1,
                FailureToleranceCount=0,
            ),
            Parameters=[
                cfn.Parameter(ParameterKey=key, ParameterValue=value)
                for key, value in plan.parameters.items()
            ],
            StackInstancesGroup=[
                cfn.StackInstances(
                    DeploymentTargets=cfn.DeploymentTargets(Accounts=[policies.ACCOUNT]),
                    Regions=[settings.regions.primary, settings.regions.secondary],
                )
            ],
            TemplateURL=f"{plan.template}.json",  # beside this template: sam uploads it
            Tags=Tags(Service=settings.service, Environment=settings.environment, Template=plan.template),
            DependsOn=list(after),
        )
    )


def _make_stacks(settings: Settings) -> list[Statement]:
    """Things with names are made under our names only; the rest cannot be named before it exists, so it is
    limited to the two regions. Only the administration role, which is StackSets', can take this role on.
    """
    names = settings.names
    places: tuple[Place, ...] = ("primary", "secondary")
    # Names with a place in them: not this role itself, nor anything else of the root stack's.
    ours = [names.regional("*", place) for place in places]
    regions = StringEquals({"aws:RequestedRegion": [settings.regions.primary, settings.regions.secondary]})
    return [
        allow(
            "MakeStacks",
            [Action("cloudformation", "*")],
            arn("cloudformation", f"stack/StackSet-{names.shared('*')}-*/*", region="*"),
        ),
        # StackSets copies templates to a bucket of its own, whose name it does not tell.
        allow("ReadTemplates", [cloudformation.GetTemplateSummary, s3.GetObject], "*"),
        allow(
            "MakeUnnamed",
            [
                Action("acm", "*"),
                Action("apigateway", "*"),
                Action("backup-storage", "MountCapsule"),
                Action("ec2", "*"),
                Action("kms", "*"),
                Action("logs", "Describe*"),
                Action("logs", "List*"),
                # Whoever has AWS WAF's logs delivered sets the delivery up, and the account's leave for it.
                logs.CreateLogDelivery,
                logs.DeleteLogDelivery,
                logs.PutResourcePolicy,
                Action("rds", "Describe*"),
                sns.GetSubscriptionAttributes,
                sns.SetSubscriptionAttributes,
                sns.Unsubscribe,
            ],
            "*",
            condition=Condition(regions),
        ),
        allow(
            "MakeFunctions",
            [Action("lambda", "*")],
            *(arn("lambda", f"function:{name}", region="*") for name in ours),
        ),
        allow(
            "MakeLogGroups",
            [Action("logs", "*")],
            *(arn("logs", f"log-group:/aws/lambda/{name}*", region="*") for name in ours),
            *(arn("logs", f"log-group:/aws/rds/cluster/{name}*", region="*") for name in ours),
            *(arn("logs", f"log-group:/aws/vpc/{name}*", region="*") for name in ours),
            *(arn("logs", f"log-group:/aws/apigateway/{name}*", region="*") for name in ours),
            *(arn("logs", f"log-group:aws-waf-logs-{name}*", region="*") for name in ours),
            arn("logs", "log-group:API-Gateway-Execution-Logs_*", region="*"),
        ),
        allow("MakeTopics", [Action("sns", "*")], *(arn("sns", name, region="*") for name in ours)),
        allow(
            "MakeAlarms",
            [Action("cloudwatch", "*")],
            *(arn("cloudwatch", f"alarm:{name}", region="*") for name in ours),
        ),
        # What an ACL is attached to, and the rule groups in it, need leave of their own.
        allow(
            "MakeFirewalls",
            [Action("wafv2", "*")],
            *(arn("wafv2", f"regional/webacl/{name}/*", region="*") for name in ours),
            arn("wafv2", "regional/managedruleset/*/*", region="*"),
            Sub("arn:${AWS::Partition}:apigateway:*::/restapis/*/stages/*"),
        ),
        allow(
            "MakeDatabases",
            [Action("rds", "*")],
            *(
                arn("rds", f"{kind}:{name}", region="*")
                for kind in ("cluster", "cluster-pg", "db", "pg", "subgrp")
                for name in ours
            ),
            arn("rds", f"global-cluster:{names.shared('ledger')}", region=""),
        ),
        allow(
            "MakeBuckets",
            [Action("s3", "*")],
            *(policies.bucket_arn(f"{name}-*") for name in ours),
        ),
        # A plan's id is invented by AWS Backup.
        allow(
            "MakeBackups",
            [Action("backup", "*")],
            *(arn("backup", f"backup-vault:{name}", region="*") for name in ours),
            arn("backup", "backup-plan:*", region="*"),
        ),
        # Route 53 is global; which zone it is may be known only to another stack.
        allow(
            "MakeRecords",
            [
                route53.ChangeResourceRecordSets,
                route53.ChangeTagsForResource,
                route53.CreateHealthCheck,
                route53.DeleteHealthCheck,
                route53.GetChange,
                route53.GetHealthCheck,
                route53.GetHostedZone,
                route53.ListResourceRecordSets,
                route53.ListTagsForResource,
                route53.UpdateHealthCheck,
            ],
            "*",
        ),
        policies.read_secrets(names.secret("master"), region="*"),
        allow(
            "MakeRoles",
            [
                iam_actions.CreateRole,
                iam_actions.DeleteRole,
                iam_actions.DeleteRolePolicy,
                iam_actions.GetRole,
                iam_actions.GetRolePolicy,
                iam_actions.ListRolePolicies,
                iam_actions.PassRole,
                iam_actions.PutRolePolicy,
                iam_actions.TagRole,
                iam_actions.UntagRole,
                iam_actions.UpdateAssumeRolePolicy,
                iam_actions.UpdateRole,
                iam_actions.UpdateRoleDescription,
            ],
            *(arn("iam", f"role/{name}", region="") for name in ours),
        ),
        allow(
            "MakeServiceLinkedRoles",
            [iam_actions.CreateServiceLinkedRole],
            arn("iam", "role/aws-service-role/*", region=""),
            condition=Condition(
                StringEquals(
                    {
                        "iam:AWSServiceName": [
                            "backup.amazonaws.com",
                            "ops.apigateway.amazonaws.com",
                            "rds.amazonaws.com",
                        ]
                    }
                )
            ),
        ),
    ]
