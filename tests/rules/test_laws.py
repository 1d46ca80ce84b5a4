"""Every law holds for every template of every variant, and none is idle: what it forbids breaks it."""

import copy
from collections.abc import Iterator

import pytest

from tests.rules import drilling_laws, keeping_laws, laws, operating_laws, starting_laws
from tests.rules.expectations import WILDCARDS
from tests.rules.laws import LAWS, Law
from tests.rules.reading import statements
from tests.rules.variants import SETTINGS, TEMPLATES, Template, Variant, variant

_ANY_RDS = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "monitoring.rds.amazonaws.com"},
            "Action": ["sts:AssumeRole"],
        }
    ]
}
_ALLOW_ALL = [{"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}}]

_LOGS = [
    {
        "PolicyDocument": {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogGroup"],
                    "Resource": ["arn:aws:logs:::log-group:A"],
                }
            ]
        }
    }
]


def _name(law: Law) -> str:
    return law.__name__


@pytest.mark.parametrize("law", LAWS, ids=_name)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_law_holds(name: str, law: Law) -> None:
    chosen = variant(name)
    broken = [f"{title}: {p}" for title in TEMPLATES for p in law(title, chosen.templates[title], chosen)]
    assert not broken


@pytest.mark.parametrize("name", TEMPLATES)
def test_without_any_one_resource_a_law_breaks(name: str) -> None:
    chosen = variant("default")
    template = chosen.templates[name]
    unnoticed = [
        title for title in template["Resources"] if not _noticed(name, _without(template, title), chosen)
    ]
    assert not unnoticed


# They read every word of what is there, and are asked last what is missing.
_NOT_OF_THE_ABSENT = {
    laws.names_follow_the_rule,
    laws.nothing_holds_a_credential,
    laws.wildcards_have_a_reason,
    laws.regions_do_not_reach_into_each_other,
    keeping_laws.log_groups_are_named_with_their_streams,
}
FAULTS: dict[Law, tuple[str, str, str, object]] = {
    laws.everything_is_encrypted_with_our_keys: ("data", "Cluster", "StorageEncrypted", False),
    laws.buckets_are_private_and_over_tls_only: ("foundation", "CodeBucketPolicy", "PolicyDocument", {}),
    laws.what_cannot_be_made_again_is_kept: ("data", "Cluster", "DeletionProtection", False),
    laws.names_follow_the_rule: ("service", "ApiFunction", "FunctionName", "payments-api"),
    laws.nothing_holds_a_credential: ("service", "ApiFunction", "Description", "AKIAIOSFODNN7EXAMPLE"),
    laws.wildcards_have_a_reason: ("root", "ExecutionRole", "Policies", _ALLOW_ALL),
    laws.nothing_is_open_to_the_world: ("data", "DatabaseFromPeer", "CidrIp", "0.0.0.0/0"),
    laws.functions_are_confined: ("service", "ApiFunction", "TracingConfig", {"Mode": "PassThrough"}),
    laws.every_reference_has_its_resource: ("data", "Instance1", "DBClusterIdentifier", {"Ref": "Clutser"}),
    laws.every_resource_has_a_reader: ("data", "Cluster", "DBSubnetGroupName", "default"),
    laws.regions_do_not_reach_into_each_other: (
        "service",
        "MigrateFunction",
        "FunctionName",
        "payments-api-primary-prod",
    ),
    laws.imports_are_published: ("data", "Cluster", "KmsKeyId", {"Fn::ImportValue": "payments-prod-Key"}),
    laws.root_rolls_out_in_order: ("root", "ServiceStackSet", "Parameters", []),
    keeping_laws.access_is_logged: ("foundation", "CodeBucket", "LoggingConfiguration", {}),
    keeping_laws.records_are_locked: ("data", "TransactionsBucket", "ObjectLockEnabled", False),
    keeping_laws.what_is_sent_is_awaited: ("data", "BackupPlan", "BackupPlan", {"BackupPlanRule": []}),
    keeping_laws.services_act_for_us_only: ("data", "MetricsRole", "AssumeRolePolicyDocument", _ANY_RDS),
    keeping_laws.trails_are_complete_and_cannot_be_forged: ("root", "AuditTrail", "KMSKeyId", ""),
    keeping_laws.log_groups_are_named_with_their_streams: ("data", "MetricsRole", "Policies", _LOGS),
    operating_laws.alarms_reach_somebody: ("service", "LedgerLagAlarm", "AlarmActions", ["arn:aws:sns:"]),
    operating_laws.alarms_over_alarms_reach_people_and_whom_they_start: (
        "service",
        "DecideEvents",
        "MaximumRetryAttempts",
        0,
    ),
    operating_laws.topics_take_alarms_only: ("service", "AlertTopic", "KmsMasterKeyId", "alias/aws/sns"),
    operating_laws.apis_are_guarded_and_logged: ("service", "Stage", "MethodSettings", []),
    operating_laws.firewalls_log: ("service", "FirewallLogging", "RedactedFields", []),
    operating_laws.stages_keep_their_own_log: ("service", "ExecutionLogs", "LogGroupName", "/aws/apigateway"),
    operating_laws.keys_serve_who_publishes: ("foundation", "DataKey", "KeyPolicy", {}),
    drilling_laws.drills_touch_only_what_they_name: ("service", "DrillPartition", "StopConditions", []),
    starting_laws.schedules_start_one_function_each: ("service", "SweepScheduleRole", "Policies", []),
    starting_laws.what_came_to_nothing_is_kept: ("service", "AuditEvents", "MaximumRetryAttempts", 1),
    starting_laws.queues_are_watched_and_over_tls_only: ("service", "DeadLettersAlarm", "Dimensions", []),
    starting_laws.alarms_wait_for_what_they_watch: ("service", "AuditAgeAlarm", "Period", 60),
}


@pytest.mark.parametrize("law", [law for law in LAWS if law is not laws.outputs_are_described], ids=_name)
def test_a_fault_breaks_the_law(law: Law) -> None:
    name, title, property_name, fault = FAULTS[law]
    chosen = variant("default")
    mutant = copy.deepcopy(chosen.templates[name])
    mutant["Resources"][title]["Properties"][property_name] = fault
    assert list(law(name, mutant, chosen))


def test_an_output_without_a_description_breaks_the_law() -> None:
    chosen = variant("default")
    mutant = copy.deepcopy(chosen.templates["root"])
    del mutant["Outputs"]["ApiUrl"]["Description"]
    assert list(laws.outputs_are_described("root", mutant, chosen))


def test_every_reason_for_a_wildcard_is_needed() -> None:
    sids = {
        statement.get("Sid")
        for chosen in ("default", "test-environment")
        for template in variant(chosen).templates.values()
        for _, statement in statements(template)
    }
    assert WILDCARDS.keys() <= sids


def _without(template: Template, title: str) -> Template:
    left = {name: resource for name, resource in template["Resources"].items() if name != title}
    return {**template, "Resources": left}


def _noticed(name: str, template: Template, chosen: Variant) -> bool:
    return any(_broken(name, template, chosen))


def _broken(name: str, template: Template, chosen: Variant) -> Iterator[str]:
    for law in sorted(LAWS, key=lambda law: law in _NOT_OF_THE_ABSENT):
        yield from law(name, template, chosen)
