"""The role that the regional stacks are made with: what CloudFormation calls for them, and little else."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from generator import limits
from generator.render import render
from lab.embedded.schema import resource_schema
from tests.rules.reading import in_region, listed, of_type, statements
from tests.rules.variants import REGIONAL, SETTINGS, Template, variant

# What handlers may call for properties that no template of ours uses.
NOT_GRANTED = {
    "acm-pca:*": "certificates are public ones",
    "amplify:*": "an ACL guards a stage only",
    "apprunner:*": "an ACL guards a stage only",
    "appsync:*": "an ACL guards a stage only",
    "autoscaling:DescribeTags": "EC2's tags are asked for by ec2:DescribeTags",
    "bedrock-agentcore:*": "an ACL guards a stage only",
    "cognito-idp:*": "an ACL guards a stage only",
    "ec2:*VerifiedAccess*": "an ACL guards a stage only",
    "elasticloadbalancing:*": "an ACL guards a stage only",
    "wafv2:*PermissionPolicy": "rule groups are AWS's, not another account's",
    "ec2:AcceptAddressTransfer": "addresses come from AWS",
    "ec2:AssociateAddress": "a NAT gateway takes its address itself",
    "ec2:DisassociateAddress": "a NAT gateway takes its address itself",
    "ec2:*NatGatewayAddress": "a NAT gateway has one address",
    "ec2:*SubnetCidrBlock": "subnets have no IPv6",
    "ec2:*VpnGateway": "there is no VPN",
    "ec2:CreateVpcEncryptionControl": "VPCs have no encryption controls",
    "ec2:ModifyVpcTenancy": "VPCs keep the default tenancy",
    "vpc-lattice:*": "endpoints are gateways",
    "vpce:*": "endpoints are gateways of their own region",
    "elasticfilesystem:*": "functions have no file systems",
    "s3files:*": "functions have no file systems",
    "firehose:*": "logs go to CloudWatch Logs",
    "logs:DeleteResourcePolicy": "no log group has a policy of its own",
    "s3:REST.PUT.OBJECT": "is no action of IAM's",
    "iam:DeleteRolePermissionsBoundary": "nobody takes a role out of its boundary",
    "iam:DescribeOrganization": "is no action of IAM's",
    "lambda:GetLayerVersion": "functions have no layers",
    "lambda:PassCapacityProvider": "functions have no capacity providers",
    "lambda:*[!n]CodeSigningConfig": "code is not signed",
    "lambda:*eFunctionCodeSigningConfig": "code is not signed",
    "lambda:PutFunctionCodeSigningConfig": "code is not signed",
    "rds:*RoleToDB*": "databases have no roles",
    "rds:*RoleFromDB*": "databases have no roles",
    "rds:*HttpEndpoint": "databases have no data API",
    "rds:CreateDB*Snapshot": "nothing is deleted with a final snapshot",
    "rds:CreateDBInstanceReadReplica": "instances belong to a cluster",
    "rds:PromoteReadReplica": "instances belong to a cluster",
    "rds:Restore*": "nothing is restored by a deployment",
    "rds:*AutomatedBackupsReplication": "AWS Backup copies to the other region",
    "secretsmanager:CreateSecret": "RDS manages no password of ours",
    "secretsmanager:TagResource": "RDS manages no password of ours",
    "route53-recovery-control-config:*": "health checks ask an endpoint",
    "s3:*Metadata*Table*": "buckets have no metadata tables",
    "s3tables:*": "buckets have no metadata tables",
    "s3:DeleteBucket[ACELMR]*": "is no action of IAM's: what was put is deleted by leave to put it",
    "s3:DeleteObject": "buckets only, not what is in them",
    "s3:PutObjectAcl": "buckets only, not what is in them",
    "s3:PutBucketReplication": "is s3:PutReplicationConfiguration",
    "s3:PutObjectLockConfiguration": "is s3:PutBucketObjectLockConfiguration",
}

# What no schema lists.
BESIDES = {
    "cloudformation:*": "StackSets makes the stacks themselves",
    "cloudformation:GetTemplateSummary": "StackSets reads its templates",
    "lambda:GetFunctionConfiguration": "CloudFormation waits for a function to become active",
    "lambda:ListTags": "CloudFormation compares tags",
    "route53:GetChange": "AWS::Route53::RecordSet has no handlers",
    "route53:GetHostedZone": "AWS::Route53::RecordSet has no handlers",
    "route53:ListResourceRecordSets": "AWS::Route53::RecordSet has no handlers",
    "secretsmanager:GetSecretValue": "a template refers to the master password",
}


@cache
def _actions(name: str) -> dict[str, set[str]]:
    """What the schemas of a variant's types list, in lower case: by action the types that call it."""
    called: dict[str, set[str]] = {}
    for template in REGIONAL:
        for resource in variant(name).templates[template]["Resources"].values():
            schema = resource_schema(resource["Type"], variant(name).settings.regions.primary)
            for handler in (schema.document.get("handlers") or {}).values() if schema else ():
                for action in handler["permissions"]:
                    called.setdefault(action, set()).add(resource["Type"])
    return called


def _policies(root: Template) -> Iterator[dict[str, Any]]:
    attached = root["Resources"]["ExecutionRole"]["Properties"]["ManagedPolicyArns"]
    for policy in attached:
        yield root["Resources"][policy["Ref"]]["Properties"]["PolicyDocument"]


def _granted(root: Template) -> list[tuple[str, dict[str, Any]]]:
    return [
        (action, dict(statement))
        for document in _policies(root)
        for _, statement in statements(document)
        for action in listed(statement["Action"])
    ]


def _left_out(action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in NOT_GRANTED)


@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_cloudformation_calls_for_our_types_is_granted(name: str) -> None:
    granted = {action.lower() for action, _ in _granted(variant(name).templates["root"])}
    missing = {
        action: types
        for action, types in _actions(name).items()
        if not any(fnmatchcase(action.lower(), pattern) for pattern in granted) and not _left_out(action)
    }
    assert not missing


def test_every_exception_is_needed_and_none_is_granted() -> None:
    called = {action.lower() for action in _actions("default")}
    granted = {action.lower() for action, _ in _granted(variant("default").templates["root"])}
    for pattern in map(str.lower, NOT_GRANTED):
        assert any(fnmatchcase(action, pattern) for action in called - granted), pattern
        assert not any(fnmatchcase(action, pattern) for action in granted), pattern


def test_nothing_is_granted_that_cloudformation_does_not_call() -> None:
    called = {action.lower() for name in SETTINGS for action in _actions(name)}
    granted = {action for action, _ in _granted(variant("default").templates["root"])}
    assert {action for action in granted if action.lower() not in called} == set(BESIDES)


# Global, or about names of ours that hold no region.
_ANYWHERE = {
    *("MakeStacks", "ReadTemplates", "FindRoles", "GrantWithinBoundary", "MakeRoles"),
    *("MakeServiceLinkedRoles", "ReadSecrets", "FindBuckets"),
    *("MakeRecords", "MakeHealthChecks", "ChangeHealthChecks", "AwaitRecords"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_acts_in_the_two_data_regions_and_makes_in_the_third_what_the_witness_has(name: str) -> None:
    chosen = variant(name)
    places = chosen.settings.regions
    acting: dict[str | tuple[str, ...], set[str]] = {}
    for action, statement in _granted(chosen.templates["root"]):
        regions = statement.get("Condition", {}).get("StringEquals", {}).get("aws:RequestedRegion", ())
        acting.setdefault(tuple(regions), set()).add(
            statement["Sid"] if not regions else action.split(":")[0]
        )
    data, every = (places.primary, places.secondary), (places.primary, places.secondary, places.witness)
    assert acting.keys() == {(), data, every}
    assert acting[()] == _ANYWHERE
    assert acting[every] == {"cloudwatch", "kms", "lambda", "logs", "scheduler", "sns", "sqs"}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_writes_records_into_our_zone_only(name: str) -> None:
    """Whoever may change any zone of the account can take over every host name in it."""
    chosen = variant(name)
    zone = chosen.settings.dns.hosted_zone_id or {
        "Fn::ImportValue": f"{chosen.settings.service}-{chosen.settings.environment}-Zone-HostedZoneId"
    }
    written = [
        statement["Resource"]
        for action, statement in _granted(chosen.templates["root"])
        if action in ("route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets")
    ]
    ours = [{"Fn::Sub": ["arn:${AWS::Partition}:route53:::hostedzone/${Zone}", {"Zone": zone}]}]
    assert written == [ours, ours]


def test_what_knows_no_resource_is_granted_on_all() -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonroute53.html"""
    unnamed = {
        action: statement["Resource"]
        for action, statement in _granted(variant("default").templates["root"])
        if action in ("route53:CreateHealthCheck", "route53:ListHealthChecks")
    }
    assert unnamed == {"route53:CreateHealthCheck": ["*"], "route53:ListHealthChecks": ["*"]}


def test_it_may_use_the_option_group_that_a_cluster_has() -> None:
    """RDS asks for leave to use every group a cluster or an instance is made with, AWS's own too."""
    made = [
        resource["Fn::Sub"][0] if isinstance(resource["Fn::Sub"], list) else resource["Fn::Sub"]
        for action, statement in _granted(variant("default").templates["root"])
        if action == "rds:CreateDBCluster"
        for resource in statement["Resource"]
    ]
    assert "arn:${AWS::Partition}:rds:*:${AWS::AccountId}:og:default*" in made


# Without a name before they exist, and not to be undone, taken over or opened if they are somebody else's.
_OWN = (
    *("ec2:Delete*", "ec2:ReleaseAddress", "ec2:DetachInternetGateway", "ec2:DisassociateRouteTable"),
    *("ec2:Replace*", "ec2:ModifyVpcEndpoint", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"),
    *("kms:DisableKey", "acm:DeleteCertificate", "backup:DeleteBackupPlan", "backup:UpdateBackupPlan"),
)


def test_what_it_did_not_make_it_cannot_destroy() -> None:
    """Every stack puts the tags on all it makes, and only what carries them may be changed."""
    root = variant("default").templates["root"]
    own = {"aws:ResourceTag/Service": "payments", "aws:ResourceTag/Environment": "prod"}
    seen = set()
    for action, statement in _granted(root):
        guarded = [pattern for pattern in _OWN if fnmatchcase(action, pattern)]
        if guarded:
            seen.update(guarded)
            assert own.items() <= statement["Condition"]["StringEquals"].items(), action
        if action in ("ec2:CreateTags", "kms:TagResource", "acm:AddTagsToCertificate"):
            assert statement["Condition"]["StringEqualsIfExists"] == own
    assert seen == set(_OWN)
    for title in ("Foundation", "Data", "Service", "Witness"):
        given = {
            tag["Key"]: tag["Value"] for tag in root["Resources"][f"{title}StackSet"]["Properties"]["Tags"]
        }
        assert given["Service"] == "payments"
        assert given["Environment"] == {"Ref": "Environment"}


@pytest.mark.parametrize(
    "kind", ["EC2::VPC", "EC2::NatGateway", "KMS::Key", "CertificateManager::Certificate"]
)
def test_cloudformation_tags_what_is_told_by_its_tags(kind: str) -> None:
    schema = resource_schema(f"AWS::{kind}", "us-east-1")
    assert schema is not None
    assert schema.document["tagging"]["tagOnCreate"]


def test_no_service_is_granted_whole_but_the_stacks_themselves() -> None:
    granted = _granted(variant("default").templates["root"])
    wild = {(action, statement["Sid"]) for action, statement in granted if "*" in action}
    assert wild == {("cloudformation:*", "MakeStacks")}


_BOUNDARY, _DRILL_BOUNDARY = (
    {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/payments-{boundary}-prod"}
    for boundary in ("boundary", "drill-boundary")
)


def test_the_roles_it_makes_are_within_the_boundary() -> None:
    chosen = variant("default")
    for action, statement in _granted(chosen.templates["root"]):
        if action in (
            "iam:AttachRolePolicy",
            "iam:CreateRole",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
        ):
            assert statement["Condition"] == {
                "StringEquals": {"iam:PermissionsBoundary": [_BOUNDARY, _DRILL_BOUNDARY]}
            }
    boundary = chosen.templates["root"]["Resources"]["Boundary"]["Properties"]
    assert boundary["ManagedPolicyName"] == "payments-boundary-prod"
    roles = [
        (title.startswith("Drill"), role.get("PermissionsBoundary"))
        for name in REGIONAL
        for title, role in of_type(chosen.templates[name], "AWS::IAM::Role")
    ]
    assert sorted(drill for drill, _ in roles) == [False] * 29 + [True] * 3
    assert all(boundary == (_DRILL_BOUNDARY if drill else _BOUNDARY) for drill, boundary in roles)


def test_it_passes_and_changes_roles_of_the_regional_stacks_only() -> None:
    chosen = variant("default")
    root = chosen.templates["root"]["Resources"]
    theirs = [role["RoleName"] for _, role in of_type({"Resources": root}, "AWS::IAM::Role")]
    patterns = {
        resource["Fn::Sub"].split(":role/")[1]
        for action, statement in _granted(chosen.templates["root"])
        if action.startswith("iam:") and statement["Sid"] not in ("FindRoles", "MakeServiceLinkedRoles")
        for resource in statement["Resource"]
    }
    for name in REGIONAL:
        for region in chosen.regions(name):
            for _, role in of_type(in_region(chosen.templates[name], region), "AWS::IAM::Role"):
                assert any(fnmatchcase(role["RoleName"], pattern) for pattern in patterns)
    assert not [role for role in theirs for pattern in patterns if fnmatchcase(role, pattern)]


def _text(value: Any) -> str | None:
    """Of an ARN in one region; None for what only AWS knows."""
    if isinstance(value, str):
        return value
    sub = value.get("Fn::Sub")
    return sub if isinstance(sub, str) else None


@pytest.mark.parametrize("name", SETTINGS)
def test_the_boundary_holds_whatever_the_roles_of_the_regions_are_granted(name: str) -> None:
    chosen = variant(name)
    root = in_region(chosen.templates["root"], chosen.settings.regions.primary)
    limits_of = {
        policy["ManagedPolicyName"]: [statement for _, statement in statements(policy["PolicyDocument"])]
        for title, policy in of_type(root, "AWS::IAM::ManagedPolicy")
        if title.endswith("Boundary")
    }
    outside = []
    for template in REGIONAL:
        for region in chosen.regions(template):
            for title, role in of_type(in_region(chosen.templates[template], region), "AWS::IAM::Role"):
                limits_here = limits_of[role["PermissionsBoundary"]["Fn::Sub"].rpartition("/")[2]]
                for _, statement in statements(role["Policies"]):
                    if statement["Effect"] == "Allow":
                        outside += [
                            (title, action, resource)
                            for action in statement["Action"]
                            for resource in map(_text, statement["Resource"])
                            if not _within(limits_here, action, resource)
                        ]
    assert not outside


def _within(limits_of: list[Any], action: str, resource: str | None) -> bool:
    for statement in limits_of:
        patterns = [_text(pattern) for pattern in statement["Resource"]]
        if action in statement["Action"] and (
            resource is None or any(fnmatchcase(resource, pattern) for pattern in patterns if pattern)
        ):
            return True
    return False


def test_the_longest_names_fit_into_the_policies() -> None:
    longest = replace(variant("default").settings, environment="e" * 14)
    assert all(len(name.name) <= name.limit for name in longest.names.bounded())
    root = json.loads(render(longest)["root"])
    assert not list(limits.exceeded("root", json.dumps(root), root))
    for document in _policies(root):
        text = re.sub(
            r"\$\{AWS::(AccountId|Partition)\}", "123456789012", json.dumps(document, separators=(",", ":"))
        )
        assert len(text.replace('{"Fn::Sub":', "")) <= 6144
    assert len(root["Resources"]["ExecutionRole"]["Properties"]["ManagedPolicyArns"]) <= 10
