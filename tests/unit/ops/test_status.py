"""What an observation means; nothing is asked of anybody here."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from failover.control import Phase
from failover.planner import Unknown
from failover.writer import Change
from ops.observation import QUESTIONS, Observation, OpenEntries, Region
from ops.status import Kind, document, report, text
from tests.unit.ops.observations import (
    AT,
    AUDIT,
    DNS,
    HEALTHY,
    HERE,
    LEDGER,
    LOG,
    PRIMARY,
    RECORD,
    SECONDARY,
    SILENT,
    THERE,
    both,
    dead,
    primary,
    secondary,
)

DOCUMENTED = Path(__file__).parents[3] / "docs" / "operations.md"
MEMBERS = LEDGER.members


def ledger(**changes: Any) -> Observation:
    return both(ledger=replace(LEDGER, **changes))


def members(**of_the_second: Any) -> Observation:
    return ledger(members=(MEMBERS[0], replace(MEMBERS[1], **of_the_second)))


def test_nothing_is_wrong_with_a_healthy_system() -> None:
    assert report(HEALTHY).findings == ()
    assert text(report(HEALTHY)).splitlines() == [
        "us-east-1 is active, epoch 3, steady since 2026-11-22T10:00:00Z: drill",
        "DNS leads to us-east-1 (203.0.113.7), for 42 s",
        "              us-east-1                       us-east-2",
        "role          active                          standby",
        "answered      everything                      everything",
        "epoch         3 steady                        3 steady",
        "/health       200                             503",
        "ledger        writer                          copy, attached",
        "lag           -                               12 ms",
        "open entries  3, oldest 4 s                   3, oldest 4 s",
        "alarms        none                            none",
        "audit         2026-11-22 done, 0 differences  2026-11-22 done, 0 differences",
        "log           segment 412                     segment 412",
        "nothing is wrong",
    ]


def test_the_documented_example_is_what_is_said() -> None:
    shown = re.findall(r"^```json\n(.*?)^```", DOCUMENTED.read_text(), re.DOTALL | re.MULTILINE)
    example = replace(HEALTHY, regions=(replace(PRIMARY, alarms=SILENT), SECONDARY))
    assert json.loads(shown[0]) == document(report(example))


@pytest.mark.parametrize(
    ("seen", "region", "what"),
    [
        (both(control=replace(RECORD, phase=Phase.RECOVERING)), HERE, "epoch 3 is recovering since"),
        (both(control=replace(RECORD, active="eu-west-1")), None, "names eu-west-1, which is neither"),
        (primary(health=503), HERE, "takes no payments: /health says 503"),
        (secondary(health=200), THERE, "/health says 200, though us-east-1 is active"),
        (secondary(health=403), THERE, "/health of the standby says 403, not 503"),
        (
            replace(HEALTHY, dns=replace(DNS, region=THERE)),
            THERE,
            "DNS leads clients to it, though us-east-1",
        ),
        (both(control=replace(RECORD, active=THERE)), THERE, "the ledger's writer is in us-east-1"),
        (secondary(lag=5000.5), THERE, "is 5000 ms behind"),
        (members(connected=False), THERE, "payments-ledger-secondary-prod is not attached"),
        (ledger(members=MEMBERS[:1]), THERE, "not a member of the global cluster"),
        (ledger(state="modifying"), None, "the global cluster is modifying"),
        (
            ledger(state="failing-over", change=Change("failing-over", THERE, loses_data=True)),
            THERE,
            "changes over to it (failing-over, with loss of what was not replicated)",
        ),
        (both(open=OpenEntries(1, at_least=False, oldest=AT - timedelta(minutes=11))), None, "not known to"),
        (secondary(alarms=("payments-mistakes-secondary-prod",)), THERE, "alarm payments-mistakes-secondary"),
        (both(audit=replace(AUDIT, differences=2)), None, "found 2 differences"),
        (both(audit=replace(AUDIT, completed=AT - timedelta(hours=27))), None, "no audit got through since"),
        (both(audit=replace(AUDIT, completed=None)), None, "no audit got through since 2026-10-23"),
    ],
)
def test_what_is_wrong_is_said_of_its_region(seen: Observation, region: str | None, what: str) -> None:
    found = report(seen)
    assert not found.healthy
    assert [(each.kind, each.region) for each in found.findings if what in each.what] == [
        (Kind.WRONG, region)
    ]
    assert all(each.todo for each in found.findings)


@pytest.mark.parametrize(
    ("seen", "region", "what"),
    [
        (secondary(lag=None), THERE, "nobody measured lately"),
        (members(connected=None), THERE, "RDS does not say"),
        (members(writer=True), None, "2 of 2 members are the writer"),
        (
            primary(ledger=replace(LEDGER, members=tuple(replace(m, writer=not m.writer) for m in MEMBERS))),
            None,
            "the regions name different writers: us-east-1 and us-east-2",
        ),
        (replace(HEALTHY, dns=Unknown("x.test: timed out")), None, "dns: x.test: timed out"),
        (replace(HEALTHY, dns=replace(DNS, region=None)), None, "(203.0.113.7), nobody knows"),
        (primary(control=Unknown("AccessDeniedException")), HERE, "control: AccessDeniedException"),
    ],
)
def test_what_is_unknown_is_neither_fine_nor_wrong(seen: Observation, region: str | None, what: str) -> None:
    found = report(seen)
    assert [(each.kind, each.region) for each in found.findings] == [(Kind.UNKNOWN, region)]
    assert what in found.findings[0].what


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("which", [primary, secondary, both])
def test_a_question_without_an_answer_is_told_and_holds_up_no_other(which: Any, question: str) -> None:
    seen: Observation = which(**{question: SILENT})
    found = report(seen)
    silent = [one for one in seen.regions if question in one.unanswered]
    told = [(each.region, each.what) for each in found.findings if each.region is not None]
    assert told == [(one.region, f"{question}: {SILENT.why}") for one in silent]
    assert {each.kind for each in found.findings} == {Kind.UNKNOWN}
    assert "unknown" in text(found)
    assert json.dumps(document(found)).count('{"unknown": ') >= len(silent)


@pytest.mark.parametrize(("active", "lost"), list(product((HERE, THERE), ({HERE}, {THERE}, {HERE, THERE}))))
def test_with_a_region_dead_the_other_one_tells(active: str, lost: set[str]) -> None:
    """Whatever is the same in both regions is known as long as one of them answers."""
    record = replace(RECORD, active=active)
    cluster = replace(LEDGER, members=tuple(replace(m, writer=m.region == active) for m in MEMBERS))

    def alive(one: Region) -> Region:
        health, lag = (200, None) if one.region == active else (503, 12.0)
        return replace(one, control=record, ledger=cluster, health=health, lag=lag)

    regions = tuple(dead(one) if one.region in lost else alive(one) for one in HEALTHY.regions)
    found = report(Observation(AT, (regions[0], regions[1]), replace(DNS, region=active)))
    shown = document(found)

    assert not found.healthy
    assert {each.kind for each in found.findings} == {Kind.UNKNOWN}
    assert {each.region for each in found.findings} == lost
    for region in (HERE, THERE):
        assert shown["regions"][region]["answered"] == ("nothing" if region in lost else "everything")
    if len(lost) == 1:
        assert (shown["control"]["active"], shown["writer"]) == (active, active)
    else:
        assert shown["control"] == {"unknown": f"{HERE}: {SILENT.why}; {THERE}: {SILENT.why}"}
        assert shown["regions"][HERE]["role"] == "unknown"
        assert text(found).startswith("which region is active is unknown\n")


def test_the_later_of_two_records_counts() -> None:
    moved_on = replace(RECORD, epoch=4, active=THERE, phase=Phase.FENCING)
    assert primary(control=moved_on).control == moved_on
    assert secondary(control=moved_on).control == moved_on
    assert primary(control=replace(moved_on, phase=Phase.RECOVERING)).control != moved_on


def test_no_audit_and_no_log_yet_are_nothing_wrong() -> None:
    found = report(both(audit=None, log=None, open=OpenEntries(0, at_least=False, oldest=None)))
    assert found.healthy
    assert document(found)["regions"][THERE]["log"] is None
    assert text(found).count("none yet") == 4


def test_a_segment_that_is_only_intended_is_not_the_end_of_the_log() -> None:
    shown = document(report(both(log=replace(LOG, shipped=False))))["regions"][HERE]["log"]
    assert (shown["segment"], shown["intended"]) == (411, 412)


def test_what_is_counted_to_a_limit_says_so() -> None:
    found = report(both(open=OpenEntries(1000, at_least=True, oldest=AT)))
    assert "at least 1000, oldest 0 s" in text(found)
    assert document(found)["regions"][HERE]["open"]["at_least"] is True


def test_what_is_wrong_comes_before_what_is_unknown() -> None:
    seen = replace(HEALTHY, regions=(dead(PRIMARY), replace(SECONDARY, alarms=("one",))))
    findings = report(seen).findings
    kinds = [each.kind for each in findings]
    assert kinds == [Kind.WRONG, Kind.UNKNOWN]
    assert findings[1].what == f"{', '.join(QUESTIONS)}: {SILENT.why}"
