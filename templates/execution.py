"""What the stacks of both regions are made with: every action CloudFormation calls for our types of resource.

The lists are those of the resource schemas (``handlers``), which a test compares them with. Things with names
are reached by names with a place in them, so neither the execution role nor anything else of `root` is; the
rest cannot be named before it exists. It is limited to the two data regions, or to all three for what the
witness has, too, and what destroys or opens something to what carries the tags that every stack of ours puts
on all it makes.
"""

from collections.abc import Mapping

from awacs import iam as iam_actions
from awacs.aws import (
    Action,
    Condition,
    ForAnyValueStringLike,
    Statement,
    StringEquals,
    StringEqualsIfExists,
)
from troposphere import Sub

from templates import policies
from templates.config import Settings
from templates.names import Names, Place
from templates.policies import Value, allow, arn, boundary_arn, bucket_arn
from templates.workers import ROTATED

_DATA: tuple[Place, ...] = ("primary", "secondary")


def tags(settings: Settings) -> dict[str, str]:
    """Of every stack of a StackSet. CloudFormation puts them on whatever takes tags."""
    return {"Service": settings.service, "Environment": settings.environment}


def granted(settings: Settings, hosted_zone_id: Value) -> Mapping[str, list[Statement]]:
    """By the name of the policy they go into: a role takes ten, of 6,144 characters each.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    return {
        "network": _network(settings),
        "api": [*_apis(settings), *_certificates(settings), *_firewalls(settings), *_records(hosted_zone_id)],
        "code": [*_stacks(settings.names), *_functions(settings), *_roles(settings)],
        "events": [
            *_schedules(settings),
            *_queues(settings),
            *_rotation(settings),
            *_experiments(settings),
        ],
        "watch": [*_log_groups(settings), *_alarms(settings), *_topics(settings)],
        "data": [*_databases(settings), *_backups(settings)],
        "storage": [*_keys(settings), *_buckets(settings)],
    }


def _of(service: str, *names: str) -> list[Action]:
    return [Action(service, name) for name in names]


def _ours(names: Names) -> list[str]:
    return [names.regional("*", place) for place in _DATA]


def _everywhere(names: Names) -> list[str]:
    """What the witness has, too."""
    return [*_ours(names), names.regional("*", "witness")]


def _in_regions(settings: Settings) -> Condition:
    return Condition(StringEquals(_regions(settings)))


def _in_all_regions(settings: Settings) -> Condition:
    return Condition(StringEquals(_all_regions(settings)))


def _regions(settings: Settings) -> dict[str, list[str]]:
    return {"aws:RequestedRegion": [settings.regions.primary, settings.regions.secondary]}


def _all_regions(settings: Settings) -> dict[str, list[str]]:
    regions = settings.regions
    return {"aws:RequestedRegion": [regions.primary, regions.secondary, regions.witness]}


def _tagged(settings: Settings, regions: dict[str, list[str]] | None = None) -> Condition:
    own = {f"aws:ResourceTag/{key}": value for key, value in tags(settings).items()}
    return Condition(StringEquals({**(regions or _regions(settings)), **own}))


def _not_of_others(settings: Settings, regions: dict[str, list[str]] | None = None) -> Condition:
    """Ours or of nobody: whether a resource is made with its tags or gets them a moment later is
    CloudFormation's affair, but nobody's tags are replaced by ours.
    """
    own = {f"aws:ResourceTag/{key}": value for key, value in tags(settings).items()}
    return Condition([StringEquals(regions or _regions(settings)), StringEqualsIfExists(own)])


def _stacks(names: Names) -> list[Statement]:
    return [
        allow(
            "MakeStacks",
            _of("cloudformation", "*"),
            arn("cloudformation", f"stack/StackSet-{names.shared('*')}-*/*", region="*"),
        ),
        # StackSets copies templates to a bucket of its own, whose name it does not tell.
        allow(
            "ReadTemplates",
            [*_of("cloudformation", "GetTemplateSummary"), *_of("s3", "GetObject", "GetObjectVersion")],
            "*",
        ),
    ]


def _network(settings: Settings) -> list[Statement]:
    regions = _in_regions(settings)
    return [
        allow(
            "FindNetworks",
            _of(
                "ec2",
                "DescribeAccountAttributes",
                "DescribeAddresses",
                "DescribeAvailabilityZones",
                "DescribeFlowLogs",
                "DescribeInstances",
                "DescribeInternetGateways",
                "DescribeNatGateways",
                "DescribeNetworkAcls",
                "DescribeNetworkInterfaces",
                "DescribeRouteTables",
                "DescribeSecurityGroupRules",
                "DescribeSecurityGroups",
                "DescribeSubnets",
                "DescribeTags",
                "DescribeVpcAttribute",
                "DescribeVpcEncryptionControls",
                "DescribeVpcEndpoints",
                "DescribeVpcs",
                "DescribeVpnGateways",
            ),
            "*",
            condition=regions,
        ),
        allow(
            "MakeNetworks",
            _of(
                "ec2",
                "AllocateAddress",
                "AssociateRouteTable",
                "AttachInternetGateway",
                "AuthorizeSecurityGroupEgress",
                "AuthorizeSecurityGroupIngress",
                "CreateFlowLogs",
                "CreateInternetGateway",
                "CreateNatGateway",
                "CreateRoute",
                "CreateRouteTable",
                "CreateSecurityGroup",
                "CreateSubnet",
                "CreateVpc",
                "CreateVpcEndpoint",
                "ModifySubnetAttribute",
                "ModifyVpcAttribute",
            ),
            "*",
            condition=regions,
        ),
        allow("TagNetworks", _of("ec2", "CreateTags"), "*", condition=_not_of_others(settings)),
        allow(
            "ChangeOwnNetworks",
            _of(
                "ec2",
                "DeleteFlowLogs",
                "DeleteInternetGateway",
                "DeleteNatGateway",
                "DeleteRoute",
                "DeleteRouteTable",
                "DeleteSecurityGroup",
                "DeleteSubnet",
                "DeleteTags",
                "DeleteVpc",
                "DeleteVpcEndpoints",
                "DetachInternetGateway",
                "DisassociateRouteTable",
                "ModifyVpcEndpoint",
                "ReleaseAddress",
                "ReplaceRoute",
                "ReplaceRouteTableAssociation",
                *_RULES,
            ),
            "*",
            condition=_tagged(settings),
        ),
        # A rule has no tags of its own; the group it is in has, and is asked for too.
        allow(
            "ChangeRules",
            _of("ec2", *_RULES),
            arn("ec2", "security-group-rule/*", region="*"),
            condition=regions,
        ),
    ]


_RULES = (
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "UpdateSecurityGroupRuleDescriptionsEgress",
    "UpdateSecurityGroupRuleDescriptionsIngress",
)


def _apis(settings: Settings) -> list[Statement]:
    """An API's id is ten characters that API Gateway invents."""
    names, regions = settings.names, _in_regions(settings)
    domains = [names.domain, *(names.host(place) for place in _DATA)]
    apis = "arn:${AWS::Partition}:apigateway:*::/restapis"
    return [
        allow(
            "MakeApis",
            _of("apigateway", "GET", "PATCH", "POST", "PUT", "UpdateRestApiPolicy"),
            Sub(apis),
            Sub(f"{apis}/*"),
            Sub("arn:${AWS::Partition}:apigateway:*::/domainnames"),
            # CloudFormation tags through an address of its own that ends in the resource's.
            Sub("arn:${AWS::Partition}:apigateway:*::/tags/*"),
            condition=regions,
        ),
        allow("DeleteParts", _of("apigateway", "DELETE"), Sub(f"{apis}/*/*"), condition=regions),
        allow(
            "DeleteOwnApis",
            _of("apigateway", "DELETE"),
            Sub(f"{apis}/??????????"),
            condition=_tagged(settings),
        ),
        allow(
            "MakeHosts",
            _of("apigateway", "DELETE", "GET", "PATCH", "POST", "PUT"),
            *(
                Sub(f"arn:${{AWS::Partition}}:apigateway:*::/domainnames/{domain}{part}")
                for domain in domains
                for part in ("", "/*")
            ),
            condition=regions,
        ),
        allow(
            "SetApiAccount",
            _of("apigateway", "GET", "PATCH"),
            Sub("arn:${AWS::Partition}:apigateway:*::/account"),
            condition=regions,
        ),
    ]


def _certificates(settings: Settings) -> list[Statement]:
    return [
        allow(
            "MakeCertificates",
            _of(
                "acm",
                "DescribeCertificate",
                "ListCertificates",
                "ListTagsForCertificate",
                "RequestCertificate",
            ),
            "*",
            condition=_in_regions(settings),
        ),
        allow(
            "TagCertificates",
            _of("acm", "AddTagsToCertificate"),
            "*",
            condition=_not_of_others(settings),
        ),
        allow(
            "ChangeOwnCertificates",
            _of("acm", "DeleteCertificate", "RemoveTagsFromCertificate", "UpdateCertificateOptions"),
            "*",
            condition=_tagged(settings),
        ),
    ]


def _firewalls(settings: Settings) -> list[Statement]:
    """What an ACL is attached to, and the rule groups in it, need leave of their own."""
    regions = _in_regions(settings)
    acls = [arn("wafv2", f"regional/webacl/{name}/*", region="*") for name in _ours(settings.names)]
    stages = Sub("arn:${AWS::Partition}:apigateway:*::/restapis/*/stages/*")
    return [
        allow(
            "FindFirewalls", _of("wafv2", "ListLoggingConfigurations", "ListWebACLs"), "*", condition=regions
        ),
        allow(
            "MakeFirewalls",
            _of(
                "wafv2",
                "AssociateWebACL",
                "CreateWebACL",
                "DeleteLoggingConfiguration",
                "DeleteWebACL",
                "DisassociateWebACL",
                "GetLoggingConfiguration",
                "GetWebACL",
                "GetWebACLForResource",
                "ListTagsForResource",
                "PutLoggingConfiguration",
                "TagResource",
                "UntagResource",
                "UpdateWebACL",
            ),
            *acls,
            arn("wafv2", "regional/managedruleset/*/*", region="*"),
            stages,
            condition=regions,
        ),
        allow("GuardStages", _of("apigateway", "SetWebACL"), stages, condition=regions),
    ]


def _records(hosted_zone_id: Value) -> list[Statement]:
    """Route 53 is global and its ARNs name no account; a health check and a change have ids of Route 53's."""
    return [
        allow(
            "MakeRecords",
            _of("route53", "ChangeResourceRecordSets", "GetHostedZone", "ListResourceRecordSets"),
            Sub("arn:${AWS::Partition}:route53:::hostedzone/${Zone}", Zone=hosted_zone_id),
        ),
        allow("MakeHealthChecks", _of("route53", "CreateHealthCheck", "ListHealthChecks"), "*"),
        allow(
            "ChangeHealthChecks",
            _of(
                "route53",
                "ChangeTagsForResource",
                "DeleteHealthCheck",
                "GetHealthCheck",
                "ListTagsForResource",
                "UpdateHealthCheck",
            ),
            Sub("arn:${AWS::Partition}:route53:::healthcheck/*"),
        ),
        allow("AwaitRecords", _of("route53", "GetChange"), Sub("arn:${AWS::Partition}:route53:::change/*")),
    ]


def _functions(settings: Settings) -> list[Statement]:
    regions = _in_all_regions(settings)
    return [
        allow("FindFunctions", _of("lambda", "ListFunctions"), "*", condition=regions),
        allow(
            "MakeFunctions",
            _of(
                "lambda",
                "AddPermission",
                "CreateFunction",
                "DeleteFunction",
                "DeleteFunctionConcurrency",
                "DeleteFunctionEventInvokeConfig",
                "GetFunction",
                "GetFunctionCodeSigningConfig",
                "GetFunctionConfiguration",
                "GetFunctionEventInvokeConfig",
                "GetFunctionRecursionConfig",
                "GetFunctionScalingConfig",
                "GetPolicy",
                "GetRuntimeManagementConfig",
                "InvokeFunction",
                "ListFunctionEventInvokeConfigs",
                "ListTags",
                "PublishVersion",
                "PutFunctionConcurrency",
                "PutFunctionEventInvokeConfig",
                "PutFunctionRecursionConfig",
                "PutFunctionScalingConfig",
                "PutRuntimeManagementConfig",
                "RemovePermission",
                "TagResource",
                "UntagResource",
                "UpdateFunctionCode",
                "UpdateFunctionConfiguration",
                "UpdateFunctionEventInvokeConfig",
            ),
            *(arn("lambda", f"function:{name}", region="*") for name in _everywhere(settings.names)),
            condition=regions,
        ),
    ]


def _schedules(settings: Settings) -> list[Statement]:
    """A schedule is named by its group, too."""
    regions = _in_all_regions(settings)
    ours = _everywhere(settings.names)
    return [
        allow(
            "FindSchedules", _of("scheduler", "ListScheduleGroups", "ListSchedules"), "*", condition=regions
        ),
        allow(
            "MakeSchedules",
            _of(
                "scheduler",
                "CreateSchedule",
                "CreateScheduleGroup",
                "DeleteSchedule",
                "DeleteScheduleGroup",
                "GetSchedule",
                "GetScheduleGroup",
                "ListTagsForResource",
                "TagResource",
                "UntagResource",
                "UpdateSchedule",
            ),
            *(arn("scheduler", f"schedule-group/{name}", region="*") for name in ours),
            *(arn("scheduler", f"schedule/{name}/{name}", region="*") for name in ours),
            condition=regions,
        ),
    ]


def _experiments(settings: Settings) -> list[Statement]:
    """A template's id is the service's. Its faults are AWS's, and whoever names one needs leave for it."""
    regions = _in_regions(settings)
    templates = arn("fis", "experiment-template/*", region="*")
    changes = _of("fis", "UpdateExperimentTemplate")
    return [
        allow("FindExperiments", _of("fis", "ListExperimentTemplates"), "*", condition=regions),
        allow(
            "MakeExperiments",
            _of(
                "fis",
                "CreateExperimentTemplate",
                "GetExperimentTemplate",
                "ListTagsForResource",
                "TagResource",
            ),
            templates,
            condition=regions,
        ),
        allow(
            "UseFaults",
            [*_of("fis", "CreateExperimentTemplate"), *changes],
            arn("fis", "action/*", region="*"),
            condition=regions,
        ),
        allow(
            "ChangeOwnExperiments",
            [*_of("fis", "DeleteExperimentTemplate", "UntagResource"), *changes],
            templates,
            condition=_tagged(settings),
        ),
    ]


def _queues(settings: Settings) -> list[Statement]:
    regions = _in_all_regions(settings)
    return [
        allow("FindQueues", _of("sqs", "ListQueues"), "*", condition=regions),
        allow(
            "MakeQueues",
            _of(
                "sqs",
                "CreateQueue",
                "DeleteQueue",
                "GetQueueAttributes",
                "GetQueueUrl",
                "ListQueueTags",
                "SetQueueAttributes",
                "TagQueue",
                "UntagQueue",
            ),
            *(arn("sqs", name, region="*") for name in _everywhere(settings.names)),
            condition=regions,
        ),
    ]


def _rotation(settings: Settings) -> list[Statement]:
    """The secrets are of `root`; a regional stack says only when they are rotated, and by which function."""
    names, regions = settings.names, _in_regions(settings)
    return [
        allow("FindSecrets", _of("secretsmanager", "ListSecrets"), "*", condition=regions),
        allow(
            "RotateSecrets",
            _of("secretsmanager", "CancelRotateSecret", "DescribeSecret", "RotateSecret"),
            *(policies.secret_arn(names.secret(user), region="*") for user in ROTATED),
            condition=regions,
        ),
    ]


def _roles(settings: Settings) -> list[Statement]:
    """Only within a boundary, which nothing here may change or take off, and never a role of `root`'s."""
    names = settings.names
    boundaries = [boundary_arn(names)]
    if settings.drills.faults:
        boundaries.append(boundary_arn(names, policies.DRILL_BOUNDARY))
    roles = [arn("iam", f"role/{name}", region="") for name in _everywhere(names)]
    return [
        allow("FindRoles", [iam_actions.ListRoles], "*"),
        allow(
            "GrantWithinBoundary",
            [
                iam_actions.AttachRolePolicy,
                iam_actions.CreateRole,
                iam_actions.PutRolePermissionsBoundary,
                iam_actions.PutRolePolicy,
            ],
            *roles,
            condition=Condition(StringEquals({"iam:PermissionsBoundary": boundaries})),
        ),
        allow(
            "MakeRoles",
            [
                iam_actions.DeleteRole,
                iam_actions.DeleteRolePolicy,
                iam_actions.DetachRolePolicy,
                iam_actions.GetRole,
                iam_actions.GetRolePolicy,
                iam_actions.ListAttachedRolePolicies,
                iam_actions.ListRolePolicies,
                iam_actions.PassRole,
                iam_actions.TagRole,
                iam_actions.UntagRole,
                iam_actions.UpdateAssumeRolePolicy,
                iam_actions.UpdateRole,
                iam_actions.UpdateRoleDescription,
            ],
            *roles,
        ),
        allow(
            "MakeServiceLinkedRoles",
            [iam_actions.CreateServiceLinkedRole],
            arn("iam", "role/aws-service-role/*", region=""),
            condition=Condition(StringEquals({"iam:AWSServiceName": list(_LINKED)})),
        ),
    ]


_LINKED = (
    "backup.amazonaws.com",
    "delivery.logs.amazonaws.com",
    "ops.apigateway.amazonaws.com",
    "rds.amazonaws.com",
    "wafv2.amazonaws.com",
)


def _log_groups(settings: Settings) -> list[Statement]:
    regions = _in_all_regions(settings)
    witness = settings.names.regional("*", "witness")
    groups = (
        "/aws/lambda/{}",
        "/aws/rds/cluster/{}",
        "/aws/vpc/{}",
        "/aws/fis/{}",
        "/aws/apigateway/{}",
        "aws-waf-logs-{}",
    )
    return [
        # Whoever has AWS WAF's logs delivered sets the delivery up, and the account's leave for it.
        allow(
            "DeliverLogs",
            _of(
                "logs",
                "CreateLogDelivery",
                "DeleteLogDelivery",
                "DescribeLogGroups",
                "DescribeResourcePolicies",
                "PutResourcePolicy",
            ),
            "*",
            condition=regions,
        ),
        allow(
            "MakeLogGroups",
            _of(
                "logs",
                "AssociateKmsKey",
                "CreateLogGroup",
                "DeleteDataProtectionPolicy",
                "DeleteIndexPolicy",
                "DeleteLogGroup",
                "DeleteRetentionPolicy",
                "DescribeIndexPolicies",
                "DisassociateKmsKey",
                "GetDataProtectionPolicy",
                "ListTagsForResource",
                "PutBearerTokenAuthentication",
                "PutDataProtectionPolicy",
                "PutIndexPolicy",
                "PutLogGroupDeletionProtection",
                "PutRetentionPolicy",
                "TagResource",
                "UntagResource",
            ),
            *(
                arn("logs", f"log-group:{group.format(name)}*", region="*")
                for group in groups
                for name in _ours(settings.names)
            ),
            arn("logs", f"log-group:{groups[0].format(witness)}*", region="*"),
            arn("logs", "log-group:API-Gateway-Execution-Logs_*", region="*"),
            condition=regions,
        ),
    ]


def _alarms(settings: Settings) -> list[Statement]:
    regions = _in_all_regions(settings)
    return [
        allow("FindAlarms", _of("cloudwatch", "DescribeAlarms"), "*", condition=regions),
        allow(
            "MakeAlarms",
            _of(
                "cloudwatch",
                "DeleteAlarms",
                "ListTagsForResource",
                "PutCompositeAlarm",
                "PutMetricAlarm",
                "TagResource",
                "UntagResource",
            ),
            *(arn("cloudwatch", f"alarm:{name}", region="*") for name in _everywhere(settings.names)),
            condition=regions,
        ),
    ]


def _topics(settings: Settings) -> list[Statement]:
    """A subscription that was not confirmed yet has no name, and these calls know no resources."""
    regions = _in_all_regions(settings)
    return [
        allow(
            "ChangeSubscriptions",
            _of(
                "sns",
                "GetSubscriptionAttributes",
                "ListSubscriptions",
                "ListTopics",
                "SetSubscriptionAttributes",
                "Unsubscribe",
            ),
            "*",
            condition=regions,
        ),
        allow(
            "MakeTopics",
            _of(
                "sns",
                "CreateTopic",
                "DeleteTopic",
                "GetDataProtectionPolicy",
                "GetTopicAttributes",
                "ListSubscriptionsByTopic",
                "ListTagsForResource",
                "PutDataProtectionPolicy",
                "SetTopicAttributes",
                "Subscribe",
                "TagResource",
                "UntagResource",
            ),
            *(arn("sns", name, region="*") for name in _everywhere(settings.names)),
            condition=regions,
        ),
    ]


def _keys(settings: Settings) -> list[Statement]:
    """A key has no name but its alias, which comes after it; until then its tags tell whose it is."""
    names, regions = settings.names, _in_all_regions(settings)
    aliases = {"kms:ResourceAliases": [f"alias/{name}" for name in _everywhere(names)]}
    return [
        allow(
            "MakeKeys",
            _of(
                "kms",
                "CreateAlias",
                "CreateKey",
                "DescribeKey",
                "EnableKeyRotation",
                "GetKeyPolicy",
                "GetKeyRotationStatus",
                "ListAliases",
                "ListKeys",
                "ListResourceTags",
            ),
            "*",
            condition=regions,
        ),
        allow(
            "TagKeys",
            _of("kms", "TagResource"),
            "*",
            condition=_not_of_others(settings, _all_regions(settings)),
        ),
        allow(
            "ChangeOwnKeys",
            _of(
                "kms",
                "DeleteAlias",
                "DisableKey",
                "DisableKeyRotation",
                "EnableKey",
                "PutKeyPolicy",
                "ScheduleKeyDeletion",
                "UntagResource",
                "UpdateAlias",
                "UpdateKeyDescription",
            ),
            arn("kms", "key/*", region="*"),
            condition=_tagged(settings, _all_regions(settings)),
        ),
        allow(
            "ChangeAliases",
            _of("kms", "DeleteAlias", "UpdateAlias"),
            *(arn("kms", f"alias/{name}", region="*") for name in _everywhere(names)),
            condition=regions,
        ),
        # Functions, databases and vaults are handed the key by whoever makes them; secrets are read with it.
        allow(
            "UseOwnKeys",
            _of("kms", "CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey", "RetireGrant"),
            arn("kms", "key/*", region="*"),
            condition=Condition([StringEquals(_all_regions(settings)), ForAnyValueStringLike(aliases)]),
        ),
    ]


def _databases(settings: Settings) -> list[Statement]:
    names, regions = settings.names, _in_regions(settings)
    return [
        allow(
            "FindDatabases",
            _of(
                "rds",
                "DescribeDBClusterAutomatedBackups",
                "DescribeDBClusterParameterGroups",
                "DescribeDBClusterParameters",
                "DescribeDBClusterSnapshots",
                "DescribeDBClusters",
                "DescribeDBEngineVersions",
                "DescribeDBInstanceAutomatedBackups",
                "DescribeDBInstances",
                "DescribeDBParameterGroups",
                "DescribeDBParameters",
                "DescribeDBSnapshots",
                "DescribeDBSubnetGroups",
                "DescribeEngineDefaultClusterParameters",
                "DescribeEngineDefaultParameters",
                "DescribeEvents",
                "DescribeGlobalClusters",
            ),
            "*",
            condition=regions,
        ),
        allow(
            "MakeDatabases",
            _of(
                "rds",
                "AddTagsToResource",
                "CreateDBCluster",
                "CreateDBClusterParameterGroup",
                "CreateDBInstance",
                "CreateDBParameterGroup",
                "CreateDBSubnetGroup",
                "DeleteDBCluster",
                "DeleteDBClusterParameterGroup",
                "DeleteDBInstance",
                "DeleteDBParameterGroup",
                "DeleteDBSubnetGroup",
                "ListTagsForResource",
                "ModifyDBCluster",
                "ModifyDBClusterParameterGroup",
                "ModifyDBInstance",
                "ModifyDBParameterGroup",
                "ModifyDBSubnetGroup",
                "RebootDBInstance",
                "RemoveFromGlobalCluster",
                "RemoveTagsFromResource",
                "ResetDBClusterParameterGroup",
                "ResetDBParameterGroup",
            ),
            *(
                arn("rds", f"{kind}:{name}", region="*")
                for kind in ("cluster", "cluster-pg", "db", "pg", "subgrp")
                for name in _ours(names)
            ),
            arn("rds", f"global-cluster:{names.shared('ledger')}", region=""),
            # Whoever makes a cluster has to be allowed to use its option group: there is only AWS's own.
            arn("rds", "og:default*", region="*"),
            condition=regions,
        ),
        policies.read_secrets(names.secret("master"), region="*"),
    ]


def _backups(settings: Settings) -> list[Statement]:
    """A plan's id is invented by AWS Backup."""
    regions = _in_regions(settings)
    return [
        allow(
            "FindBackups",
            [
                *_of("backup", "ListBackupPlans", "ListBackupSelections", "ListBackupVaults"),
                *_of("backup-storage", "Mount", "MountCapsule"),
            ],
            "*",
            condition=regions,
        ),
        allow(
            "MakeVaults",
            _of(
                "backup",
                "CreateBackupVault",
                "DeleteBackupVault",
                "DeleteBackupVaultAccessPolicy",
                "DeleteBackupVaultLockConfiguration",
                "DeleteBackupVaultNotifications",
                "DescribeBackupVault",
                "GetBackupVaultAccessPolicy",
                "GetBackupVaultNotifications",
                "ListTags",
                "PutBackupVaultAccessPolicy",
                "PutBackupVaultLockConfiguration",
                "PutBackupVaultNotifications",
                "TagResource",
                "UntagResource",
            ),
            *(arn("backup", f"backup-vault:{name}", region="*") for name in _ours(settings.names)),
            condition=regions,
        ),
        allow(
            "MakePlans",
            _of(
                "backup",
                "CreateBackupPlan",
                "CreateBackupSelection",
                "GetBackupPlan",
                "GetBackupSelection",
                "ListTags",
                "TagResource",
            ),
            arn("backup", "backup-plan:*", region="*"),
            condition=regions,
        ),
        allow(
            "ChangeOwnPlans",
            _of("backup", "DeleteBackupPlan", "DeleteBackupSelection", "UntagResource", "UpdateBackupPlan"),
            arn("backup", "backup-plan:*", region="*"),
            condition=_tagged(settings),
        ),
    ]


def _buckets(settings: Settings) -> list[Statement]:
    """Buckets, and nothing that is in them."""
    regions = _in_regions(settings)
    kept = (
        *("AccelerateConfiguration", "AnalyticsConfiguration", "BucketAbac", "BucketAcl", "BucketCORS"),
        *("BucketLogging", "BucketNotification", "BucketObjectLockConfiguration", "BucketOwnershipControls"),
        *("BucketPolicy", "BucketPublicAccessBlock", "BucketTagging", "BucketVersioning", "BucketWebsite"),
        *("EncryptionConfiguration", "IntelligentTieringConfiguration", "InventoryConfiguration"),
        *("LifecycleConfiguration", "MetricsConfiguration", "ReplicationConfiguration"),
    )
    return [
        allow("FindBuckets", _of("s3", "ListAllMyBuckets"), "*"),
        allow(
            "MakeBuckets",
            _of(
                "s3",
                "CreateBucket",
                "DeleteBucket",
                "DeleteBucketPolicy",
                "DeleteBucketWebsite",
                "ListBucket",
                "ListTagsForResource",
                "TagResource",
                "UntagResource",
                *(f"Get{what}" for what in kept),
                *(f"Put{what}" for what in kept),
            ),
            *(bucket_arn(f"{name}-????????") for name in _ours(settings.names)),
            condition=regions,
        ),
    ]
