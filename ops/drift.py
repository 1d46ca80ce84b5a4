"""Where what runs differs from its template: what a role swap does to the global database is expected.

Nothing here repairs anything: to "repair" the membership of a cluster would take it out of the global
database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.aws import unknown_is_unavailable
from ops.stacks import find_instance, find_stack
from templates.config import Settings

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html:
# who replicates from whom is changed by RDS, past CloudFormation.
_CHANGED_BY_A_ROLE_SWAP: Final = {
    "AWS::RDS::DBCluster": frozenset(
        {"GlobalClusterIdentifier", "ReplicationSourceIdentifier", "SourceDBClusterIdentifier"}
    ),
    "AWS::RDS::GlobalCluster": frozenset({"SourceDBClusterIdentifier"}),
}
_STACK_SETS: Final = ("foundation", "data", "service", "witness")


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """Of one property, or of a whole resource that is gone (`name` is empty)."""

    stack: str
    region: str
    resource: str
    type: str
    name: str
    expected: bool

    @property
    def text(self) -> str:
        what = f"{self.resource}.{self.name}" if self.name else f"{self.resource} is gone"
        told = f"{self.stack} in {self.region}: {what}"
        return f"{told}: expected after a role swap; leave it as it is" if self.expected else told


def drifts(client: Any, settings: Settings, region: str) -> list[Drift]:
    """What the last drift detection of each of our stacks in the region found, if there was one."""
    names = settings.names
    stacks = {title: find_instance(client, names.shared(title)) for title in _STACK_SETS}
    if region == settings.regions.primary:
        stacks["root"] = find_stack(client, f"{settings.service}-{settings.environment}")
    return sorted(
        drift
        for title, stack in stacks.items()
        if stack is not None
        for described in _described(client, stack.id)
        for drift in of_resource(described, title, region)
    )


def _described(client: Any, stack: str) -> Iterator[Mapping[str, Any]]:
    request: dict[str, Any] = {
        "StackName": stack,
        "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"],
    }
    while True:
        with unknown_is_unavailable("drift"):
            answer = client.describe_stack_resource_drifts(**request)
        yield from answer["StackResourceDrifts"]
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def of_resource(described: Mapping[str, Any], stack: str, region: str) -> Iterator[Drift]:
    kind, resource = described["ResourceType"], described["LogicalResourceId"]
    if described["StackResourceDriftStatus"] == "DELETED":
        yield Drift(stack, region, resource, kind, "", expected=False)
    for difference in described.get("PropertyDifferences", ()):
        name = difference["PropertyPath"].lstrip("/").partition("/")[0]
        expected = name in _CHANGED_BY_A_ROLE_SWAP.get(kind, ())
        yield Drift(stack, region, resource, kind, name, expected)


def expected_after(settings: Settings, writer: str) -> list[Drift]:
    """What the next detection will find while `writer`, which is not the primary region, has the writer."""
    assert writer != settings.regions.primary
    cluster, kind = "Cluster", "AWS::RDS::DBCluster"
    regional = [
        Drift("data", region, cluster, kind, name, expected=True)
        for region in (settings.regions.primary, settings.regions.secondary)
        for name in ("GlobalClusterIdentifier", "SourceDBClusterIdentifier")
    ]
    source = "SourceDBClusterIdentifier"
    root = Drift(
        "root", settings.regions.primary, "GlobalCluster", "AWS::RDS::GlobalCluster", source, expected=True
    )
    return [*regional, root]
