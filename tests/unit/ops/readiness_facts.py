"""Two regions that are ready for a failover from the first to the second, as a test changes them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from ops.readiness.facts import (
    QUESTIONS,
    Books,
    Certificate,
    Cluster,
    Comparison,
    Evaluation,
    Facts,
    Function,
    HostName,
    Instance,
    LogCopies,
    Peering,
    Quotas,
    Record,
    Records,
    Secret,
    Seen,
    Table,
)
from templates.config import load
from templates.names import Place
from tests.unit.ops.observations import AT, HEALTHY, HERE, SILENT, THERE

SETTINGS: Final = load(Path(__file__).parents[3] / "deployment.toml", None, {})
NAMES: Final = SETTINGS.names
WITNESS: Final = SETTINGS.regions.witness


def facts(region: str, place: Place) -> Facts:
    peer: Place = "secondary" if place == "primary" else "primary"
    peer_region = THERE if region == HERE else HERE
    certificate = Certificate(
        "ISSUED", AT + timedelta(days=300), frozenset({NAMES.domain, NAMES.host(place)})
    )
    return Facts(
        region=region,
        place=place,
        cluster=Cluster(
            "available",
            "14.6",
            (2.0, 16.0),
            tuple(
                Instance(NAMES.regional(f"ledger-{n}", place), "db.serverless", "available") for n in (1, 2)
            ),
        ),
        functions={name: function(name, place, peer, peer_region) for name in ("api", "fence", "recover")},
        quotas=Quotas(concurrency=1000, unreserved=1000, rate=10_000.0, burst=5000),
        secrets={"master": Secret("v1", ()), "application": Secret("v2", ())},
        key="Enabled",
        hosts={
            name: HostName("AVAILABLE", f"d-{name}.{region}", mapped=True, certificate=certificate)
            for name in (NAMES.domain, NAMES.host(place))
        },
        peering=Peering("active", routes=3, holes=0),
        tables={
            name: Table("ACTIVE", name != "sessions", {peer_region: "ACTIVE"}, {WITNESS: "ACTIVE"})
            for name in ("sessions", "journal", "control", "directory", "progress")
        },
        copies=LogCopies(enabled=True, destination=NAMES.bucket("received", peer)),
        comparison=COMPARISON,
        plan=Evaluation("passed", (), None),
    )


def function(name: str, place: Place, peer: Place, peer_region: str) -> Function:
    variables = {
        "PEER_REGION": peer_region,
        "PEER_FUNCTION": NAMES.regional("api", peer),
        "DATABASE_HOST": f"ledger-{place}.abcdef",
        "GLOBAL_CLUSTER": NAMES.shared("ledger"),
    }
    return Function(f"code of {name}", {"Runtime": '"python3.11"'}, variables, "Active", None)


WRITER: Final = Books(copy=False, epoch=3, payments=10_000, digest="d", applied=("0001.ledger",))
COMPARISON: Final = Comparison({HERE: WRITER, THERE: replace(WRITER, copy=True)}, ("0001.ledger",))
PRIMARY: Final = facts(HERE, "primary")
SECONDARY: Final = facts(THERE, "secondary")
RECORDS: Final = Records(
    failover={
        "PRIMARY": Record(f"d-{NAMES.domain}.{HERE}", "check"),
        "SECONDARY": Record(f"d-{NAMES.domain}.{THERE}", None),
    },
    regional={
        NAMES.host("primary"): Record(f"d-{NAMES.host('primary')}.{HERE}", None),
        NAMES.host("secondary"): Record(f"d-{NAMES.host('secondary')}.{THERE}", None),
    },
    check=(NAMES.host("primary"), "/health"),
)
READY: Final = Seen(SETTINGS, HEALTHY, SECONDARY, PRIMARY, RECORDS)


def here(**answers: Any) -> Seen:
    """What the region says that is to take over."""
    return replace(READY, here=replace(SECONDARY, **answers))


def there(**answers: Any) -> Seen:
    return replace(READY, there=replace(PRIMARY, **answers))


def dead(one: Facts) -> Facts:
    silence: dict[str, Any] = dict.fromkeys(QUESTIONS, SILENT)
    return replace(one, **silence)
