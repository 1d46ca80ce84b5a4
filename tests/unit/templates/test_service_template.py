"""What a release consists of in one region, and what its functions may do."""

import json
from typing import Any

import pytest

from generator.render import OPENAPI
from handlers.forwarding import FUNCTION_SECONDS
from handlers.runs import WORKS_SECONDS, sweeps_seconds
from templates import service, workers
from tests.unit.templates.rendering import settings


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    rendered = service.render(settings(), json.loads(OPENAPI.read_text("utf-8")), "pass").to_dict()
    return dict(rendered["Resources"])


def _granted(role: dict[str, Any]) -> dict[str, list[str]]:
    (policy,) = role["Properties"]["Policies"]
    return {s["Sid"]: s["Action"] for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"}


def test_the_api_may_do_exactly_what_it_calls(resources: dict[str, Any]) -> None:
    granted = _granted(resources["ApiRole"])
    assert granted["UseSessions"] == ["dynamodb:GetItem", "dynamodb:PutItem"]
    assert granted["UseJournal"] == ["dynamodb:GetItem", "dynamodb:PutItem"]
    assert granted["ReadControl"] == ["dynamodb:GetItem"]
    assert granted["ReadDirectory"] == ["dynamodb:BatchGetItem", "dynamodb:GetItem"]
    assert granted["ReadSecrets"] == ["secretsmanager:GetSecretValue"]


def test_only_the_migration_reads_the_master_credentials(resources: dict[str, Any]) -> None:
    for role, readable in {"ApiRole": False, "MigrateRole": True}.items():
        assert ("database/master-??????" in json.dumps(resources[role])) is readable


def test_only_the_migration_asks_who_the_writer_is_and_of_one_global_cluster(
    resources: dict[str, Any],
) -> None:
    described = [
        statement
        for role in ("ApiRole", "MigrateRole")
        for statement in resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if any(action.startswith("rds:") for action in statement["Action"])
    ]
    arn = "arn:${AWS::Partition}:rds::${AWS::AccountId}:global-cluster:payments-ledger-prod"
    assert described == [
        {
            "Sid": "DescribeGlobalCluster",
            "Effect": "Allow",
            "Action": ["rds:DescribeGlobalClusters"],
            "Resource": [{"Fn::Sub": arn}],
        }
    ]
    variables = resources["MigrateFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["GLOBAL_CLUSTER"] == "payments-ledger-prod"
    assert variables["DATABASE_CLUSTER"] == {
        "Fn::If": ["IsPrimary", "payments-ledger-primary-prod", "payments-ledger-secondary-prod"]
    }


def test_code_never_uses_the_permissions_that_attach_it_to_the_network(resources: dict[str, Any]) -> None:
    for role in ("ApiRole", "MigrateRole"):
        (policy,) = resources[role]["Properties"]["Policies"]
        by_sid = {s["Sid"]: s for s in policy["PolicyDocument"]["Statement"]}
        assert by_sid["RefuseNetworkToCode"]["Effect"] == "Deny"
        assert by_sid["RefuseNetworkToCode"]["Action"] == by_sid["AttachToNetwork"]["Action"]


def test_a_release_migrates_before_its_code_runs(resources: dict[str, Any]) -> None:
    assert resources["ApiFunction"]["DependsOn"] == ["Schema"]
    assert resources["Schema"]["Properties"]["Release"] == "functions/migrations-UNPACKAGED.zip"
    assert (
        resources["MigrateFunction"]["Properties"]["Code"]["S3Key"] == "functions/migrations-UNPACKAGED.zip"
    )


def test_the_api_is_told_where_everything_is(resources: dict[str, Any]) -> None:
    variables = resources["ApiFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["JOURNAL_TABLE"] == "payments-journal-prod"
    assert variables["DATABASE_SECRET"] == "payments/prod/database/application"
    assert variables["DATABASE_HOST"] == {"Fn::ImportValue": "payments-prod-Database-ClusterEndpoint"}


def test_every_private_subnet_has_a_way_to_the_other_region(resources: dict[str, Any]) -> None:
    for zone in "ABC":
        route = resources[f"PeeringRoute{zone}"]["Properties"]
        assert route["VpcPeeringConnectionId"] == {"Ref": "PeeringConnectionId"}
        assert route["RouteTableId"] == {"Fn::ImportValue": f"payments-prod-Network-PrivateRouteTable{zone}"}


def test_the_api_knows_how_long_it_may_take(resources: dict[str, Any]) -> None:
    """It gives up waiting for the other region in time to say so."""
    assert resources["ApiFunction"]["Properties"]["Timeout"] == FUNCTION_SECONDS


@pytest.mark.parametrize("worker", [*WORKS_SECONDS, "sweep"])
def test_a_worker_that_works_as_long_as_it_may_is_neither_cut_off_nor_called_slow(worker: str) -> None:
    """A page, a batch or a segment more, and the report, take seconds, even where answers are slow."""
    timers = {timer.plan.title.lower(): timer for timer in workers.timers(settings())}
    timer, plan = timers[worker], timers[worker].plan
    told = {name: str(value) for name, value in plan.environment.items()}
    works = sweeps_seconds(told) if worker == "sweep" else WORKS_SECONDS[worker]
    assert works < 60 * timer.minutes  # the next one finds it gone
    assert plan.slow_seconds >= works + 10
    assert plan.timeout_seconds >= works + 30
