"""How `root` rolls stacks out to both regions: the two roles StackSets need, and the StackSets."""

from collections.abc import Mapping, Sequence

from awacs import sts
from awacs.aws import Action, ArnLike, Condition, Deny, Statement, StringEquals, StringLike, StringNotLike
from msgspec import Struct
from troposphere import AWSHelperFn, AWSObject, Ref, Tags, Template, iam
from troposphere import cloudformation as cfn

from templates import policies
from templates.config import Settings
from templates.execution import granted, tags
from templates.names import Names
from templates.policies import Value, allow, arn
from templates.target import ENVIRONMENT


class Roles(Struct, frozen=True):
    administration: iam.Role
    execution: iam.Role


class StackSetPlan(Struct, frozen=True):
    """One template in some regions, one after the other."""

    template: str
    description: str
    regions: Sequence[str]
    region_order: Sequence[str] | Ref
    parameters: Mapping[str, Value]


def add_roles(
    template: Template, settings: Settings, rollout_role_arn: AWSHelperFn, hosted_zone_id: Value
) -> Roles:
    """Our own, because the ones AWS suggests have fixed names and may do everything.

    The rollout function may assume them, to find out once whether StackSets could yet; trust cannot be
    limited to a time. So its sessions have to have a name that StackSets does not use, at both steps, and a
    session of that name may do nothing.
    """
    names = settings.names
    trial = f"*:{trial_session(names)}"  # of aws:userid, which is a role's id and the session's name
    named = Condition(StringEquals({"sts:RoleSessionName": trial_session(names)}))
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
                policies.assumed_by_role(rollout_role_arn, named),
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
                policies.assumed_by_role(
                    administration.get_att("Arn"), Condition(StringNotLike({"aws:userid": trial}))
                ),
                policies.assumed_by_role(administration.get_att("Arn"), named),
            ),
            ManagedPolicyArns=[
                _execution_policy(template, names, group, statements).ref()
                for group, statements in granted(settings, hosted_zone_id).items()
            ],
            Policies=[
                iam.Policy(PolicyName="trial", PolicyDocument=policies.document(_refuse_all_to(trial)))
            ],
        )
    )
    return Roles(administration, execution)


def trial_session(names: Names) -> str:
    return names.shared("trial")


def _execution_policy(
    template: Template, names: Names, group: str, statements: Sequence[Statement]
) -> iam.ManagedPolicy:
    return template.add_resource(
        iam.ManagedPolicy(
            f"Execution{group.capitalize()}",
            ManagedPolicyName=names.shared(f"stackset-execution-{group}"),
            Description=f"What the stacks of both regions are made with: {group}",
            PolicyDocument=policies.document(*statements),
        )
    )


def _refuse_all_to(session: str) -> Statement:
    return Statement(
        Sid="RefuseTrial",
        Effect=Deny,
        Action=[Action("*")],
        Resource=["*"],
        Condition=Condition(StringLike({"aws:userid": session})),
    )


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
                    Regions=list(plan.regions),
                )
            ],
            TemplateURL=f"{plan.template}.json",  # beside this template: sam uploads it
            # They are what the execution role tells our resources by.
            Tags=Tags(**tags(settings) | {"Environment": Ref(ENVIRONMENT)}, Template=plan.template),
            DependsOn=list(after),
        )
    )
