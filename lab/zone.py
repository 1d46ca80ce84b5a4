"""Which of a hosted zone's records answer a question: Route 53's rules, as functions of records and health.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-types.html
Names are absolute and in lower case. Records are as Route 53's API has them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Record = Mapping[str, Any]
Healthy = Callable[[str], bool]
"""By the id of a health check."""

ALIAS_TTL: Final = 60
"""Seconds; of an alias to another service. It cannot be set:
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
"""
_MOST_ALIASES: Final = 8  # one after the other; a circle of them has no answer
_POLICIES: Final = ("Weight", "Region", "GeoLocation", "MultiValueAnswer", "CidrRoutingConfig")


class Code(StrEnum):
    NOERROR = "NOERROR"
    NXDOMAIN = "NXDOMAIN"
    REFUSED = "REFUSED"  # none of the zones is asked for
    SERVFAIL = "SERVFAIL"  # the lab does not know the records' routing policy


@dataclass(frozen=True, slots=True)
class Zone:
    id: str
    name: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """`texts` in the presentation format of the type."""

    name: str
    type: str
    ttl: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Without `values`, `authority` says for how long there is nothing."""

    code: Code
    zone: str = ""
    values: Values | None = None
    authority: Values | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What is deployed: the zones, what aliases lead to outside of them, and which checks are green."""

    zones: tuple[Zone, ...]
    targets: Mapping[str, str]
    healthy: Healthy
    alias_ttl: int = ALIAS_TTL


def answer(world: World, name: str, kind: str) -> Told:
    """What the zone that `name` belongs to says of the type `kind`."""
    name = name.lower()
    zone = zone_of(world.zones, name)
    if zone is None:
        if name not in world.targets:
            return Told(Code.REFUSED)
        return Told(Code.NOERROR, values=_address(world, name, name) if kind == "A" else None)
    try:
        values = _values(world, zone, name, kind)
    except LookupError:
        return Told(Code.SERVFAIL, zone.id)
    if values is not None:
        return Told(Code.NOERROR, zone.id, values)
    known = any(record["Name"] == name or record["Name"].endswith(f".{name}") for record in zone.records)
    return Told(Code.NOERROR if known else Code.NXDOMAIN, zone.id, authority=_authority(zone))


def zone_of(zones: Iterable[Zone], name: str) -> Zone | None:
    """The innermost."""
    around = [zone for zone in zones if name == zone.name or name.endswith(f".{zone.name}")]
    return max(around, key=lambda zone: len(zone.name), default=None)


def choose(records: Sequence[Record], healthy: Healthy) -> Record:
    """Of the records of one name and type, the one that answers. Raises LookupError for other policies.

    A record without a health check is healthy. Where none is, all of them count as healthy: so the primary
    answers while the secondary is unhealthy, whatever its own state.
    """
    if any(policy in record for record in records for policy in _POLICIES):
        raise LookupError("a routing policy that is not modelled")
    by_role = {record.get("Failover"): record for record in records}
    ranked = [by_role[role] for role in ("PRIMARY", "SECONDARY") if role in by_role] or [by_role[None]]
    return next((one for one in ranked if _is_healthy(one, healthy)), ranked[0])


def scaled_ttl(scale: float) -> int:
    """Of aliases, where AWS's timers are multiplied: whole seconds, because DNS knows no others."""
    return max(1, round(ALIAS_TTL * scale))


def _is_healthy(record: Record, healthy: Healthy) -> bool:
    check = record.get("HealthCheckId")
    return check is None or healthy(check)


def _values(world: World, zone: Zone, name: str, kind: str, aliases: int = 0) -> Values | None:
    named = [record for record in zone.records if record["Name"] == name]
    of_kind = [one for one in named if one["Type"] == kind] or [
        one for one in named if one["Type"] == "CNAME"
    ]
    if not of_kind or aliases > _MOST_ALIASES:
        return None
    chosen = choose(of_kind, world.healthy)
    alias = chosen.get("AliasTarget")
    if alias is None:
        return Values(name, chosen["Type"], int(chosen["TTL"]), tuple(chosen["ResourceRecords"]))
    target = str(alias["DNSName"]).lower()
    if target in world.targets:
        return _address(world, name, target)
    found = _values(world, zone, target, kind, aliases + 1)
    return found and Values(name, found.type, found.ttl, found.texts)


def _address(world: World, name: str, target: str) -> Values:
    return Values(name, "A", world.alias_ttl, (world.targets[target],))


def _authority(zone: Zone) -> Values | None:
    """RFC 2308: how long it may be remembered that there is nothing, is the smaller of two numbers."""
    for record in zone.records:
        if record["Type"] == "SOA" and record["Name"] == zone.name:
            text = record["ResourceRecords"][0]
            ttl = min(int(record["TTL"]), int(text.split()[-1]))
            return Values(zone.name, "SOA", ttl, (text,))
    return None
