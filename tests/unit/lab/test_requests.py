"""What of the requests nobody may make while a region is dead: one is enough to be found."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.proxy import LogEntry
from lab.requests import forbidden, read

DEAD, THERE, WITNESS = "us-east-1", "us-east-2", "us-west-2"
SINCE, FENCED, UNTIL = 1000.0, 1050.0, 1100.0
API = "/2015-03-31/functions/payments-api-primary-lab/invocations"


def call(component: str, target: str = THERE, **more: object) -> LogEntry:
    said = LogEntry(
        at=1010.0,
        caller=THERE,
        target=target,
        service="dynamodb",
        operation="GetItem",
        resource="payments-control-lab",
        function=f"payments-{component}-secondary-lab",
        operator=False,
        access_key="ASIA",
        status=200,
        ms=10.0,
        fault="",
    )
    return replace(said, **more)  # type: ignore[arg-type] # whatever a test says


def handed_over(at: float) -> LogEntry:
    operation = f"POST {API}"
    return call("api", DEAD, at=at, service="lambda", operation=operation, resource=API, status=0)


OPERATORS = {"function": "", "operator": True, "access_key": "000000000000"}
FENCE = call("fence", at=FENCED, operation="PutItem")
GOOD = (
    call("api"),
    call("api", operation="PutItem", resource="payments-journal-lab"),
    handed_over(SINCE + 1),
    handed_over(FENCED + 2),
    call("probe", DEAD, service="https", operation="CONNECT", resource="primary.payments.test", status=0),
    call("probe", DEAD, caller=WITNESS, function="payments-probe-witness-lab", status=0),
    call("", DEAD, service="rds", operation="DescribeGlobalClusters", status=0, **OPERATORS),
    call("", DEAD, service="iam", operation="ListRoles", **OPERATORS),
    call("sweep", DEAD, caller=DEAD),  # cut off, it goes on by itself
    call("api", DEAD, at=SINCE - 1),
    call("ship", DEAD, at=UNTIL + 1),
    FENCE,
    call("recover", service="rds", operation="DescribeGlobalClusters", resource=""),
)
INJECTED: dict[str, Callable[[], LogEntry]] = {
    "a table of the dead region": lambda: call("recover", DEAD, status=0),
    "its RDS": lambda: call(
        "", DEAD, function="", service="rds", operation="DescribeGlobalClusters", resource=""
    ),
    "its function, not by the API": lambda: replace(
        handed_over(SINCE + 1), function="payments-sweep-secondary-lab"
    ),
    "another function than its API": lambda: replace(
        handed_over(SINCE + 1), resource=API.replace("-api-", "-sweep-")
    ),
    "its API, long after another region is active": lambda: handed_over(FENCED + 10),
    "its front door, not by a probe": lambda: call(
        "api", DEAD, service="https", operation="CONNECT", status=0
    ),
    "DNS changed": lambda: call(
        "decide", DEAD, service="route53", operation="POST /2013-04-01/hostedzone/Z/rrset"
    ),
    "IAM in a living region": lambda: call("fence", service="iam", operation="GetRole"),
    "CloudFormation": lambda: call("recover", service="cloudformation", operation="DescribeStacks"),
}


def test_what_recovery_does_by_design_is_not_forbidden() -> None:
    assert forbidden(GOOD, DEAD, SINCE, UNTIL) == ()


@pytest.mark.parametrize("what", INJECTED)
def test_one_forbidden_call_is_found(what: str) -> None:
    injected = INJECTED[what]()
    (found,) = forbidden((*GOOD, injected), DEAD, SINCE, UNTIL)
    assert found.call == injected
    assert f"in us-east-2 asked {injected.target}: {injected.service}" in str(found)


def test_as_long_as_nobody_else_is_active_requests_are_handed_over() -> None:
    refused = replace(FENCE, status=400)
    assert forbidden((refused, handed_over(UNTIL - 1)), DEAD, SINCE, UNTIL) == ()


def test_the_logs_of_all_proxies_are_read_in_order(tmp_path: Path) -> None:
    one, two, three = (call("api", at=at) for at in (1.0, 2.0, 3.0))
    for region, entries in ((DEAD, (one, three)), (THERE, (two,))):
        lines = [json.dumps(asdict(entry)) for entry in entries]
        (tmp_path / f"requests-{region}.jsonl").write_text("\n".join(lines) + '\n{"at": 4')
    assert read(tmp_path) == (one, two, three)
