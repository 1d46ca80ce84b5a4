"""Laws over rendered templates: each takes one template of a variant and yields a sentence per breach."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.rules import drilling_laws, keeping_laws, operating_laws, starting_laws
from tests.rules.expectations import (
    FAULT_LEAVES,
    FAULTLESS_LEAVES,
    KEPT,
    LEAVES,
    REACHES,
    TRAIL_LEAVES,
    WILDCARDS,
)
from tests.rules.reading import in_region, listed, of_type, references, statements, strings, walk
from tests.rules.variants import IN_DATA_REGIONS, REGIONAL, Template, Variant


class Law(Protocol):
    __name__: str

    def __call__(self, name: str, template: Template, variant: Variant, /) -> Iterator[str]: ...


STATEFUL = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::DynamoDB::GlobalTable",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::RDS::GlobalCluster",
        "AWS::Route53::HostedZone",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
)
# Where AWS lets us choose the name: the property that holds it, and what stands before and after our rule.
NAMES = {
    "AWS::ARCRegionSwitch::Plan": ("Name", "{}"),
    "AWS::ApiGateway::RestApi": ("Name", "{}"),
    "AWS::Backup::BackupVault": ("BackupVaultName", "{}"),
    "AWS::CloudFormation::StackSet": ("StackSetName", "{}"),
    "AWS::CloudTrail::Trail": ("TrailName", "{}"),
    "AWS::CloudWatch::Alarm": ("AlarmName", "{}"),
    "AWS::CloudWatch::CompositeAlarm": ("AlarmName", "{}"),
    "AWS::CloudWatch::Dashboard": ("DashboardName", "{}"),
    "AWS::DynamoDB::GlobalTable": ("TableName", "{}"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "{}"),
    "AWS::IAM::Role": ("RoleName", "{}"),
    "AWS::KMS::Alias": ("AliasName", "alias/{}"),
    "AWS::Lambda::Function": ("FunctionName", "{}"),
    "AWS::Logs::ResourcePolicy": ("PolicyName", "{}"),
    "AWS::RDS::DBCluster": ("DBClusterIdentifier", "{}"),
    "AWS::RDS::DBClusterParameterGroup": ("DBClusterParameterGroupName", "{}"),
    "AWS::RDS::DBInstance": ("DBInstanceIdentifier", "{}"),
    "AWS::RDS::DBParameterGroup": ("DBParameterGroupName", "{}"),
    "AWS::RDS::DBSubnetGroup": ("DBSubnetGroupName", "{}"),
    "AWS::RDS::GlobalCluster": ("GlobalClusterIdentifier", "{}"),
    "AWS::S3::Bucket": ("BucketName", "{}-[0-9a-f]{{8}}"),
    "AWS::SNS::Topic": ("TopicName", "{}"),
    "AWS::SQS::Queue": ("QueueName", "{}"),
    "AWS::Scheduler::Schedule": ("Name", "{}"),
    "AWS::Scheduler::ScheduleGroup": ("Name", "{}"),
    "AWS::WAFv2::WebACL": ("Name", "{}"),
}
CREDENTIAL = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN|(?i:password|token|secret)=\S{8,}")


def everything_is_encrypted_with_our_keys(name: str, template: Template, variant: Variant) -> Iterator[str]:
    for title, bucket in of_type(template, "AWS::S3::Bucket"):
        for rule in bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}]):
            chosen = rule.get("ServerSideEncryptionByDefault", {})
            # Log delivery takes no other.
            if title == "AccessLogBucket" and chosen == {"SSEAlgorithm": "AES256"}:
                continue
            if chosen.get("SSEAlgorithm") != "aws:kms" or "KMSMasterKeyID" not in chosen:
                yield f"{title} is not encrypted with our key"
    for kind, properties in {
        "AWS::Lambda::Function": ["KmsKeyArn"],
        "AWS::Logs::LogGroup": ["KmsKeyId"],
        "AWS::RDS::DBCluster": ["StorageEncrypted", "KmsKeyId"],
        "AWS::RDS::DBInstance": ["EnablePerformanceInsights", "PerformanceInsightsKMSKeyId"],
        "AWS::RDS::GlobalCluster": ["StorageEncrypted"],
        "AWS::SQS::Queue": ["KmsMasterKeyId"],
        "AWS::Scheduler::Schedule": ["KmsKeyArn"],
        "AWS::SecretsManager::Secret": ["KmsKeyId", "ReplicaRegions"],
        "AWS::KMS::Key": ["EnableKeyRotation"],
    }.items():
        for title, resource in of_type(template, kind):
            yield from (f"{title} has no {missing}" for missing in properties if not resource.get(missing))
    names, regions = variant.settings.names, variant.settings.regions
    keys = {
        regions.primary: names.alias("data", "primary"),
        regions.secondary: names.alias("data", "secondary"),
    }
    for title, secret in of_type(template, "AWS::SecretsManager::Secret"):
        if secret["KmsKeyId"] != keys[regions.primary]:
            yield f"{title} is encrypted with another key than its region's"
        for replica in secret["ReplicaRegions"]:
            if replica.get("KmsKeyId") != keys[replica["Region"]]:
                yield f"{title} is encrypted with another key than that of {replica['Region']}"
    for title, table in of_type(template, "AWS::DynamoDB::GlobalTable"):
        if table.get("SSESpecification") != {"SSEEnabled": True, "SSEType": "KMS"}:
            yield f"{title} is not encrypted with our keys"
        found = {r["Region"]: r.get("SSESpecification", {}).get("KMSMasterKeyId") for r in table["Replicas"]}
        if found != keys:
            yield f"{title} has replicas encrypted with {found}"


def buckets_are_private_and_over_tls_only(name: str, template: Template, variant: Variant) -> Iterator[str]:
    policies = {policy["Bucket"]["Ref"]: policy for _, policy in of_type(template, "AWS::S3::BucketPolicy")}
    for title, bucket in of_type(template, "AWS::S3::Bucket"):
        blocked = bucket.get("PublicAccessBlockConfiguration", {})
        if len(blocked) != 4 or not all(blocked.values()):
            yield f"{title} does not block public access"
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{title} is not versioned"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{title} has object ACLs"
        if "LifecycleConfiguration" not in bucket:
            yield f"{title} keeps old versions for ever"
        conditions = [
            statement.get("Condition")
            for _, statement in statements(policies.get(title, {}))
            if statement["Effect"] == "Deny"
            and statement["Principal"] == "*"
            and statement["Action"] == ["s3:*"]
        ]
        for refused in (
            {"Bool": {"aws:SecureTransport": "false"}},
            {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ):
            if refused not in conditions:
                yield f"{title} does not refuse {refused}"


def what_cannot_be_made_again_is_kept(name: str, template: Template, variant: Variant) -> Iterator[str]:
    disposable = variant.settings.test_environment
    expected = ("Delete", "Delete") if disposable else ("RetainExceptOnCreate", "Retain")
    for title, resource in template["Resources"].items():
        found = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
        kept = resource["Type"] in STATEFUL or title in KEPT
        if found != (expected if kept else (None, None)):
            yield f"{title} has DeletionPolicy and UpdateReplacePolicy {found}"
        properties = resource.get("Properties", {})
        replicas = properties.get("Replicas", [])
        protected = [p["DeletionProtectionEnabled"] for p in replicas]
        if resource["Type"] in ("AWS::RDS::DBCluster", "AWS::RDS::GlobalCluster"):
            protected.append(properties.get("DeletionProtection"))
        if any(value is disposable for value in protected) or None in protected:
            yield f"{title} has deletion protection {protected}"


def names_follow_the_rule(name: str, template: Template, variant: Variant) -> Iterator[str]:
    settings = variant.settings
    places = {getattr(settings.regions, place): place for place in ("primary", "secondary", "witness")}
    for region in variant.regions(name):
        place = places[region]
        ours = rf"{settings.service}-[a-z0-9-]+-{settings.environment}"
        if name in REGIONAL:
            ours = rf"{settings.service}-[a-z0-9-]+-{place}-{settings.environment}"
        here = in_region(template, region)
        for kind, (property_name, rule) in NAMES.items():
            for title, resource in of_type(here, kind):
                found = resource.get(property_name)
                if not isinstance(found, str) or not re.fullmatch(rule.format(ours), found):
                    yield f"{title} is called {found} in {region}"
        functions = {function["FunctionName"] for _, function in of_type(here, "AWS::Lambda::Function")}
        for title, group in of_type(here, "AWS::Logs::LogGroup"):
            function = re.fullmatch("/aws/lambda/(.*)", str(group["LogGroupName"]))
            if function and function[1] not in functions:
                yield f"{title} belongs to no function"


def nothing_holds_a_credential(name: str, template: Template, variant: Variant) -> Iterator[str]:
    for path, value in strings(template):
        if CREDENTIAL.search(value) and "{{resolve:secretsmanager:" not in value:
            yield f"{'.'.join(path)} looks like a credential"
        if path[-1] in ("MasterUserPassword", "SecretString"):
            yield f"{'.'.join(path)} is a credential"
    for title, cluster in of_type(template, "AWS::RDS::DBCluster"):
        condition, password, otherwise = cluster["MasterUserPassword"]["Fn::If"]
        if (condition, otherwise) != ("IsPrimary", {"Ref": "AWS::NoValue"}):
            yield f"{title} has a password where it does not found the global database"
        if not password.startswith("{{resolve:secretsmanager:"):
            yield f"{title} has its password in the template"


def outputs_are_described(name: str, template: Template, variant: Variant) -> Iterator[str]:
    for title, output in template["Outputs"].items():
        if len(output.get("Description", "")) < 10:
            yield f"output {title} is not described"


def wildcards_have_a_reason(name: str, template: Template, variant: Variant) -> Iterator[str]:
    for path, statement in statements(template):
        if statement["Effect"] != "Allow":
            continue
        wild = [action for action in listed(statement["Action"]) if "*" in action]
        wild += [
            text for _, text in strings(statement.get("Resource", [])) if re.search(r"(^|:)\*$|/\*$", text)
        ]
        if statement.get("Principal") == "*":
            wild.append("everybody")
        if wild and statement.get("Sid") not in WILDCARDS:
            yield f"{'.'.join(path)} allows {wild} without a reason"
        if "everybody" in wild and not statement.get("Condition"):
            yield f"{'.'.join(path)} lets everybody in"


def nothing_is_open_to_the_world(name: str, template: Template, variant: Variant) -> Iterator[str]:
    rules = [(t, r) for t, r in of_type(template, "AWS::EC2::SecurityGroupIngress")]
    for title, group in of_type(template, "AWS::EC2::SecurityGroup"):
        rules += [(title, rule) for rule in group.get("SecurityGroupIngress", [])]
        if not group.get("SecurityGroupEgress"):
            yield f"{title} lets EC2 add a rule that allows everything out"
    for title, rule in rules:
        ports = rule["IpProtocol"], rule["FromPort"], rule["ToPort"]
        source = rule.get("CidrIp", rule.get("SourceSecurityGroupId"))
        if ports != ("tcp", 5432, 5432) or isinstance(source, str) or not rule.get("Description"):
            yield f"{title} lets in {source} on {ports}"
    for title, instance in of_type(template, "AWS::RDS::DBInstance"):
        if instance.get("PubliclyAccessible") is not False:
            yield f"{title} can be reached from the internet"
    for title, parameters in of_type(template, "AWS::RDS::DBClusterParameterGroup"):
        if parameters["Parameters"].get("rds.force_ssl") != "1":
            yield f"{title} lets clients in without TLS"
    for title, permission in of_type(template, "AWS::Lambda::Permission"):
        if "SourceArn" not in permission:
            yield f"{title} lets anybody's resources call the function"


def functions_are_confined(name: str, template: Template, variant: Variant) -> Iterator[str]:
    roles: list[str] = []
    for title, function in of_type(template, "AWS::Lambda::Function"):
        if (name in IN_DATA_REGIONS) != ("VpcConfig" in function):
            yield f"{title} runs in the wrong network"
        if function.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{title} is not traced"
        if "LogGroup" not in function.get("LoggingConfig", {}):
            yield f"{title} logs to a group that Lambda would make"
        roles.append(function["Role"]["Fn::GetAtt"][0])
        if template["Resources"].get(roles[-1], {}).get("Type") != "AWS::IAM::Role":
            yield f"{title} has no role of this template"
    yield from (f"{role} is shared by functions" for role in set(roles) if roles.count(role) > 1)


def every_reference_has_its_resource(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """In each region: what only the other one has must not be referred to either."""
    for region in variant.regions(name):
        here = in_region(template, region)
        known = here["Resources"].keys() | here["Parameters"].keys()
        for title in set(references([here["Resources"], here["Outputs"]])) - known:
            if not title.startswith("AWS::"):
                yield f"{title} is referred to, but {region} does not have it"


def every_resource_has_a_reader(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """Or is on the list of those that work by being there; what is on the list is there."""
    settings = variant.settings
    expected = LEAVES[name] | (TRAIL_LEAVES.get(name, {}) if settings.audit.trail else {})
    expected |= (FAULT_LEAVES if settings.drills.faults else FAULTLESS_LEAVES).get(name, {})
    if not settings.failover.automatic:
        expected = {title: why for title, why in expected.items() if not title.startswith("Decide")}
    unread = template["Resources"].keys() - set(references([template["Resources"], template["Outputs"]]))
    yield from (f"{title} is read by nothing and not expected" for title in sorted(unread - expected.keys()))
    yield from (f"{title} is missing: {expected[title]}" for title in sorted(expected.keys() - unread))


def regions_do_not_reach_into_each_other(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """A regional template names nothing of the other region but where it sends copies, for a reason. The
    witness is there to look at both.
    """
    if name not in IN_DATA_REGIONS:
        return
    regions = variant.settings.regions
    others = {
        regions.primary: ("secondary", regions.secondary),
        regions.secondary: ("primary", regions.primary),
    }
    for region, (place, other) in others.items():
        for path, value in strings(in_region(template, region)):
            if "Dimensions" in path:  # how S3 calls a measurement it reports in this region
                continue
            named = re.search(rf"(^|-|/){place}[.-]|:{other}:", value) and not value.startswith("--")
            if named and path[1] not in REACHES[name]:
                yield f"{'.'.join(path)} names {value} in {region}"


def imports_are_published(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """By another template of the same region."""
    published = {
        output["Export"]["Name"]
        for other in ((*REGIONAL,) if name in REGIONAL else ("zone",))
        if other != name
        for output in variant.templates[other]["Outputs"].values()
        if "Export" in output
    }
    for path, value in walk(template):
        imported = value.get("Fn::ImportValue") if isinstance(value, Mapping) else None
        if imported is not None and imported not in published:
            yield f"{'.'.join(path)} imports {imported}, which nobody publishes"


# Emptied once nobody writes to them any more, and before the stacks that hold them go.
_BETWEEN = {
    "EmptiedBuckets": ["DataStackSet", "FoundationStackSet", "AuditBucket"],
    "AuditTrail": ["FoundationOutputs", "AuditBucket", "EmptiedBuckets"],
}


def root_rolls_out_in_order(name: str, template: Template, variant: Variant) -> Iterator[str]:
    if name != "root":
        return
    after = {title: _everything_before(title, template["Resources"]) for title in template["Resources"]}
    tables = ["SessionsTable", "JournalTable", "ControlTable", "DirectoryTable", "ProgressTable"]
    secrets = ["MasterSecret", "MigratorSecret", "ApplicationSecret"]
    emptied = ["EmptiedBuckets"] if variant.settings.test_environment else []
    for title, first in {
        "RolesReady": ["AdministrationRole", "ExecutionRole", "RolloutFunction"],
        "FoundationStackSet": ["RolesReady"],
        "FoundationOutputs": ["FoundationStackSet"],
        **({"AuditTrail": ["FoundationOutputs", "AuditBucket"]} if variant.settings.audit.trail else {}),
        "Code": ["FoundationOutputs"],
        **{title: ["FoundationOutputs"] for title in (*tables, *secrets)},
        "FirstControlRecord": ["ControlTable"],
        "Peering": ["FirstControlRecord"],
        "GlobalCluster": ["FirstControlRecord"],
        "DataStackSet": ["GlobalCluster", *secrets],
        **(_BETWEEN if emptied else {}),
        "ServiceStackSet": [*emptied, "DataStackSet", "Code", "FirstControlRecord", "Peering", *tables],
        "WitnessStackSet": ["ServiceStackSet"],
        "FailoverPlan": ["ServiceStackSet", "GlobalCluster", "FailoverRole"],
    }.items():
        missing = [wanted for wanted in first if wanted not in after.get(title, ())]
        if missing:
            yield f"{title} does not wait for {', '.join(missing)}"


def _everything_before(title: str, resources: Mapping[str, Any]) -> set[str]:
    before: set[str] = set()
    open_ends = [title]
    while open_ends:
        found = set(references(resources.get(open_ends.pop(), {}))) & resources.keys() - before
        before |= found
        open_ends += found
    return before


LAWS: tuple[Law, ...] = (
    everything_is_encrypted_with_our_keys,
    buckets_are_private_and_over_tls_only,
    what_cannot_be_made_again_is_kept,
    names_follow_the_rule,
    nothing_holds_a_credential,
    outputs_are_described,
    wildcards_have_a_reason,
    nothing_is_open_to_the_world,
    functions_are_confined,
    every_reference_has_its_resource,
    every_resource_has_a_reader,
    regions_do_not_reach_into_each_other,
    imports_are_published,
    root_rolls_out_in_order,
    *drilling_laws.LAWS,
    *keeping_laws.LAWS,
    *operating_laws.LAWS,
    *starting_laws.LAWS,
)
