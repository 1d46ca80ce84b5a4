"""Recovery asks nothing of a region that is gone, whichever it is: what it refers to there it needs not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.rules.surviving import NOT_NEEDED, STEPS, missing, named
from tests.rules.variants import SETTINGS, Variant, variant


def dead_ones(chosen: Variant) -> tuple[str, str]:
    return chosen.settings.regions.primary, chosen.settings.regions.secondary


@pytest.mark.parametrize("name", SETTINGS)
def test_no_reference_to_a_dead_region_is_needed(name: str) -> None:
    chosen = variant(name)
    for dead in dead_ones(chosen):
        assert [reference for reference in named(chosen, dead) if not reference.reasons] == []


@pytest.mark.parametrize("name", SETTINGS)
def test_what_recovery_asks_for_by_name_is_in_either_region(name: str) -> None:
    chosen = variant(name)
    for dead in dead_ones(chosen):
        assert list(missing(chosen, dead)) == []


def test_every_step_is_looked_at() -> None:
    service = variant("default").templates["service"]["Resources"]
    assert [step for step in STEPS if f"{step}Function" not in service] == []


def test_every_reason_is_needed() -> None:
    """Of each place that is let pass there is one, and no two let the same place pass."""
    chosen = variant("default")
    found = [reference.reasons for dead in dead_ones(chosen) for reference in named(chosen, dead)]
    assert {len(reasons) for reasons in found} == {1}
    assert {reason for reasons in found for reason in reasons} == NOT_NEEDED.keys()


def variables(title: str, **added: str) -> Callable[[dict[str, Any]], None]:
    def change(templates: dict[str, Any]) -> None:
        templates["service"]["Resources"][title]["Properties"]["Environment"]["Variables"].update(added)

    return change


def set_property(name: str, title: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(templates: dict[str, Any]) -> None:
        templates[name]["Resources"][title]["Properties"][key] = value

    return change


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        (
            variables("RecoverFunction", ENDPOINT="https://rds.us-east-1.amazonaws.com"),
            "service.RecoverFunction.Environment.Variables.ENDPOINT",
        ),
        (variables("FenceFunction", CONTROL_REGION="us-east-1"), "service.FenceFunction.Environment"),
        (
            variables("SweepFunction", HOST="primary.payments.example.com"),
            "service.SweepFunction.Environment",
        ),
        # Not a function, but one of them leads there: by the same template, by another, by being there.
        (
            set_property("service", "AlertTopic", "KmsMasterKeyId", "alias/payments-data-primary-prod"),
            "service.AlertTopic.KmsMasterKeyId",
        ),
        (
            set_property("data", "Cluster", "KmsKeyId", "arn:aws:kms:us-east-1:123456789012:key/1"),
            "data.Cluster.KmsKeyId",
        ),
        (
            set_property("foundation", "DynamoDbEndpoint", "ServiceName", "com.amazonaws.us-east-1.dynamodb"),
            "foundation.DynamoDbEndpoint.ServiceName",
        ),
        (
            set_property("service", "FailoverRecord", "Name", "primary.payments.example.com"),
            "service.FailoverRecord.Name",
        ),
    ],
)
def test_a_reference_that_is_needed_is_named(fault: Callable[[dict[str, Any]], None], where: str) -> None:
    mutant = _mutant(fault)
    needed = [reference.where for reference in named(mutant, "us-east-1") if not reference.reasons]
    assert len(needed) == 1
    assert needed[0].startswith(where)


def only_here(templates: dict[str, Any]) -> None:
    del templates["root"]["Resources"]["ControlTable"]["Properties"]["Replicas"][1]


def no_replica(templates: dict[str, Any]) -> None:
    templates["root"]["Resources"]["ApplicationSecret"]["Properties"]["ReplicaRegions"] = []


def one_way(templates: dict[str, Any]) -> None:
    workflows = templates["root"]["Resources"]["FailoverPlan"]["Properties"]["Workflows"]
    workflows[:] = [found for found in workflows if found["WorkflowTargetRegion"] == "us-east-1"]


def one_function(templates: dict[str, Any]) -> None:
    for workflow in templates["root"]["Resources"]["FailoverPlan"]["Properties"]["Workflows"]:
        block = workflow["Steps"][0]["ExecutionBlockConfiguration"]["CustomActionLambdaConfig"]
        del block["Lambdas"][1]


def run_where_it_was(templates: dict[str, Any]) -> None:
    for workflow in templates["root"]["Resources"]["FailoverPlan"]["Properties"]["Workflows"]:
        block = workflow["Steps"][2]["ExecutionBlockConfiguration"]["CustomActionLambdaConfig"]
        block["RegionToRun"] = "deactivatingRegion"


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (only_here, "asks for payments-control-prod, which us-east-2 does not have"),
        (no_replica, "asks for payments/prod/database/application, which us-east-2 does not have"),
        (one_way, "no plan activates us-east-2"),
        (one_function, "step fence has nothing to work with in us-east-2"),
        (run_where_it_was, "step recover runs in deactivatingRegion"),
    ],
)
def test_what_only_the_primary_has_is_named(fault: Callable[[dict[str, Any]], None], complaint: str) -> None:
    found = list(missing(_mutant(fault), "us-east-1"))
    assert found
    assert all(complaint in sentence for sentence in found)


def _mutant(fault: Callable[[dict[str, Any]], None]) -> Variant:
    chosen = variant("default")
    templates = copy.deepcopy(dict(chosen.templates))
    fault(templates)
    return Variant(chosen.settings, templates)
