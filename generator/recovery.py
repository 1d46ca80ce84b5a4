"""How long recovery takes at worst, read from the rendered templates."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from generator.problems import BuildError, Problem

# Route 53 answers an alias to an API Gateway domain with the target's TTL.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
ALIAS_TTL_SECONDS = 60


class WorstCase(NamedTuple):
    """Seconds until clients reach the region that took over, after the other one died."""

    to_secondary: int
    to_primary: int


def worst_case(service: Mapping[str, Any]) -> WorstCase:
    """What DNS needs: as many failed checks as the threshold says, then the TTL of what resolvers remember.

    Everything else (fence, one lease, promotion) runs meanwhile. Towards the primary its own record must turn
    green again first, which takes as many good checks as it took bad ones.
    """
    checks = [resource["Properties"]["HealthCheckConfig"] for resource in _of(service, "HealthCheck")]
    lifetimes = [
        ALIAS_TTL_SECONDS if "AliasTarget" in record else int(record["TTL"])
        for record in _records(service)
        if "Failover" in record
    ]
    if not checks or not lifetimes:
        missing = "AWS::Route53::HealthCheck" if not checks else "failover record"
        raise BuildError(
            Problem(
                "service.json", f"has no {missing}", "without one nothing leads clients to the other region"
            )
        )
    detection = max(int(check["RequestInterval"]) * int(check["FailureThreshold"]) for check in checks)
    to_secondary = detection + max(lifetimes)
    return WorstCase(to_secondary=to_secondary, to_primary=to_secondary + detection)


def missed_objective(worst: WorstCase, rto_minutes: int) -> Iterator[Problem]:
    """A build that cannot keep its promise fails."""
    for direction, seconds in worst._asdict().items():
        if seconds > rto_minutes * 60:
            yield Problem(
                "service.json",
                f"recovery {direction.replace('_', ' the ')} takes {seconds} s at worst, the objective is"
                f" {rto_minutes * 60} s",
                "check more often, or raise objectives.rto_minutes",
            )


def _of(template: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for resource in template["Resources"].values():
        if resource["Type"] == f"AWS::Route53::{kind}":
            yield resource


def _records(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in _of(template, "RecordSet"):
        yield resource["Properties"]
    for resource in _of(template, "RecordSetGroup"):
        yield from resource["Properties"]["RecordSets"]
