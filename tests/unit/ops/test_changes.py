"""What a changed template does to a stack, and to what is kept in it."""

from copy import deepcopy
from typing import Any

import pytest

from ops.changes import Action, Change, Deployed, Effect, compared, outputs_changed

CLUSTER = {
    "Type": "AWS::RDS::DBCluster",
    "DeletionPolicy": "RetainExceptOnCreate",
    "UpdateReplacePolicy": "Retain",
    "Properties": {
        "DBClusterIdentifier": "ledger",
        "EngineVersion": "14.6",
        "BackupRetentionPeriod": 35,
        "DBSubnetGroupName": {"Ref": "Subnets"},
    },
}
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Cluster": CLUSTER,
        "Subnets": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": {"DBSubnetGroupName": "s"}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}},
    },
    "Outputs": {"Host": {"Description": "x", "Value": "y"}},
}


def changed(*path: str, to: object) -> tuple[Change, ...]:
    """The template with another value at the path; None takes it away."""
    then = deepcopy(TEMPLATE)
    *way, last = path
    place = then["Resources"]
    for step in way:
        place = place[step]
    if to is None:
        del place[last]
    else:
        place[last] = to
    return compared(Deployed(TEMPLATE, "us-east-1", {}), Deployed(then, "us-east-1", {}))


def test_the_same_template_changes_nothing() -> None:
    assert changed("Topic", "DependsOn", to=["Logs"]) == ()


def test_what_can_be_changed_in_place_does_no_harm() -> None:
    found = changed("Cluster", "Properties", "BackupRetentionPeriod", to=7)
    assert found == (Change("Cluster", "AWS::RDS::DBCluster", Action.CHANGE, ("BackupRetentionPeriod",)),)


def test_an_engine_upgrade_interrupts() -> None:
    (found,) = changed("Cluster", "Properties", "EngineVersion", to="14.9")
    assert (found.action, found.effect) == (Action.CHANGE, Effect.INTERRUPTS)
    assert "does not answer for a while" in found.text


@pytest.mark.parametrize(("policy", "effect"), [("Retain", Effect.LEAVES), ("Delete", Effect.LOSES)])
def test_another_identity_replaces_what_holds_data(policy: str, effect: Effect) -> None:
    renamed = deepcopy(CLUSTER) | {"UpdateReplacePolicy": policy}
    renamed["Properties"] = {**CLUSTER["Properties"], "DBClusterIdentifier": "other"}  # type: ignore[dict-item]
    (found,) = changed("Cluster", to=renamed)
    assert (found.action, found.effect) == (Action.REPLACE, effect)


def test_what_names_a_replaced_resource_is_perhaps_replaced_too() -> None:
    cluster, subnets = changed("Subnets", "Properties", "DBSubnetGroupName", to="another")
    assert subnets.action is Action.REPLACE
    assert subnets.effect is None
    assert (cluster.action, cluster.perhaps, cluster.effect) == (Action.CHANGE, True, Effect.LEAVES)
    assert cluster.properties == ("DBSubnetGroupName",)


def test_what_is_no_longer_wanted_goes_as_its_policy_says() -> None:
    (logs,) = changed("Logs", to=None)
    (cluster,) = changed("Cluster", to=None)
    (topic,) = changed("Topic", to=None)
    assert {one.action for one in (logs, cluster, topic)} == {Action.REMOVE}
    assert (logs.effect, cluster.effect, topic.effect) == (Effect.LOSES, Effect.LEAVES, None)


def test_what_is_new_is_added() -> None:
    added = changed("Queue", to={"Type": "AWS::SQS::Queue"})
    assert added == (Change("Queue", "AWS::SQS::Queue", Action.ADD),)


def test_a_policy_is_a_change_as_well() -> None:
    (found,) = changed("Cluster", "UpdateReplacePolicy", to="Delete")
    assert (found.action, found.properties) == (Action.CHANGE, ("UpdateReplacePolicy",))


def test_a_value_from_a_parameter_counts_by_what_it_is() -> None:
    then = deepcopy(TEMPLATE) | {"Parameters": {"Name": {"Type": "String"}}}
    then["Resources"]["Topic"]["Properties"]["TopicName"] = {"Ref": "Name"}
    now = Deployed(TEMPLATE, "us-east-1", {"Name": "t"})
    assert compared(now, Deployed(then, "us-east-1", {"Name": "t"})) == ()
    assert len(compared(now, Deployed(then, "us-east-1", {"Name": "u"}))) == 1


def test_outputs_are_compared_by_name() -> None:
    then = deepcopy(TEMPLATE)
    then["Outputs"] |= {"Port": {"Value": 1}}
    assert outputs_changed(Deployed(TEMPLATE, "x", {}), Deployed(then, "x", {})) == ("Port",)
