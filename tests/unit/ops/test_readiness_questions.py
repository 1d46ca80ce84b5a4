"""What the answers of AWS mean: above all those that say that there is nothing."""

import io
import json
from datetime import UTC, datetime
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from botocore.exceptions import ClientError

from failover.errors import Unavailable
from failover.planner import Unknown
from ops.readiness import questions
from ops.readiness.facts import LogCopies, Peering, Secret

CIDRS = ("10.0.0.0/16", "10.1.0.0/16")


class Fake:
    """Answers each operation with what it was given, or raises it; pages are one page."""

    def __init__(self, **answers: Any) -> None:
        self.asked: dict[str, dict[str, Any]] = {}
        self._answers = answers

    def __getattr__(self, operation: str) -> Any:
        def answer(**request: Any) -> Any:
            self.asked[operation] = request
            found = self._answers[operation]
            if isinstance(found, Exception):
                raise found
            return found

        return answer

    def get_paginator(self, operation: str) -> "Fake":
        return Fake(paginate=[self._answers[operation]])


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {}}, "X")  # type: ignore[typeddict-item]


def nothing(_url: str) -> bytes:
    raise AssertionError


def test_a_function_s_state_is_that_of_its_last_update_as_well() -> None:
    configuration: dict[str, Any] = {"CodeSha256": "c", "State": "Active", "LastUpdateStatus": "Failed"}
    found = questions.function({"Configuration": configuration}, nothing)
    assert (found.state, found.reserved, found.variables) == ("Failed", None, {})
    configuration |= {
        "LastUpdateStatus": "Successful",
        "Environment": {"Error": {"ErrorCode": "AccessDenied"}},
    }
    found = questions.function(
        {"Configuration": configuration, "Concurrency": {"ReservedConcurrentExecutions": 0}}, nothing
    )
    assert (found.state, found.reserved, found.variables) == ("Active", 0, None)
    assert questions.function({"Configuration": {"CodeSha256": "c"}}, nothing).state == "not said, not said"


def test_code_that_aws_packed_itself_is_told_by_what_is_in_it() -> None:
    def packed(text: str, year: int) -> bytes:
        file = io.BytesIO()
        with ZipFile(file, "w") as zipped:
            zipped.writestr(ZipInfo("index.py", (year, 1, 1, 0, 0, 0)), text)
        return file.getvalue()

    def code(package: bytes, size: int = 500) -> str:
        described = {
            "Configuration": {"CodeSha256": "sha", "CodeSize": size},
            "Code": {"Location": "https://there"},
        }
        return questions.function(described, lambda _: package).code

    assert packed("same", 2025) != packed("same", 2026)
    assert code(packed("same", 2025)) == code(packed("same", 2026))
    assert code(packed("same", 2025)) != code(packed("other", 2025))
    assert code(b"never fetched", 5_000_000) == "sha"


def test_functions_of_another_environment_are_not_ours() -> None:
    names = ("payments-api-primary-prod", "payments-api-primary-test", "payments-rollout-prod")
    described = {"Configuration": {"CodeSha256": "c"}}
    client = Fake(
        list_functions={"Functions": [{"FunctionName": name} for name in names]}, get_function=described
    )
    assert list(questions.functions_of(client, "payments-", "-primary-prod")) == ["api"]


def test_a_secret_names_one_version_in_use_and_the_replicas_that_are_behind() -> None:
    described = {
        "Name": "application",
        "VersionIdsToStages": {"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT", "AWSPENDING"]},
        "ReplicationStatus": [{"Region": "us-east-2", "Status": "InProgress"}],
    }
    assert questions.secret(described) == Secret("v2", ("us-east-2",))
    with pytest.raises(Unavailable, match="0 versions"):
        questions.secret({"Name": "application"})


def test_a_peering_that_was_made_again_is_the_active_one() -> None:
    def connection(name: str, state: str) -> dict[str, Any]:
        return {"VpcPeeringConnectionId": name, "Status": {"Code": state}}

    routes = [
        {"DestinationCidrBlock": CIDRS[1], "VpcPeeringConnectionId": "pcx-2", "State": state}
        for state in ("active", "active", "blackhole")
    ]
    both = {"VpcPeeringConnections": [connection("pcx-1", "deleted"), connection("pcx-2", "active")]}
    client = Fake(
        describe_vpc_peering_connections=both,
        describe_route_tables={"RouteTables": [{"Routes": [*routes, {"DestinationCidrBlock": "0.0.0.0/0"}]}]},
    )
    assert questions.peering(client, CIDRS, CIDRS[1]) == Peering("active", 2, 1)
    none: Any = {"VpcPeeringConnections": []}
    nothing = Fake(describe_vpc_peering_connections=none)
    assert questions.peering(nothing, CIDRS, CIDRS[1]) == Peering("not there", 0, 0)


def test_only_an_answer_says_that_nothing_is_sent() -> None:
    gone = Fake(get_bucket_replication=refused("ReplicationConfigurationNotFoundError"))
    assert questions.copies(gone, "log") == LogCopies(enabled=False, destination="")
    rule = {"Status": "Disabled", "Destination": {"Bucket": "arn:aws:s3:::received"}}
    off = Fake(get_bucket_replication={"ReplicationConfiguration": {"Rules": [rule]}})
    assert not questions.copies(off, "log").enabled
    on = Fake(get_bucket_replication={"ReplicationConfiguration": {"Rules": [rule | {"Status": "Enabled"}]}})
    assert questions.copies(on, "log") == LogCopies(enabled=True, destination="received")
    with pytest.raises(ClientError):
        questions.copies(Fake(get_bucket_replication=refused("AccessDenied")), "log")


def invoked(said: Any, **more: Any) -> Fake:
    return Fake(invoke={"Payload": io.BytesIO(json.dumps(said).encode()), **more})


def test_what_the_function_could_not_tell_is_unknown() -> None:
    books = {"copy": True, "epoch": 3, "payments": 2, "digest": "d", "applied": None}
    ledgers = {"us-east-1": {"unknown": "no answer"}, "us-east-2": books}
    found = questions.comparison(invoked({"ledgers": ledgers, "expected": ["0001"]}), "compare")
    assert found.ledgers["us-east-1"] == Unknown("no answer")
    assert not isinstance(found.ledgers["us-east-2"], Unknown)
    assert (found.ledgers["us-east-2"].applied, found.expected) == (None, ("0001",))
    with pytest.raises(Unavailable, match="not there"):
        questions.comparison(invoked({"unknown": "global cluster: not there"}), "compare")
    with pytest.raises(Unavailable, match="ImportError"):
        questions.comparison(invoked({"errorType": "ImportError"}, FunctionError="Unhandled"), "compare")


def test_a_plan_says_what_region_switch_found_here() -> None:
    evaluated = {
        "evaluationState": "actionRequired",
        "warnings": [
            {"stepName": "fence", "warningMessage": "no function", "warningStatus": "active"},
            {"warningMessage": "was so", "warningStatus": "resolved"},
        ],
    }
    listed = {"plans": [{"name": "payments-failover-prod", "arn": "arn", "activePlanExecution": "e-1"}]}
    client = Fake(list_plans_in_region=listed, get_plan_evaluation_status=evaluated)
    found = questions.plan(client, "payments-failover-prod")
    assert (found.state, found.warnings, found.execution) == (
        "actionRequired",
        ("fence: no function",),
        "e-1",
    )
    assert questions.plan(client, "another").state == "not there"


def test_the_public_zone_of_that_name_is_asked() -> None:
    zones = [
        {"Name": "example.com.", "Id": "/hostedzone/Z1", "Config": {"PrivateZone": True}},
        {"Name": "example.com.", "Id": "/hostedzone/Z2", "Config": {"PrivateZone": False}},
    ]
    client = Fake(list_hosted_zones_by_name={"HostedZones": zones})
    assert questions.zone_of(client, "example.com") == "Z2"
    with pytest.raises(Unavailable, match="no zone other"):
        questions.zone_of(client, "other.example")


def test_a_host_name_is_known_with_its_certificate() -> None:
    domain = {
        "regionalDomainName": "d-1.execute-api.",
        "regionalCertificateArn": "arn",
        "domainNameStatus": "PENDING",
    }
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    certificate = {
        "Status": "ISSUED",
        "DomainName": "a.example",
        "SubjectAlternativeNames": ["b.example"],
        "NotAfter": expires,
    }
    found = questions.host(
        Fake(get_domain_name=domain, get_base_path_mappings={}),
        Fake(describe_certificate={"Certificate": certificate}),
        "a.example",
    )
    assert (found.state, found.target, found.mapped) == ("PENDING", "d-1.execute-api", False)
    assert found.certificate.hosts == {"a.example", "b.example"}
    assert found.certificate.expires == expires
