"""What a build would cost a month, counted from its templates; and what of it a second region costs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any, Final

from ops import prices
from ops.diff import rolled_out
from ops.partial import Document, Partial
from ops.sam import Sam, built
from templates.config import Settings

EVERYWHERE: Final = "everywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What nobody can count from a template. `backups` is how many copies of the other region's are kept."""

    payments_per_second: float = 0.0
    stored_gb: float = 0.0
    backups: int = 35

    @property
    def payments(self) -> float:
        return self.payments_per_second * prices.SECONDS


@dataclass(frozen=True, slots=True)
class Line:
    """`standby`: without a second region nobody would pay it."""

    service: str
    region: str
    usd: float
    why: str
    standby: bool


@dataclass(frozen=True, slots=True)
class Stack:
    template: Document
    region: str


def stacks_of(settings: Settings, dist: Path) -> list[Stack]:
    """Every stack that deploying the build makes. Raises Rejected where there is no build."""
    root = Sam.of(settings, dist, "root")
    found = [Stack(root.document(), root.region)]
    if settings.dns.hosted_zone_id is None:
        zone = Sam.of(settings, dist, "zone")
        found.append(Stack(zone.document(), zone.region))
    for each in rolled_out(root.document()):
        template = built(dist / f"{each.template}.json")
        found += [Stack(template, region) for region in each.regions]
    return found


def estimated(stacks: Iterable[Stack], primary: str, secondary: str, use: Use) -> list[Line]:
    """The primary region takes the payments; what is used in the secondary only follows it."""
    resources = [
        (stack.region, resource)
        for stack in stacks
        for resource in Partial(stack.template, stack.region, {}).resources().values()
    ]
    lines = [
        line
        for region in sorted({region for region, _ in resources})
        for line in _standing(region, [one for where, one in resources if where == region], region != primary)
    ]
    lines += _used([one for where, one in resources if where == primary], primary, secondary, use)
    return [line for line in lines if not isclose(line.usd, 0.0, abs_tol=0.005)]


def _standing(region: str, resources: list[Document], standby: bool) -> Iterator[Line]:
    def line(service: str, usd: float, why: str, *, kept: bool = standby) -> Line:
        return Line(service, region, usd, why, kept)

    def some(kind: str) -> list[Document]:
        return [one for one in resources if one["Type"] == kind]

    def counted(service: str, kind: str, price: float, each: str) -> Iterator[Line]:
        if found := len(some(kind)):
            yield line(service, found * price, f"{found} x {each}")

    instances = len(some("AWS::RDS::DBInstance"))
    for cluster in some("AWS::RDS::DBCluster"):
        least = cluster["Properties"]["ServerlessV2ScalingConfiguration"]["MinCapacity"]
        usd = instances * float(least) * prices.CAPACITY_UNIT_HOUR * prices.HOURS
        yield line("database", usd, f"{instances} instances at {least} units, the least they take")
    gateway, address = prices.NAT_GATEWAY_HOUR * prices.HOURS, prices.PUBLIC_ADDRESS_HOUR * prices.HOURS
    yield from counted("network", "AWS::EC2::NatGateway", gateway, "NAT gateway")
    yield from counted("network", "AWS::EC2::EIP", address, "public address")
    yield from counted("keys", "AWS::KMS::Key", prices.KEY, "key")
    yield from _secrets(some("AWS::SecretsManager::Secret"), region)
    alarms = sum(_alarm(one) for one in resources)
    if alarms:
        yield line("monitoring", alarms, "alarms, by the metrics they look at")
    yield from counted("monitoring", "AWS::CloudWatch::Dashboard", prices.DASHBOARD, "dashboard")
    for acl in some("AWS::WAFv2::WebACL"):
        rules = len(acl["Properties"]["Rules"])
        yield line("firewall", prices.WEB_ACL + rules * prices.WEB_ACL_RULE, f"a web ACL with {rules} rules")
    for _ in some("AWS::ARCRegionSwitch::Plan"):
        yield line("region switch", prices.PLAN, "one plan", kept=True)
    yield from counted("dns", "AWS::Route53::HostedZone", prices.HOSTED_ZONE, "hosted zone")
    for _ in some("AWS::Route53::HealthCheck"):
        yield line("dns", prices.HEALTH_CHECK, "a health check, HTTPS, every ten seconds", kept=True)
    yield from _probes(some("AWS::Lambda::Function"), region)


def _secrets(secrets: list[Document], region: str) -> Iterator[Line]:
    """A replica is there for the other region, and paid in it."""
    if not secrets:
        return
    yield Line("secrets", region, len(secrets) * prices.SECRET, f"{len(secrets)} x secret", standby=False)
    replicas = [one["Region"] for each in secrets for one in each["Properties"].get("ReplicaRegions", ())]
    for where in sorted(set(replicas)):
        found = replicas.count(where)
        yield Line("secrets", where, found * prices.SECRET, f"{found} x replica", standby=True)


def _alarm(resource: Document) -> float:
    if resource["Type"] == "AWS::CloudWatch::CompositeAlarm":
        return prices.COMPOSITE_ALARM
    if resource["Type"] != "AWS::CloudWatch::Alarm":
        return 0.0
    properties = resource["Properties"]
    metrics = [one["MetricStat"] for one in properties.get("Metrics", ()) if "MetricStat" in one]
    periods = [one["Period"] for one in metrics] or [properties["Period"]]
    return sum(prices.ALARM_METRIC if int(one) >= 60 else prices.FAST_ALARM_METRIC for one in periods)


def _probes(functions: list[Document], region: str) -> Iterator[Line]:
    """One run beside the other: each minute one begins, and takes `looks` times `interval`."""
    for function in functions:
        properties = function["Properties"]
        variables = properties.get("Environment", {}).get("Variables", {})
        if "PROBE_LOOKS" in variables:
            seconds = float(variables["PROBE_LOOKS"]) * float(variables["PROBE_INTERVAL_SECONDS"])
            at_once = seconds / 60
            usd = at_once * prices.SECONDS * _gigabytes(properties) * prices.FUNCTION_GB_SECOND
            yield Line("probes", region, usd, f"{at_once:.1f} runs at a time", standby=True)


def _gigabytes(properties: Mapping[str, Any]) -> float:
    return int(properties.get("MemorySize", 128)) / 1024


def _used(resources: list[Document], primary: str, secondary: str, use: Use) -> Iterator[Line]:
    payments = use.payments
    rate = f"{use.payments_per_second:g} payments a second"
    memory = max((_gigabytes(one["Properties"]) for one in _behind_the_api(resources)), default=0.0)
    function = prices.FUNCTION_REQUEST + prices.SECONDS_OF_A_PAYMENT * memory * prices.FUNCTION_GB_SECOND
    gigabyte = 1e-9
    logs = prices.LOGGED_BYTES_OF_A_PAYMENT * gigabyte * prices.LOGGED_GB
    transfer = prices.BETWEEN_REGIONS_BYTES_OF_A_PAYMENT * gigabyte * prices.BETWEEN_REGIONS_GB
    table = prices.WRITES_OF_A_PAYMENT * prices.TABLE_WRITE
    table += prices.BYTES_OF_A_PAYMENT * gigabyte * prices.TABLE_GB
    io = prices.IO_OF_A_PAYMENT * prices.DATABASE_IO
    yield Line("api", primary, payments * prices.API_REQUEST, rate, standby=False)
    yield Line("firewall", primary, payments * prices.WEB_ACL_REQUEST, rate, standby=False)
    yield Line("functions", primary, payments * function, f"{rate}, {memory:g} GB", standby=False)
    reads = prices.READS_OF_A_PAYMENT * prices.TABLE_READ
    yield Line("tables", primary, payments * (table + reads), rate, standby=False)
    yield Line("tables", secondary, payments * table, f"{rate}, the replicas", standby=True)
    yield Line("logs", primary, payments * logs, rate, standby=False)
    yield Line("transfer", EVERYWHERE, payments * transfer, f"{rate}, between the regions", standby=True)
    stored = f"{use.stored_gb:g} GB"
    yield Line("database", primary, use.stored_gb * prices.STORED_GB, stored, standby=False)
    yield Line("database", secondary, use.stored_gb * prices.STORED_GB, stored, standby=True)
    yield Line("database", primary, payments * io, f"{rate}, I/O", standby=False)
    yield Line("database", secondary, payments * io, f"{rate}, I/O once more", standby=True)
    copies = use.stored_gb * use.backups * prices.BACKUP_GB
    for region in (primary, secondary):
        what = f"{use.backups} copies of the other region's, as if none shared anything"
        yield Line("backups", region, copies, what, standby=True)


def _behind_the_api(resources: list[Document]) -> list[Document]:
    """The function that answers the API: the one that holds tables of sessions."""
    functions = [one for one in resources if one["Type"] == "AWS::Lambda::Function"]
    return [
        one
        for one in functions
        if "SESSIONS_TABLE" in one["Properties"].get("Environment", {}).get("Variables", {})
    ]


# --- how it is shown ---


def document(lines: list[Line]) -> dict[str, Any]:
    return {
        "as_of": prices.AS_OF,
        "currency": "USD",
        "per": "month",
        "total": _rounded(lines),
        "standby": _rounded(line for line in lines if line.standby),
        "regions": _by(lines, "region"),
        "services": _by(lines, "service"),
        "lines": [
            {
                "service": one.service,
                "region": one.region,
                "usd": round(one.usd, 2),
                "why": one.why,
                "standby": one.standby,
            }
            for one in lines
        ],
        "left_out": list(LEFT_OUT),
    }


# Small, or nobody can say before it runs.
LEFT_OUT: Final = (
    "what the database takes above its least capacity",
    "functions that run by the clock, but for the probes",
    "our own metrics, 0.30 USD each",
    "flow logs, access logs and the audit trail",
    "objects in buckets and their replication",
    "data through NAT gateways",
    "taxes, support, discounts and what is free",
)


def _rounded(lines: Iterable[Line]) -> float:
    return round(sum(line.usd for line in lines), 2)


def _by(lines: list[Line], name: str) -> dict[str, float]:
    keys = sorted({str(getattr(line, name)) for line in lines})
    return {key: _rounded(line for line in lines if getattr(line, name) == key) for key in keys}


def text(lines: list[Line]) -> str:
    ordered = sorted(lines, key=lambda line: (line.region, -line.usd))
    shown = [f"{one.region:<11} {one.service:<14} {one.usd:>9.2f}  {one.why}" for one in ordered]
    totals = [f"{region:<26} {usd:>9.2f}" for region, usd in _by(lines, "region").items()]
    known = document(lines)
    return "\n".join(
        [
            *shown,
            *totals,
            f"{'all of it':<26} {known['total']:>9.2f}  USD a month, by list prices of {prices.AS_OF}",
            f"{'of it for the standby':<26} {known['standby']:>9.2f}",
            f"not counted: {'; '.join(LEFT_OUT)}",
        ]
    )
