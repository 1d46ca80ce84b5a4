"""StackSets through the API and as a resource: regions in order, results, what a failure leaves."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.outages import Outages
from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    WITNESS,
    EmbeddedAws,
    deploy,
    during,
    eventually,
    outcome,
)

ADMINISTRATION, EXECUTION = "sets-administration", "sets-execution"


def role(name: str, principal: dict[str, Any], statement: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}],
            },
            "Policies": [
                {
                    "PolicyName": "work",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", **statement}],
                    },
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def administration(aws: EmbeddedAws) -> str:
    """The ARN of an administration role that may do its work."""
    account = aws.plan.account_id
    arn = f"arn:aws:iam::{account}:role/{ADMINISTRATION}"
    template = {
        "Resources": {
            "Administration": role(
                ADMINISTRATION,
                {"Service": "cloudformation.amazonaws.com"},
                {"Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{account}:role/{EXECUTION}"},
            ),
            "Execution": role(EXECUTION, {"AWS": arn}, {"Action": "*", "Resource": "*"}),
        }
    }
    assert deploy(aws, "stack-set-roles", template) == "CREATE_COMPLETE"
    return arn


@pytest.fixture(scope="module")
def wrong_roles(aws: EmbeddedAws, administration: str) -> None:
    """Roles that lack one thing each."""
    everything = {"Action": "*", "Resource": "*"}
    nothing = {"Action": "sns:ListTopics", "Resource": "*"}
    cloudformation, functions = (
        {"Service": f"{name}.amazonaws.com"} for name in ("cloudformation", "lambda")
    )
    account = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    template = {
        "Resources": {
            "SomebodyElse": role("trusts-somebody-else", functions, everything),
            "Account": role("trusts-the-account", account, everything),
            "NoGrant": role("without-grant", cloudformation, nothing),
            "NoTrust": role("not-for-cloudformation", functions, everything),
        }
    }
    assert deploy(aws, "wrong-roles", template) == "CREATE_COMPLETE"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def topic_template(prefix: str, **more: Any) -> str:
    """A topic named after the region, so that instances differ and can be made to collide."""
    return json.dumps(
        {
            "Parameters": {"Suffix": {"Type": "String", "Default": "x"}},
            "Resources": {
                "Topic": {
                    "Type": "AWS::SNS::Topic",
                    "Properties": {"TopicName": {"Fn::Sub": prefix + "-${AWS::Region}-${Suffix}"}},
                },
                **more,
            },
            "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}}},
        }
    )


def create_set(aws: EmbeddedAws, administration: str, name: str, template: str, **more: Any) -> Any:
    client = aws.client("cloudformation")
    client.create_stack_set(
        StackSetName=name,
        TemplateBody=template,
        AdministrationRoleARN=administration,
        ExecutionRoleName=EXECUTION,
        **more,
    )
    return client


def finished(client: Any, name: str, operation: str) -> dict[str, Any]:
    def ended() -> Any:
        answer = client.describe_stack_set_operation(StackSetName=name, OperationId=operation)[
            "StackSetOperation"
        ]
        return answer if answer["Status"] not in ("RUNNING", "QUEUED", "STOPPING") else None

    answer: dict[str, Any] = eventually(ended, f"operation {operation} ends")
    return answer


def results(client: Any, name: str, operation: str) -> dict[str, tuple[str, str]]:
    summaries = client.list_stack_set_operation_results(StackSetName=name, OperationId=operation)["Summaries"]
    return {item["Region"]: (item["Status"], item.get("StatusReason", "")) for item in summaries}


def test_life_of_a_set_through_the_api(aws: EmbeddedAws, administration: str) -> None:
    name, prefix, account = unique("life"), unique("topic"), aws.plan.account_id
    client = create_set(aws, administration, name, topic_template(prefix))
    with pytest.raises(client.exceptions.NameAlreadyExistsException):
        create_set(aws, administration, name, topic_template(prefix))

    operation = client.create_stack_instances(
        StackSetName=name,
        Accounts=[account],
        Regions=[HOME, PEER],
        OperationPreferences={"RegionOrder": [PEER, HOME], "RegionConcurrencyType": "SEQUENTIAL"},
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "SUCCEEDED"
    instances = {item["Region"]: item for item in client.list_stack_instances(StackSetName=name)["Summaries"]}
    assert {item["Status"] for item in instances.values()} == {"CURRENT"}
    created = {}
    for region in (HOME, PEER):
        stack_id = instances[region]["StackId"]
        stack = aws.client("cloudformation", region).describe_stacks(StackName=stack_id)["Stacks"][0]
        assert stack["StackName"].startswith(f"StackSet-{name}-")
        assert f":{region}:" in stack_id
        assert stack["Outputs"][0]["OutputValue"] == f"{prefix}-{region}-x"
        created[region] = stack["CreationTime"]
    assert created[PEER] <= created[HOME]

    operation = client.update_stack_set(
        StackSetName=name,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "Suffix", "ParameterValue": "y"}],
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "SUCCEEDED"
    operation = client.update_stack_instances(
        StackSetName=name,
        Accounts=[account],
        Regions=[PEER],
        ParameterOverrides=[{"ParameterKey": "Suffix", "ParameterValue": "z"}],
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "SUCCEEDED"
    topics = [item["TopicArn"] for item in aws.client("sns", PEER).list_topics()["Topics"]]
    assert any(arn.endswith(f"{prefix}-{PEER}-z") for arn in topics)
    described = client.describe_stack_instance(
        StackSetName=name, StackInstanceAccount=account, StackInstanceRegion=PEER
    )["StackInstance"]
    assert described["ParameterOverrides"] == [{"ParameterKey": "Suffix", "ParameterValue": "z"}]

    with pytest.raises(client.exceptions.StackSetNotEmptyException):
        client.delete_stack_set(StackSetName=name)
    operation = client.delete_stack_instances(
        StackSetName=name, Accounts=[account], Regions=[PEER], RetainStacks=True
    )["OperationId"]
    assert finished(client, name, operation)["RetainStacks"] is True
    retained = aws.client("cloudformation", PEER).describe_stacks(StackName=instances[PEER]["StackId"])
    assert retained["Stacks"][0]["StackStatus"] == "UPDATE_COMPLETE"
    operation = client.delete_stack_instances(
        StackSetName=name, Accounts=[account], Regions=[HOME], RetainStacks=False
    )["OperationId"]
    finished(client, name, operation)
    assert client.list_stack_instances(StackSetName=name)["Summaries"] == []
    client.delete_stack_set(StackSetName=name)
    with pytest.raises(client.exceptions.StackSetNotFoundException):
        client.describe_stack_set(StackSetName=name)


def test_a_failure_in_the_first_region_stops_a_sequential_rollout(
    aws: EmbeddedAws, administration: str
) -> None:
    name = unique("stops")
    bad = {"Bad": {"Type": "AWS::SNS::Topic", "Properties": {"Nonsense": "1"}}}
    client = create_set(aws, administration, name, topic_template(unique("topic"), **bad))
    operation = client.create_stack_instances(
        StackSetName=name, Accounts=[aws.plan.account_id], Regions=[PEER, HOME]
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "FAILED"
    outcome_by_region = results(client, name, operation)
    assert outcome_by_region[PEER][0] == "FAILED"
    assert "ResourceLogicalId:Bad" in outcome_by_region[PEER][1]
    assert "extraneous key [Nonsense] is not permitted" in outcome_by_region[PEER][1]
    assert outcome_by_region[HOME] == ("CANCELLED", "Cancelled since failure tolerance has exceeded")
    statuses = {i["Region"]: i["Status"] for i in client.list_stack_instances(StackSetName=name)["Summaries"]}
    assert statuses == {PEER: "OUTDATED", HOME: "OUTDATED"}


def test_parallel_regions_do_not_stop_one_another(aws: EmbeddedAws, administration: str) -> None:
    name = unique("parallel")
    only_home = {
        "Bad": {
            "Type": "AWS::SNS::Topic",
            "Condition": "AtHome",
            "Properties": {"Nonsense": "1"},
        }
    }
    template = json.loads(topic_template(unique("topic"), **only_home))
    template["Conditions"] = {"AtHome": {"Fn::Equals": [{"Ref": "AWS::Region"}, HOME]}}
    client = create_set(aws, administration, name, json.dumps(template))
    operation = client.create_stack_instances(
        StackSetName=name,
        Accounts=[aws.plan.account_id],
        Regions=[HOME, PEER],
        OperationPreferences={"RegionConcurrencyType": "PARALLEL"},
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "FAILED"
    assert {region: status for region, (status, _) in results(client, name, operation).items()} == {
        HOME: "FAILED",
        PEER: "SUCCEEDED",
    }


def test_tolerated_failures_let_the_rollout_go_on(aws: EmbeddedAws, administration: str) -> None:
    name = unique("tolerant")
    bad = {"Bad": {"Type": "AWS::SNS::Topic", "Properties": {"Nonsense": "1"}}}
    client = create_set(aws, administration, name, topic_template(unique("topic"), **bad))
    operation = client.create_stack_instances(
        StackSetName=name,
        Accounts=[aws.plan.account_id],
        Regions=[HOME, PEER],
        OperationPreferences={"FailureToleranceCount": 1},
    )["OperationId"]
    assert finished(client, name, operation)["Status"] == "SUCCEEDED"
    assert {status for status, _ in results(client, name, operation).values()} == {"FAILED"}


@pytest.mark.parametrize(
    ("administration_name", "execution_name"),
    [
        (ADMINISTRATION, "no-such-role"),
        ("no-such-role", EXECUTION),
        (ADMINISTRATION, "trusts-somebody-else"),
        ("without-grant", "trusts-the-account"),
        ("not-for-cloudformation", EXECUTION),
    ],
)
def test_roles_must_exist_and_trust_each_other(
    aws: EmbeddedAws, wrong_roles: None, administration_name: str, execution_name: str
) -> None:
    name, account = unique("roles"), aws.plan.account_id
    client = aws.client("cloudformation")
    client.create_stack_set(
        StackSetName=name,
        TemplateBody=topic_template(unique("topic")),
        AdministrationRoleARN=f"arn:aws:iam::{account}:role/{administration_name}",
        ExecutionRoleName=execution_name,
    )
    operation = client.create_stack_instances(StackSetName=name, Accounts=[account], Regions=[HOME])[
        "OperationId"
    ]
    assert finished(client, name, operation)["Status"] == "FAILED"
    assert results(client, name, operation)[HOME][1] == (
        f"Account {account} should have '{execution_name}' role with trust relationship to "
        f"Role '{administration_name}'."
    )


def resource_template(
    administration: str, name: str, template: str, regions: list[str], **more: Any
) -> dict[str, Any]:
    return {
        "Resources": {
            "Set": {
                "Type": "AWS::CloudFormation::StackSet",
                "Properties": {
                    "StackSetName": name,
                    "PermissionModel": "SELF_MANAGED",
                    "AdministrationRoleARN": administration,
                    "ExecutionRoleName": EXECUTION,
                    "TemplateBody": template,
                    "ManagedExecution": {"Active": True},
                    "OperationPreferences": {"RegionOrder": regions, "FailureToleranceCount": 0},
                    "StackInstancesGroup": [
                        {"DeploymentTargets": {"Accounts": [{"Ref": "AWS::AccountId"}]}, "Regions": regions}
                    ],
                    **more,
                },
            }
        },
        "Outputs": {"Id": {"Value": {"Ref": "Set"}}},
    }


def test_life_of_the_resource(aws: EmbeddedAws, administration: str) -> None:
    name, prefix, stack = unique("resource"), unique("topic"), unique("holder")
    client = aws.client("cloudformation")
    first = resource_template(administration, name, topic_template(prefix), [HOME, PEER])
    assert deploy(aws, stack, first) == "CREATE_COMPLETE"
    assert client.describe_stack_set(StackSetName=name)["StackSet"]["ManagedExecution"] == {"Active": True}
    assert {i["Region"] for i in client.list_stack_instances(StackSetName=name)["Summaries"]} == {HOME, PEER}
    operations = len(client.list_stack_set_operations(StackSetName=name)["Summaries"])
    with pytest.raises(ClientError, match="No updates are to be performed"):
        client.update_stack(StackName=stack, TemplateBody=json.dumps(first))

    moved = resource_template(
        administration,
        name,
        topic_template(prefix),
        [PEER, WITNESS],
        Parameters=[{"ParameterKey": "Suffix", "ParameterValue": "w"}],
    )
    assert deploy(aws, stack, moved) == "UPDATE_COMPLETE"
    actions = [o["Action"] for o in client.list_stack_set_operations(StackSetName=name)["Summaries"]]
    assert actions[: len(actions) - operations] == ["CREATE", "DELETE", "UPDATE"]
    topics = aws.client("sns", WITNESS).list_topics()["Topics"]
    assert any(item["TopicArn"].endswith(f"{prefix}-{WITNESS}-w") for item in topics)

    client.delete_stack(StackName=stack)
    assert outcome(aws, stack) == "DELETE_COMPLETE"
    with pytest.raises(client.exceptions.StackSetNotFoundException):
        client.describe_stack_set(StackSetName=name)


def test_an_update_that_changes_one_stack_leaves_the_unchanged_ones_alone(
    aws: EmbeddedAws, administration: str
) -> None:
    name, prefix, stack = unique("quiet"), unique("topic"), unique("holder")
    assert deploy(aws, stack, resource_template(administration, name, topic_template(prefix), [HOME, PEER]))
    stacks = {
        item["Region"]: item["StackId"]
        for item in aws.client("cloudformation").list_stack_instances(StackSetName=name)["Summaries"]
    }
    described = resource_template(
        administration, name, topic_template(prefix), [HOME, PEER], Description="now described"
    )
    assert deploy(aws, stack, described) == "UPDATE_COMPLETE"
    for region, stack_id in stacks.items():
        events = aws.client("cloudformation", region).describe_stack_events(StackName=stack_id)["StackEvents"]
        assert not [event for event in events if event["ResourceStatus"].startswith("UPDATE")]


def test_a_failed_creation_names_region_stack_and_resource_and_leaves_nothing(
    aws: EmbeddedAws, administration: str
) -> None:
    name, stack = unique("fails"), unique("holder")
    bad = {"Bad": {"Type": "AWS::SNS::Topic", "Properties": {"Nonsense": "1"}}}
    broken = resource_template(administration, name, topic_template(unique("topic"), **bad), [PEER, HOME])
    assert deploy(aws, stack, broken) == "ROLLBACK_COMPLETE"
    client = aws.client("cloudformation")
    events = client.describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [e["ResourceStatusReason"] for e in events if e["ResourceStatus"] == "CREATE_FAILED"]
    assert any(
        f"region {PEER}, stack StackSet-{name}-" in reason and "ResourceLogicalId:Bad" in reason
        for reason in reasons
    )
    with pytest.raises(client.exceptions.StackSetNotFoundException):
        client.describe_stack_set(StackSetName=name)


def test_a_failed_update_goes_back(aws: EmbeddedAws, administration: str) -> None:
    name, prefix, stack = unique("back"), unique("topic"), unique("holder")
    good = resource_template(administration, name, topic_template(prefix), [HOME, PEER])
    assert deploy(aws, stack, good) == "CREATE_COMPLETE"
    bad = {"Bad": {"Type": "AWS::SNS::Topic", "Properties": {"Nonsense": "1"}}}
    broken = resource_template(administration, name, topic_template(prefix, **bad), [HOME, PEER])
    assert deploy(aws, stack, broken) == "UPDATE_ROLLBACK_COMPLETE"
    client = aws.client("cloudformation")
    instances = client.list_stack_instances(StackSetName=name)["Summaries"]
    assert {instance["Status"] for instance in instances} == {"CURRENT"}
    assert "Bad" not in client.describe_stack_set(StackSetName=name)["StackSet"]["TemplateBody"]


def test_an_update_reports_only_what_it_touched(aws: EmbeddedAws) -> None:
    stack = unique("quiet")

    def topics(**display_names: str) -> dict[str, Any]:
        return {
            "Resources": {
                title: {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": name}}
                for title, name in display_names.items()
            }
        }

    assert deploy(aws, stack, topics(Same="same", Changed="before")) == "CREATE_COMPLETE"
    client = aws.client("cloudformation")
    before = len(client.describe_stack_events(StackName=stack)["StackEvents"])
    assert deploy(aws, stack, topics(Same="same", Changed="after", New="new")) == "UPDATE_COMPLETE"
    fresh = client.describe_stack_events(StackName=stack)["StackEvents"][:-before]
    assert [(e["LogicalResourceId"], e["ResourceStatus"]) for e in reversed(fresh)][1:-1] == [
        ("Changed", "UPDATE_IN_PROGRESS"),
        ("Changed", "UPDATE_COMPLETE"),
        ("New", "CREATE_IN_PROGRESS"),
        ("New", "CREATE_COMPLETE"),
    ]
    resources = client.describe_stack_resources(StackName=stack)["StackResources"]
    assert {item["LogicalResourceId"]: item["ResourceStatus"] for item in resources} == {
        "Same": "CREATE_COMPLETE",
        "Changed": "UPDATE_COMPLETE",
        "New": "CREATE_COMPLETE",
    }


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"PermissionModel": "SERVICE_MANAGED"}, "organizations access"),
        ({"AutoDeployment": {"Enabled": True}}, "AutoDeployment"),
        ({"TemplateURL": "https://s3.amazonaws.com/bucket/key"}, "2 subschemas matched instead of one"),
        ({"PermissionModel": "MINE"}, "#/PermissionModel: MINE is not a valid enum value"),
    ],
)
def test_what_aws_refuses_is_refused(
    aws: EmbeddedAws, administration: str, more: dict[str, Any], reason: str
) -> None:
    stack = unique("refused")
    template = resource_template(administration, unique("set"), topic_template("t"), [HOME], **more)
    assert deploy(aws, stack, template) == "ROLLBACK_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    assert any(reason in event.get("ResourceStatusReason", "") for event in events)


def waiting_template(prefix: str) -> str:
    """A stack that waits until somebody signals its handle."""
    template = json.loads(topic_template(prefix))
    template["Resources"]["Handle"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    template["Resources"]["Wait"] = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "30"},
    }
    return json.dumps(template)


def signal(aws: EmbeddedAws, name: str, region: str) -> None:
    client = aws.client("cloudformation", region)

    def waiting() -> Any:
        stacks = client.describe_stacks()["Stacks"]
        mine = [stack["StackId"] for stack in stacks if stack["StackName"].startswith(f"StackSet-{name}-")]
        found = client.describe_stack_resources(StackName=mine[0])["StackResources"] if mine else []
        events = client.describe_stack_events(StackName=mine[0])["StackEvents"] if mine else []
        begun = any(event["LogicalResourceId"] == "Wait" for event in events)
        return mine[0] if begun and any(item["LogicalResourceId"] == "Handle" for item in found) else None

    stack = eventually(waiting, f"the stack of {name} waits in {region}")
    client.signal_resource(StackName=stack, LogicalResourceId="Wait", UniqueId="1", Status="SUCCESS")


@pytest.mark.parametrize("managed", [False, True])
def test_a_second_operation_is_refused_or_queued(
    aws: EmbeddedAws, administration: str, managed: bool
) -> None:
    name, account = unique("queue"), aws.plan.account_id
    client = create_set(
        aws,
        administration,
        name,
        waiting_template(unique("topic")),
        ManagedExecution={"Active": managed},
    )
    first = client.create_stack_instances(StackSetName=name, Accounts=[account], Regions=[HOME])[
        "OperationId"
    ]
    eventually(
        lambda: (
            client.describe_stack_set_operation(StackSetName=name, OperationId=first)["StackSetOperation"][
                "Status"
            ]
            == "RUNNING"
        ),
        "the first operation runs",
    )
    if not managed:
        with pytest.raises(client.exceptions.OperationInProgressException):
            client.create_stack_instances(StackSetName=name, Accounts=[account], Regions=[PEER])
        signal(aws, name, HOME)
        assert finished(client, name, first)["Status"] == "SUCCEEDED"
        return
    second = client.create_stack_instances(StackSetName=name, Accounts=[account], Regions=[PEER])[
        "OperationId"
    ]
    queued = client.describe_stack_set_operation(StackSetName=name, OperationId=second)
    assert queued["StackSetOperation"]["Status"] == "QUEUED"
    signal(aws, name, HOME)
    signal(aws, name, PEER)
    assert finished(client, name, second)["Status"] == "SUCCEEDED"


def test_a_stopped_operation_finishes_its_region_and_cancels_the_rest(
    aws: EmbeddedAws, administration: str
) -> None:
    name = unique("stopped")
    client = create_set(aws, administration, name, waiting_template(unique("topic")))
    operation = client.create_stack_instances(
        StackSetName=name, Accounts=[aws.plan.account_id], Regions=[HOME, PEER]
    )["OperationId"]
    client.stop_stack_set_operation(StackSetName=name, OperationId=operation)
    eventually(lambda: results(client, name, operation)[HOME][0] != "PENDING", "the first region is decided")
    if results(client, name, operation)[HOME][0] == "RUNNING":
        signal(aws, name, HOME)
    assert finished(client, name, operation)["Status"] == "STOPPED"
    assert results(client, name, operation)[PEER] == ("CANCELLED", "Cancelled by user")


@pytest.mark.parametrize(
    "now", [Outages(down=frozenset({PEER})), Outages(cut=frozenset({PEER})), Outages(down=frozenset({HOME}))]
)
def test_no_stack_is_changed_in_a_region_that_does_not_answer(
    aws: EmbeddedAws, administration: str, now: Outages
) -> None:
    name = unique("outage")
    client = create_set(aws, administration, name, topic_template(unique("topic")))
    with during(aws, now):
        operation = client.create_stack_instances(
            StackSetName=name, Accounts=[aws.plan.account_id], Regions=[PEER]
        )["OperationId"]
        assert finished(client, name, operation)["Status"] == "FAILED"
    assert results(client, name, operation) == {PEER: ("FAILED", f"{PEER} does not answer")}
    again = client.update_stack_set(
        StackSetName=name, TemplateBody=topic_template(unique("topic")), Accounts=[], Regions=[]
    )["OperationId"]
    eventually(lambda: finished(client, name, again)["Status"] == "SUCCEEDED", "the set is in the region")
