"""What makes a region the active one: its functions, and what each of them may do."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from generator.render import OPENAPI
from handlers.rehearsal import EVENT
from templates import service
from templates.config import Settings
from tests.unit.templates.rendering import settings

_CONTROL = {"dynamodb:GetItem", "dynamodb:PutItem"}
_LEDGER = {"secretsmanager:GetSecretValue", "dynamodb:Query", "dynamodb:BatchGetItem"}
_PROMOTION = {"rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster"}


def _resources(chosen: Settings) -> dict[str, Any]:
    rendered = service.render(chosen, json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    return dict(rendered["Resources"])


@pytest.fixture
def takeover(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Made as Lambda makes it, with a namespace: it is the same module for every test that comes later."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "takeover")
    import handlers.takeover

    return handlers.takeover


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return _resources(settings())


def _statements(resources: dict[str, Any], title: str) -> list[dict[str, Any]]:
    (policy,) = resources[f"{title}Role"]["Properties"]["Policies"]
    return [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]


def _calls(resources: dict[str, Any], title: str) -> set[str]:
    """Of the services that its code asks; the rest is what every function needs."""
    actions = {action for statement in _statements(resources, title) for action in statement["Action"]}
    return {action for action in actions if action.startswith(("dynamodb:", "rds:", "secretsmanager:"))}


@pytest.mark.parametrize("title", ["Fence", "Recover", "Finish"])
def test_they_run_the_code_that_is_there(resources: dict[str, Any], takeover: Any, title: str) -> None:
    module, _, name = resources[f"{title}Function"]["Properties"]["Handler"].rpartition(".")
    assert module == takeover.__name__
    assert callable(getattr(takeover, name))


def test_accepting_payments_takes_nothing_but_the_control_record(resources: dict[str, Any]) -> None:
    assert _calls(resources, "Fence") == _CONTROL


def test_recovering_promotes_nothing(resources: dict[str, Any]) -> None:
    assert _calls(resources, "Recover") == {*_CONTROL, *_LEDGER, "rds:DescribeGlobalClusters"}


def test_finishing_may_promote_the_one_global_database(resources: dict[str, Any]) -> None:
    assert _calls(resources, "Finish") == {*_CONTROL, *_LEDGER, *_PROMOTION, "rds:DescribeGlobalClusters"}
    (promotion,) = [s for s in _statements(resources, "Finish") if s["Sid"] == "Promote"]
    arns = [resource["Fn::Sub"] for resource in promotion["Resource"]]
    assert [arn.partition(":rds:")[2] for arn in arns] == [
        ":${AWS::AccountId}:global-cluster:payments-ledger-prod",
        "us-east-1:${AWS::AccountId}:cluster:payments-ledger-primary-prod",
        "us-east-2:${AWS::AccountId}:cluster:payments-ledger-secondary-prod",
    ]


def test_only_finishing_runs_by_the_clock_and_the_others_are_rehearsed(resources: dict[str, Any]) -> None:
    def started(title: str) -> tuple[str, Any]:
        schedule = resources[f"{title}Schedule"]["Properties"]
        return schedule["ScheduleExpression"], json.loads(schedule["Target"]["Input"])

    assert started("Finish") == ("rate(1 minute)", {})
    for title in ("Fence", "Recover", "Decide"):
        assert started(title) == ("rate(360 minutes)", EVENT)


def test_no_other_schedule_says_that_it_is_a_rehearsal(resources: dict[str, Any]) -> None:
    rehearsed = {
        title
        for title, resource in resources.items()
        if resource["Type"] == "AWS::Scheduler::Schedule"
        and "rehears" in resource["Properties"]["Target"]["Input"]
    }
    assert rehearsed == {"FenceSchedule", "RecoverSchedule", "DecideSchedule"}


def test_a_rehearsal_that_does_not_come_is_noticed_within_a_day(resources: dict[str, Any]) -> None:
    for title in ("Fence", "Recover", "Decide"):
        alarm = resources[f"{title}FunctionIdleAlarm"]["Properties"]
        assert alarm["Period"] * alarm["EvaluationPeriods"] == 12 * 3600
        assert alarm["TreatMissingData"] == "breaching"


def test_without_an_automatic_decision_nobody_rehearses_one() -> None:
    failover = replace(settings().failover, automatic=False)
    made = _resources(replace(settings(), failover=failover))
    assert not [title for title in made if title.startswith("Decide")]


@pytest.mark.parametrize(("automatic", "without_loss_only"), [(True, "false"), (False, "true")])
def test_what_may_be_lost_is_peoples_decision_unless_they_said_so(
    automatic: bool, without_loss_only: str
) -> None:
    failover = replace(settings().failover, automatic=automatic)
    resources = _resources(replace(settings(), failover=failover))
    variables = resources["FinishFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["WITHOUT_LOSS_ONLY"] == without_loss_only


def test_a_run_ends_itself_and_reports_before_it_is_cut_off(resources: dict[str, Any], takeover: Any) -> None:
    for title, works in (
        ("Fence", "_FENCE_SECONDS"),
        ("Recover", "_RECOVER_SECONDS"),
        ("Finish", "_RECOVER_SECONDS"),
    ):
        timeout = resources[f"{title}Function"]["Properties"]["Timeout"]
        slow = resources[f"{title}FunctionDurationAlarm"]["Properties"]["Threshold"]
        assert 1000 * getattr(takeover, works) <= slow < 1000 * timeout
