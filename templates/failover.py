"""The Region switch plan: what makes either region the active one, in order, in whichever mode it is started.

A plan is started from the region that is to be active, and everything it does happens there. Fence and
recover are never skipped: `ungraceful: skip`, all that Region switch offers for a Lambda block, is not set.
https://docs.aws.amazon.com/r53recovery/latest/dg/region-switch.html
"""

from collections.abc import Sequence

from awacs import awslambda as lambda_actions
from awacs import iam as iam_actions
from awacs import rds as rds_actions
from awacs.aws import Action, StringEquals
from troposphere import AWSObject, Output, PropsDictType, Template, iam, rds
from troposphere import arcregionswitch as switch

from templates import plans, policies
from templates.config import Settings
from templates.names import Place
from templates.policies import Value

_STEPS = ("fence", "recover")
# Tried again for as long as this; then the run pauses, and somebody has to look. The region that is active by
# then finishes by itself (templates/takeover.py).
_PATIENCE_MINUTES = 60
_RETRY_MINUTES = 1
_PROMOTION_MINUTES = 15  # a switchover takes a few, and one that hangs is not waited for


class _GlobalAurora(switch.GlobalAuroraConfiguration):
    """troposphere takes `Behavior` for an object; the schema has it as one of two words."""

    props: PropsDictType = {  # noqa: RUF012 - as troposphere declares it
        **switch.GlobalAuroraConfiguration.props,
        "Behavior": (str, True),
    }


def add_plan(
    template: Template, settings: Settings, global_cluster: rds.GlobalCluster, after: Sequence[AWSObject]
) -> switch.Plan:
    names, regions = settings.names, settings.regions
    role = template.add_resource(_role(settings, global_cluster))
    plan = template.add_resource(
        switch.Plan(
            "FailoverPlan",
            Name=names.plan,
            Description="Makes a region the active one: fence, promote, recover",
            ExecutionRole=role.get_att("Arn"),
            Regions=[regions.primary, regions.secondary],
            PrimaryRegion=regions.primary,
            RecoveryApproach="activePassive",
            RecoveryTimeObjectiveMinutes=settings.objectives.rto_minutes,
            Workflows=[
                _activation(settings, global_cluster, region)
                for region in (regions.primary, regions.secondary)
            ],
            DependsOn=list(after),
        )
    )
    template.add_output(
        Output(
            "FailoverPlanArn",
            Description="Plan that makes a region the active one; started in that region.",
            Value=plan.get_att("Arn"),
        )
    )
    return plan


def _activation(settings: Settings, global_cluster: rds.GlobalCluster, region: str) -> switch.Workflow:
    return switch.Workflow(
        WorkflowTargetAction="activate",
        WorkflowTargetRegion=region,
        WorkflowDescription=f"{region} becomes the active region",
        Steps=[
            _invocation(settings, "fence", "Opens the next epoch; one lease later payments are accepted"),
            _promotion(settings, global_cluster),
            _invocation(settings, "recover", "Posts what the journal holds and the ledger lacks"),
        ],
    )


def _invocation(settings: Settings, step: str, description: str) -> switch.Step:
    """Of the function of the region that is to be active: the other one may be gone."""
    return switch.Step(
        Name=step,
        Description=description,
        ExecutionBlockType="CustomActionLambda",
        ExecutionBlockConfiguration=switch.ExecutionBlockConfiguration(
            CustomActionLambdaConfig=switch.CustomActionLambdaConfiguration(
                Lambdas=[switch.Lambdas(Arn=arn) for arn in _functions(settings, step)],
                RegionToRun="activatingRegion",
                RetryIntervalMinutes=_RETRY_MINUTES,
                TimeoutMinutes=_PATIENCE_MINUTES,
            )
        ),
    )


def _promotion(settings: Settings, global_cluster: rds.GlobalCluster) -> switch.Step:
    """Nothing is lost by it unless the run was started ungraceful, whatever state the old writer is in."""
    return switch.Step(
        Name="promote",
        Description="Makes the region's cluster the writer of the global database",
        ExecutionBlockType="AuroraGlobalDatabase",
        ExecutionBlockConfiguration=switch.ExecutionBlockConfiguration(
            GlobalAuroraConfig=_GlobalAurora(
                GlobalClusterIdentifier=global_cluster.ref(),
                DatabaseClusterArns=list(plans.cluster_arns(settings)),
                Behavior="switchoverOnly",
                Ungraceful=switch.GlobalAuroraUngraceful(Ungraceful="failover"),
                TimeoutMinutes=_PROMOTION_MINUTES,
            )
        ),
    )


def _functions(settings: Settings, step: str) -> list[Value]:
    """Of both regions, by name: they are made by stacks of their own."""
    names, regions = settings.names, settings.regions
    places: tuple[tuple[Place, str], ...] = (("primary", regions.primary), ("secondary", regions.secondary))
    return [
        policies.arn("lambda", f"function:{names.regional(step, place)}", region=region)
        for place, region in places
    ]


def _role(settings: Settings, global_cluster: rds.GlobalCluster) -> iam.Role:
    """A plan's ARN ends in a random suffix, so the account is all that the trust can name.

    https://docs.aws.amazon.com/r53recovery/latest/dg/security_iam_region_switch_execution_blocks.html
    """
    return iam.Role(
        "FailoverRole",
        RoleName=settings.names.plan,
        Description="Lets Region switch make a region the active one",
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service(
                "arc-region-switch.amazonaws.com", StringEquals({"aws:SourceAccount": policies.ACCOUNT})
            )
        ),
        Policies=[
            iam.Policy(
                PolicyName="plan",
                PolicyDocument=policies.document(
                    policies.allow(
                        "RunSteps",
                        [lambda_actions.GetFunction, lambda_actions.InvokeFunction],
                        *(arn for step in _STEPS for arn in _functions(settings, step)),
                    ),
                    # Several times an hour Region switch looks by these whether the plan would work.
                    # https://docs.aws.amazon.com/r53recovery/latest/dg/security_iam_region_switch_complete_policy.html
                    policies.allow(
                        "EvaluatePlan",
                        [iam_actions.SimulatePrincipalPolicy],
                        policies.arn("iam", f"role/{settings.names.plan}", region=""),
                    ),
                    policies.allow(
                        "ReadPlan",
                        [
                            Action("arc-region-switch", verb)
                            for verb in ("GetPlan", "GetPlanExecution", "ListPlanExecutions")
                        ],
                        policies.arn("arc-region-switch", f"plan/{settings.names.plan}:*", region=""),
                    ),
                    # On all, as AWS's own policy for it: that it asks by name, nothing says.
                    policies.allow(
                        "FindDatabases",
                        [rds_actions.DescribeDBClusters, rds_actions.DescribeGlobalClusters],
                        "*",
                    ),
                    policies.allow(
                        "Promote",
                        [rds_actions.FailoverGlobalCluster, rds_actions.SwitchoverGlobalCluster],
                        policies.arn(
                            "rds", "global-cluster:${Ledger}", region="", Ledger=global_cluster.ref()
                        ),
                        *plans.cluster_arns(settings),
                    ),
                ),
            )
        ],
    )
