"""What speaks against a failover; nothing is asked of anybody here."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from failover.control import Phase
from failover.planner import Unknown
from failover.writer import Change
from ops.directory import Rejected
from ops.observation import OpenEntries
from ops.readiness import document, named, report, standby, text
from ops.readiness.check import Answer
from ops.readiness.facts import (
    QUESTIONS,
    Evaluation,
    HostName,
    LogCopies,
    Peering,
    Record,
    Secret,
    Seen,
)
from ops.readiness.questions import TABLES, USERS
from templates import credentials, tables
from tests.unit.ops import observations, readiness_facts
from tests.unit.ops.observations import AT, HERE, LEDGER, RECORD, SILENT, THERE
from tests.unit.ops.readiness_facts import (
    COMPARISON,
    NAMES,
    PRIMARY,
    READY,
    RECORDS,
    SECONDARY,
    SETTINGS,
    WITNESS,
    WRITER,
    dead,
    here,
    there,
)

DOCUMENTED = Path(__file__).parents[3] / "docs" / "operations.md"
CLUSTER: Any = SECONDARY.cluster
FUNCTIONS: Any = SECONDARY.functions
HOSTS: Any = SECONDARY.hosts
QUOTAS: Any = SECONDARY.quotas
TABLE: Any = SECONDARY.tables
COPY = COMPARISON.ledgers[THERE]


def status(observation: Any) -> Seen:
    return replace(READY, status=observation)


def functions(name: str, **changes: Any) -> Seen:
    return here(functions={**FUNCTIONS, name: replace(FUNCTIONS[name], **changes)})


def hosts(**changes: Any) -> Seen:
    return here(hosts={**HOSTS, NAMES.domain: replace(HOSTS[NAMES.domain], **changes)})


def certificate(**changes: Any) -> Seen:
    host: HostName = HOSTS[NAMES.domain]
    return hosts(certificate=replace(host.certificate, **changes))


def table(name: str, **changes: Any) -> Seen:
    return here(tables={**TABLE, name: replace(TABLE[name], **changes)})


def compared(**changes: Any) -> Seen:
    """Both regions' functions see the same."""
    found = replace(COMPARISON, ledgers={HERE: WRITER, THERE: replace(WRITER, **{"copy": True, **changes})})
    return replace(READY, here=replace(SECONDARY, comparison=found), there=replace(PRIMARY, comparison=found))


def records(**changes: Any) -> Seen:
    return replace(READY, records=replace(RECORDS, **changes))


def test_of_two_healthy_regions_a_failover_would_succeed() -> None:
    found = report(READY)
    assert found.ready
    assert {check.answer for check in found.checks} == {Answer.YES}
    assert not any(check.todo for check in found.checks)
    assert text(found).splitlines()[-1] == f"a failover to {THERE} would succeed now"


def test_the_other_way_round_as_well() -> None:
    record = replace(RECORD, active=THERE)
    members = tuple(replace(member, writer=not member.writer) for member in LEDGER.members)
    observation = observations.both(control=record, ledger=replace(LEDGER, members=members))
    first, second = observation.regions
    turned = (replace(first, health=503, lag=8.0), replace(second, health=200, lag=None))
    found = replace(COMPARISON, ledgers={HERE: replace(WRITER, copy=True), THERE: WRITER})
    seen = replace(
        READY,
        status=replace(observation, regions=turned),
        here=replace(PRIMARY, comparison=found),
        there=replace(SECONDARY, comparison=found),
    )
    assert report(seen).ready, text(report(seen))


NO = [
    (status(observations.both(control=replace(RECORD, active=THERE))), "control record", "is active already"),
    (status(observations.both(control=replace(RECORD, active="eu-west-1"))), "control record", "neither"),
    (status(observations.both(control=replace(RECORD, phase=Phase.RECOVERING))), "control record", "epoch 3"),
    (status(observations.secondary(health=500)), "health", "/health says 500, not 503"),
    (status(observations.primary(health=503)), "health", "/health says 503, not 200"),
    (status(observations.both(ledger=replace(LEDGER, members=LEDGER.members[:1]))), "ledger", "not a member"),
    (
        status(
            observations.both(
                ledger=replace(
                    LEDGER, members=(LEDGER.members[0], replace(LEDGER.members[1], connected=False))
                )
            )
        ),
        "ledger",
        "is not attached",
    ),
    (
        status(
            observations.both(
                ledger=replace(LEDGER, change=Change("switching-over", THERE, loses_data=False))
            )
        ),
        "ledger",
        "changes over",
    ),
    (status(observations.both(ledger=replace(LEDGER, state="modifying"))), "ledger", "is modifying"),
    (status(observations.secondary(lag=5001.0)), "lag", "5001 ms behind"),
    (
        status(observations.both(open=OpenEntries(7, at_least=False, oldest=AT - timedelta(minutes=11)))),
        "journal",
        "the oldest for 11 minutes",
    ),
    (status(observations.secondary(alarms=("payments-mistakes",))), "alarms", "payments-mistakes rings"),
    (compared(digest="other"), "ledgers", "the newest 10000 payments differ"),
    (compared(payments=9_999), "ledgers", "differ from the copy's 9999"),
    (compared(epoch=2), "ledgers", "the fence is 3 at the writer and 2"),
    (compared(copy=False), "ledgers", "is no copy"),
    (compared(applied=()), "migrations", "the ledger lacks 0001.ledger"),
    (here(cluster=replace(CLUSTER, state="modifying")), "capacity", "its cluster is modifying"),
    (here(cluster=replace(CLUSTER, instances=CLUSTER.instances[:1])), "capacity", "1 instances, and 2"),
    (here(cluster=replace(CLUSTER, capacity=(0.5, 16.0))), "capacity", "0.5 to 16, and 2 to 16"),
    (here(cluster=replace(CLUSTER, version="15.10")), "capacity", "engine 15.10, and 14.6"),
    (
        here(cluster=replace(CLUSTER, instances=tuple(replace(i, kind="db.t4g") for i in CLUSTER.instances))),
        "capacity",
        "instances of db.t4g, not db.serverless",
    ),
    (
        here(
            cluster=replace(CLUSTER, instances=tuple(replace(i, state="failed") for i in CLUSTER.instances))
        ),
        "capacity",
        "payments-ledger-1-secondary-prod is failed",
    ),
    (here(quotas=replace(QUOTAS, concurrency=10)), "quotas", "10 functions at a time, and 1000"),
    (here(quotas=replace(QUOTAS, unreserved=900)), "quotas", "900 of them not reserved"),
    (here(quotas=replace(QUOTAS, rate=100.0)), "quotas", "100 requests to API Gateway"),
    (functions("fence", state="Inactive"), "functions", "function fence is Inactive"),
    (functions("api", reserved=0), "functions", "it is switched off"),
    (
        here(functions={name: FUNCTIONS[name] for name in ("api", "recover")}),
        "functions",
        "there is no function fence",
    ),
    (functions("api", code="new"), "code", "other code in api"),
    (there(functions={"api": FUNCTIONS["api"]}), "code", "function fence is in one region only"),
    (functions("api", configuration={"Runtime": '"python3.13"'}), "configuration", "api differs in Runtime"),
    (functions("api", variables={}), "configuration", "DATABASE_HOST, GLOBAL_CLUSTER, PEER_FUNCTION"),
    (
        functions("api", variables={**FUNCTIONS["api"].variables, "PEER_REGION": WITNESS}),
        "configuration",
        "function api differs in PEER_REGION",
    ),
    (
        here(secrets={"master": Secret("v1", ()), "application": Secret("v3", ())}),
        "secrets",
        "another version",
    ),
    (
        there(secrets={"master": Secret("v1", (THERE,)), "application": Secret("v2", ())}),
        "secrets",
        f"the replica of master in {THERE} is not in sync",
    ),
    (here(secrets={"master": Secret("v1", ())}), "secrets", "no secret of application"),
    (here(key="Disabled"), "key", "it is Disabled"),
    (table("journal", state="UPDATING"), "tables", "table journal is UPDATING"),
    (table("control", replicas={}), "tables", f"the replica of control in {HERE} is not there"),
    (table("control", witnesses={}), "tables", f"the witness of control in {WITNESS} is not there"),
    (table("journal", strong=False), "tables", "not as consistent"),
    (here(copies=LogCopies(enabled=False, destination="")), "log copies", "is not sent"),
    (here(copies=LogCopies(enabled=True, destination="elsewhere")), "log copies", "is sent to elsewhere"),
    (here(peering=Peering("deleted", 0, 0)), "peering", "it is deleted"),
    (here(peering=Peering("active", 2, 1)), "peering", "2 of 3 subnets"),
    (certificate(state="EXPIRED"), "certificates", "is EXPIRED"),
    (certificate(hosts=frozenset({"else.example"})), "certificates", "is not for it"),
    (certificate(expires=AT + timedelta(days=29)), "certificates", "expires on 2026-12-21"),
    (hosts(state="UPDATING"), "host names", "is UPDATING in API Gateway"),
    (hosts(mapped=False), "host names", "leads to no API"),
    (records(failover={"PRIMARY": RECORDS.failover["PRIMARY"]}), "records", "there is no record of"),
    (
        records(failover={**RECORDS.failover, "SECONDARY": Record("elsewhere", None)}),
        "records",
        "leads to elsewhere",
    ),
    (
        records(
            failover={
                **RECORDS.failover,
                "SECONDARY": replace(RECORDS.failover["SECONDARY"], health_check="x"),
            }
        ),
        "records",
        "the SECONDARY record has a health check",
    ),
    (records(check=(NAMES.domain, "/")), "records", f"the health check asks {NAMES.domain}/, not"),
    (records(check=None), "records", "the health check asks nothing"),
    (here(plan=Evaluation("actionRequired", ("fence: AccessDenied",), None)), "plan", "fence: AccessDenied"),
    (here(plan=Evaluation("actionRequired", (), None)), "plan", "says actionRequired"),
    (here(plan=Evaluation("not there", (), None)), "plan", "says not there"),
    (here(plan=Evaluation("passed", (), "e-1")), "plan", "execution e-1 is under way"),
]


@pytest.mark.parametrize(("seen", "name", "what"), NO)
def test_what_speaks_against_it_is_said_with_what_to_do(seen: Seen, name: str, what: str) -> None:
    found = report(seen)
    assert not found.ready
    against = [check for check in found.checks if check.name == name and check.answer is Answer.NO]
    assert [check for check in against if what in check.why], text(found)
    assert all(check.todo for check in against)


UNKNOWN = [
    (status(observations.secondary(control=SILENT)), "control record"),
    (status(observations.secondary(lag=None)), "lag"),
    (
        status(
            observations.both(
                ledger=replace(
                    LEDGER, members=(LEDGER.members[0], replace(LEDGER.members[1], connected=None))
                )
            )
        ),
        "ledger",
    ),
    (compared(applied=None), "migrations"),
    (here(plan=Evaluation("pendingEvaluation", (), None)), "plan"),
    (functions("api", variables=None), "configuration"),
    (replace(READY, records=SILENT), "records"),
    (here(hosts=SILENT), "records"),
    (here(comparison=SILENT, functions=SILENT), "code"),
    (there(cluster=SILENT), "capacity"),
]


@pytest.mark.parametrize(("seen", "name"), UNKNOWN)
def test_what_is_not_known_is_never_taken_for_yes(seen: Seen, name: str) -> None:
    found = report(seen)
    assert not found.ready
    of_it = [check for check in found.checks if check.name == name]
    assert Answer.UNKNOWN in {check.answer for check in of_it}, text(found)
    assert all(check.todo for check in of_it if check.answer is not Answer.YES)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("place", ["here", "there"])
def test_each_question_of_each_region_without_an_answer_leaves_something_unknown(
    place: str, question: str
) -> None:
    """But for what only the region that takes over is asked, or what the other's function says as well."""
    seen = readiness_facts.here(**{question: SILENT}) if place == "here" else there(**{question: SILENT})
    assert report(seen).ready == ((place, question) == ("there", "plan"))


def test_that_the_other_region_cannot_be_reached_speaks_for_a_failover() -> None:
    ringing = ("payments-peer-unreachable-own-secondary-prod",)
    assert report(status(observations.secondary(alarms=ringing))).ready


def test_the_health_check_of_a_region_that_is_not_active_is_red_and_speaks_against_nothing() -> None:
    assert report(status(observations.secondary(alarms=("payments-health-primary-prod",)))).ready
    other = ("payments-health-primary-prod", "payments-dead-letters-primary-prod")
    assert not report(status(observations.secondary(alarms=other))).ready


def test_one_region_s_comparison_is_enough_for_the_ledgers() -> None:
    checks = {(check.name, check.region): check.answer for check in report(here(comparison=SILENT)).checks}
    assert checks["ledgers", None] is Answer.YES
    assert checks["migrations", THERE] is Answer.UNKNOWN


def test_a_ledger_that_is_silent_is_named() -> None:
    found = replace(COMPARISON, ledgers={HERE: Unknown("no answer"), THERE: Unknown("no copy")})
    seen = replace(
        READY, here=replace(SECONDARY, comparison=found), there=replace(PRIMARY, comparison=SILENT)
    )
    (check,) = [check for check in report(seen).checks if check.name == "ledgers"]
    assert check.answer is Answer.UNKNOWN
    assert check.why == f"{HERE}: no answer; {THERE}: no copy; {HERE}: ConnectTimeoutError"


def test_with_the_active_region_dead_everything_about_it_is_unknown_and_nothing_else() -> None:
    primary, secondary = observations.HEALTHY.regions
    observation = replace(observations.HEALTHY, regions=(observations.dead(primary), secondary))
    found = report(replace(READY, status=observation, there=dead(PRIMARY), records=SILENT))
    assert not found.ready
    assert Answer.NO not in {check.answer for check in found.checks}
    assert {check.answer for check in found.checks if check.region == HERE} == {Answer.UNKNOWN}
    of_the_standby = [check for check in found.checks if check.region == THERE]
    assert {check.answer for check in of_the_standby} == {Answer.YES}


def test_both_regions_are_shown_side_by_side() -> None:
    lines = text(report(here(key="Disabled"))).splitlines()
    assert lines[0].split() == [HERE, THERE]
    assert "key             yes        no" in lines
    assert lines[-2] == f"no       {THERE}: key: it is Disabled; enable it, or cancel its deletion"
    assert lines[-1].endswith("is not sure: 1 no, 0 unknown")


def test_the_standby_is_who_takes_over_unless_somebody_is_named() -> None:
    assert standby(observations.HEALTHY) == THERE
    assert named(SETTINGS, HERE) == HERE
    assert named(SETTINGS, None) is None
    with pytest.raises(Rejected, match="use us-east-1 or us-east-2") as wrong:
        named(SETTINGS, WITNESS)
    assert wrong.value.exit_code == 2
    with pytest.raises(Rejected, match="--to REGION"):
        standby(observations.both(control=SILENT))


def test_tables_and_users_are_those_of_the_templates() -> None:
    assert {plan.name: plan.strong for plan in tables.TABLES} == TABLES
    assert tuple(credentials._PURPOSES) == USERS


def test_the_documented_example_is_what_is_said() -> None:
    shown = re.findall(r"^```json\n(.*?)^```", DOCUMENTED.read_text(), re.DOTALL | re.MULTILINE)
    (example,) = (found for one in shown if "ready" in (found := json.loads(one)))
    said = document(report(here(key="Disabled")))
    of_it = [check for check in said["checks"] if check["name"] in ("control record", "key")]
    assert example == {**said, "checks": of_it}
