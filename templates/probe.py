"""The function that asks whether the active region can be reached: the same text in all three regions."""

from collections.abc import Mapping

from awacs import cloudwatch, dynamodb, kms
from awacs.aws import Condition, Statement, StringEquals
from msgspec.structs import replace
from troposphere import Ref, Sub, awslambda

from templates import plans, policies
from templates.config import Settings
from templates.functions import FunctionPlan
from templates.names import Names, Place
from templates.places import lookup, peer
from templates.plans import use_table
from templates.policies import Value
from templates.schedules import Timer
from templates.sites import Site, data_site

VOTE = "ActiveRegionUnreachable"
OWN, WITNESS = "own", "witness"
# Three misses take 30 s, as long as Route 53's health check does. Each run counts its own, and the scheduler
# starts one any time within its minute: so runs overlap, and whenever a region dies one has three looks left.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/what-is-scheduler.html
INTERVAL_SECONDS, _LOOKS, _MISSES = 10, 15, 3
VOTE_SECONDS = (_MISSES - 1) * INTERVAL_SECONDS
_HEALTH_SECONDS = 3
_TIMEOUT_SECONDS = 180
_WORKS_SECONDS = 165  # the last look begins after 140 s, and any may wait for what does not answer


def probe(settings: Settings, text: str) -> Timer:
    """Of a data region: about the other one, for its own alarms.

    Inside the network, though it calls nothing there: a region whose way out is broken can neither reach the
    other one nor vote, and is the wrong one to take over.
    """
    environment: dict[str, Value] = {
        "VOTER": OWN,
        "REPLICAS": Ref("AWS::Region"),
        "HOSTS": Sub("${Peer}=${Host}", Peer=lookup("PeerRegion"), Host=peer(settings.names.host)),
        "VOTE_REGIONS": Ref("AWS::Region"),
    }
    statements = (use_table(settings, "control", dynamodb.GetItem), plans.decrypt_tables(settings))
    plan = _plan(settings, data_site(settings), text, environment, statements)
    return Timer(replace(plan, placement=plans.placement(settings)), minutes=1)


def witness_probe(settings: Settings, site: Site, text: str) -> Timer:
    """Of the witness, which holds no replica that can be read: it reads those of the data regions."""
    names, regions = settings.names, settings.regions
    both = f"{regions.primary},{regions.secondary}"
    environment: dict[str, Value] = {
        "VOTER": WITNESS,
        "REPLICAS": both,
        "HOSTS": f"{regions.primary}={names.host('primary')},{regions.secondary}={names.host('secondary')}",
        "VOTE_REGIONS": both,
    }
    control = f"table/{names.shared('control')}"
    places: tuple[tuple[Place, str], ...] = (("primary", regions.primary), ("secondary", regions.secondary))
    statements = (
        policies.allow(
            "ReadControl",
            [dynamodb.GetItem],
            *(policies.arn("dynamodb", control, region=region) for _, region in places),
        ),
        *(
            policies.use_aliased_key(
                f"Use{place.capitalize()}KeyForTables",
                region,
                names.alias("data", place),
                "dynamodb",
                kms.Decrypt,
            )
            for place, region in places
        ),
    )
    return Timer(_plan(settings, site, text, environment, statements), minutes=1)


def _plan(
    settings: Settings,
    site: Site,
    text: str,
    environment: Mapping[str, Value],
    statements: tuple[Statement, ...],
) -> FunctionPlan:
    names = settings.names
    return FunctionPlan(
        title="Probe",
        name=site.name("probe"),
        role_name=site.name("probe"),
        boundary=policies.boundary_arn(names),
        description="Asks whether the active region can be reached, and votes when it cannot",
        handler="index.handle",  # as Lambda calls the module of an inline text
        code=awslambda.Code(ZipFile=text),
        key_arn=site.key_arn,
        environment={
            **environment,
            "CONTROL_TABLE": names.shared("control"),
            "NAMESPACE": names.metrics,
            "PROBE_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
            "PROBE_LOOKS": str(_LOOKS),
            "PROBE_MISSES": str(_MISSES),
            "PROBE_TIMEOUT_SECONDS": str(_HEALTH_SECONDS),
        },
        statements=(*statements, _vote(names)),
        timeout_seconds=_TIMEOUT_SECONDS,
        works_seconds=_WORKS_SECONDS,
        memory_mb=192,
    )


def _vote(names: Names) -> Statement:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html"""
    ours = Condition(StringEquals({"cloudwatch:namespace": names.metrics}))
    return policies.allow("Vote", [cloudwatch.PutMetricData], "*", condition=ours)
