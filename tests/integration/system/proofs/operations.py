"""What runs, what it may do and what watches it: each service says so of its own."""

import base64
import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import requests

from tests.integration.system.comparison import Seen, only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _function(function: Resource) -> Found:
    """Its code is the very zip that was built, or the very text of the template."""
    described: Found = function.aws("lambda").get_function(FunctionName=function.physical_id)["Configuration"]
    if described["State"] != "Active":
        raise LookupError(f"it is {described['State']}")

    def built(code: Any) -> str:
        if "ZipFile" in code:
            return _inline_hash(function, code["ZipFile"])
        path = code if isinstance(code, str) else code["S3Key"]
        content = Path(function.system.workspace / "dist" / path).read_bytes()
        return base64.b64encode(hashlib.sha256(content).digest()).decode()

    return described | {
        "Code": Seen(described["CodeSha256"], built),
        "KmsKeyArn": described.get("KMSKeyArn"),
    }


def _inline_hash(function: Resource, text: str) -> str:
    """The hash Lambda has, if the one file in its zip is that text."""
    code = function.aws("lambda").get_function(FunctionName=function.physical_id)["Code"]
    answer = requests.get(code["Location"], timeout=30)
    with ZipFile(BytesIO(answer.content)) as found:
        if [found.read(name).decode() for name in found.namelist()] != [text]:
            raise LookupError("its code is another text")
    return base64.b64encode(hashlib.sha256(answer.content).digest()).decode()


def _permission(permission: Resource) -> Found:
    name = permission.properties["FunctionName"]
    policy = json.loads(permission.aws("lambda").get_policy(FunctionName=name)["Policy"])
    statement = only([one for one in policy["Statement"] if one["Sid"] == permission.physical_id])
    function = statement["Resource"]  # an ARN, whichever of the two the template says
    return {
        "Action": statement["Action"],
        "FunctionName": function if name.startswith("arn:") else function.rpartition(":")[2],
        "Principal": statement["Principal"]["Service"],
        "SourceAccount": statement["Condition"].get("StringEquals", {}).get("AWS:SourceAccount"),
        "SourceArn": statement["Condition"]["ArnLike"]["AWS:SourceArn"],
    }


def _role(role: Resource) -> Found:
    iam, name = role.aws("iam"), role.physical_id
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=name, PolicyName=one) for one in names]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    found: Found = iam.get_role(RoleName=name)["Role"]
    return found | {
        "PermissionsBoundary": found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "ManagedPolicyArns": [one["PolicyArn"] for one in attached],
        "Policies": policies,
    }


def _managed_policy(policy: Resource) -> Found:
    iam, arn = policy.aws("iam"), policy.physical_id
    found: Found = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=found["DefaultVersionId"])
    return found | {
        "ManagedPolicyName": found["PolicyName"],
        "PolicyDocument": version["PolicyVersion"]["Document"],
    }


def _log_group(group: Resource) -> Found:
    groups = group.aws("logs").describe_log_groups(logGroupNamePrefix=group.physical_id)["logGroups"]
    found: Found = only([one for one in groups if one["logGroupName"] == group.physical_id])
    return {name[0].upper() + name[1:]: value for name, value in found.items()}


def _alarm(alarm: Resource) -> Found:
    answer = alarm.aws("cloudwatch").describe_alarms(AlarmNames=[alarm.physical_id])
    found: Found = only(answer["MetricAlarms"])
    return found


def _composite_alarm(alarm: Resource) -> Found:
    answer = alarm.aws("cloudwatch").describe_alarms(
        AlarmNames=[alarm.physical_id], AlarmTypes=["CompositeAlarm"]
    )
    found: Found = only(answer["CompositeAlarms"])
    return found


def _dashboard(dashboard: Resource) -> Found:
    found: Found = dashboard.aws("cloudwatch").get_dashboard(DashboardName=dashboard.physical_id)
    return found | {"DashboardBody": Seen(json.loads(found["DashboardBody"]), json.loads)}


def _topic(topic: Resource) -> Found:
    attributes: Found = topic.aws("sns").get_topic_attributes(TopicArn=topic.physical_id)["Attributes"]
    return attributes | {"TopicName": attributes["TopicArn"].rpartition(":")[2]}


def _topic_policy(policy: Resource) -> Found:
    topic = only(policy.properties["Topics"])
    attributes: Found = policy.aws("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    return {"Topics": [topic], "PolicyDocument": json.loads(attributes["Policy"])}


def _subscription(subscription: Resource) -> Found:
    topic = subscription.properties["TopicArn"]
    pages = subscription.aws("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    endpoint = subscription.properties["Endpoint"]
    found: Found = only(
        [one for page in pages for one in page["Subscriptions"] if one["Endpoint"] == endpoint]
    )
    return found


def _trail(trail: Resource) -> Found:
    cloudtrail, name = trail.aws("cloudtrail"), trail.physical_id
    found: Found = cloudtrail.get_trail(Name=name)["Trail"]
    selectors = cloudtrail.get_event_selectors(TrailName=name)
    return found | {
        "AdvancedEventSelectors": selectors["AdvancedEventSelectors"],
        "EnableLogFileValidation": found["LogFileValidationEnabled"],
        "IsLogging": cloudtrail.get_trail_status(Name=name)["IsLogging"],
        "KMSKeyId": found["KmsKeyId"],
        "TrailName": found["Name"],
    }


def _plan(plan: Resource) -> Found:
    found: Found = plan.aws("arc-region-switch").get_plan(arn=plan.physical_id)["plan"]
    words: Found = _template_words(found)
    return words


def _experiment(experiment: Resource) -> Found:
    answer = experiment.aws("fis").get_experiment_template(id=experiment.physical_id)
    found: Found = _template_words(answer["experimentTemplate"])
    return found


# What their keys are called is the template's affair.
_NAMED = {"Actions", "Parameters", "ResourceTags", "Tags", "Targets"}


def _template_words(value: Any, *, names: bool = False) -> Any:
    """A template's words begin with a capital."""
    if isinstance(value, list):
        return [_template_words(one) for one in value]
    if isinstance(value, dict):
        words = {name if names else name[0].upper() + name[1:]: one for name, one in value.items()}
        return {word: _template_words(one, names=word in _NAMED and not names) for word, one in words.items()}
    return value


PROOFS = {
    "AWS::ARCRegionSwitch::Plan": _plan,
    "AWS::CloudTrail::Trail": _trail,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::CompositeAlarm": _composite_alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::FIS::ExperimentTemplate": _experiment,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::Role": _role,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
}
