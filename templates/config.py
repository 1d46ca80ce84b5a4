"""The settings: ``deployment.toml`` and the environment, validated once, every problem at once."""

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from templates.names import Names
from templates.reading import Problem, Reading, allowed, build, leaves, optional, read, shown
from templates.support import (
    ENGINE_SUPPORT_ENDS,
    ENGINE_VERSIONS,
    RUNTIME_SUPPORT_ENDS,
    STRONG_CONSISTENCY_SETS,
    ZONE_REGION,
)

# A label ends up in names of buckets, clusters and functions: the strictest of their alphabets.
Label = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*\Z",
        description="lower-case letters, digits and single hyphens between them, starting with a letter",
    ),
]
Flag = Annotated[bool, Meta(description="true or false")]
Region = Annotated[
    str,
    Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]\Z", description="the name of an AWS region, such as us-east-1"),
]
Block = Annotated[
    IPv4Network, Meta(description="an IPv4 block such as 10.0.0.0/16, with no bits set after the prefix")
]
NatGateways = Annotated[
    str,
    Meta(pattern=r"^(per-zone|single)\Z", description="per-zone (one in each) or single (one for all)"),
]
EngineVersion = Annotated[
    str,
    Meta(
        pattern=f"^({'|'.join(map(re.escape, ENGINE_VERSIONS))})\\Z",
        description=f"an Aurora PostgreSQL version in quotes, one of {', '.join(ENGINE_VERSIONS)}",
    ),
]
DatabaseName = Annotated[
    str,
    Meta(
        pattern=r"^(?!(postgres|rdsadmin|template[01])\Z)[a-z][a-z0-9_]{0,62}\Z",
        description="1 to 63 lower-case letters, digits and underscores, starting with a letter, and no name"
        " PostgreSQL or RDS uses itself",
    ),
]
# Serverless v2 goes beyond 128 units only on later minor versions than the long-term supported ones; at 0 it
# pauses, which a payment would wait for.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html
Capacity = Annotated[
    float, Meta(ge=0.5, le=128, multiple_of=0.5, description="Aurora capacity units, 0.5 to 128 in halves")
]
# A dispute about a payment may come months later, and what was asked for is the journal's to say.
RetentionDays = Annotated[int, Meta(ge=90, le=36500, description="whole days, 90 to 36500")]
Domain = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])\Z",
        description="a domain name in lower case, such as payments.example.com",
    ),
]
HostedZoneId = Annotated[
    str,
    Meta(
        pattern=r"^Z[A-Z0-9]{1,31}\Z",
        description="the id of a hosted zone: Z, then at most 31 capital letters and digits",
    ),
]
Minutes = Annotated[int, Meta(ge=1, le=1440, description="whole minutes, 1 to 1440")]
Email = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}\Z",
        max_length=254,
        description="an e-mail address",
    ),
]
Emails = Annotated[tuple[Email, ...], Meta(min_length=1, description="a list of at least one e-mail address")]
Runtime = Annotated[
    str,
    Meta(
        pattern=f"^({'|'.join(map(re.escape, RUNTIME_SUPPORT_ENDS))}|host)\\Z",
        description=f"{', '.join(RUNTIME_SUPPORT_ENDS)}, or host in a test environment",
    ),
]
Architecture = Annotated[
    str, Meta(pattern=r"^(arm64|x86_64|host)\Z", description="arm64, x86_64, or host in a test environment")
]


class Regions(Struct, frozen=True):
    primary: Region
    secondary: Region
    witness: Region


class Network(Struct, frozen=True):
    primary_cidr: Block
    secondary_cidr: Block
    nat_gateways: NatGateways


class Database(Struct, frozen=True):
    engine_version: EngineVersion
    name: DatabaseName
    min_capacity: Capacity
    max_capacity: Capacity


class Journal(Struct, frozen=True):
    retention_days: RetentionDays


class Dns(Struct, frozen=True):
    domain: Domain
    hosted_zone_id: HostedZoneId | None = None
    """None: the zone that the ``zone`` template made, by its export."""


class Objectives(Struct, frozen=True):
    rpo_minutes: Minutes
    rto_minutes: Minutes


class Alerts(Struct, frozen=True):
    emails: Emails


class Audit(Struct, frozen=True):
    trail: Flag


class Failover(Struct, frozen=True):
    automatic: Flag


class Drills(Struct, frozen=True):
    faults: Flag


class Functions(Struct, frozen=True):
    """``host`` never gets further than this module: it is replaced by what the machine at hand has."""

    runtime: Runtime
    architecture: Architecture


class Settings(Struct, frozen=True):
    """Everything the generator needs to know; what each setting means is written in ``deployment.toml``."""

    service: Label
    environment: Label
    regions: Regions
    network: Network
    database: Database
    journal: Journal
    dns: Dns
    objectives: Objectives
    alerts: Alerts
    audit: Audit
    failover: Failover
    drills: Drills
    functions: Functions
    test_environment: Flag = False
    """Nothing is protected against deletion."""

    @property
    def names(self) -> Names:
        return Names(self.service, self.environment, self.dns.domain)

    def notes(self, today: date) -> tuple[str, ...]:
        """What an operator should know although nothing is wrong: support that ends within a year or did, and
        a zone whose id nothing can tell by itself.
        """
        engine, runtime = self.database.engine_version, self.functions.runtime
        major = engine.split(".")[0]
        candidates = (
            (
                f"database.engine_version {engine}: standard support of Aurora PostgreSQL {major}",
                ENGINE_SUPPORT_ENDS[major],
            ),
            (f"functions.runtime {runtime}: Lambda's support", RUNTIME_SUPPORT_ENDS.get(runtime, date.max)),
        )
        support = (
            f"{what} {'ended' if ends < today else 'ends'} on {ends}; plan the upgrade"
            for what, ends in candidates
            if ends - today <= timedelta(days=365)
        )
        return (*support, *self._zone_notes())

    def _zone_notes(self) -> Iterator[str]:
        if self.regions.primary != ZONE_REGION and self.dns.hosted_zone_id is None:
            yield (
                f"dns.hosted_zone_id is not set: deploy `zone` to {ZONE_REGION} and set it to what that stack"
                f" puts out, because its exports cannot be read in {self.regions.primary}"
            )


class ConfigurationError(Exception):
    """The configuration cannot be used; one line for each problem."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path, environment: str | None, environ: Mapping[str, str]) -> Settings:
    """The settings of one environment, which an option names, else ENVIRONMENT_SUFFIX, else the file.

    Raises ConfigurationError with every problem there is, a line each: *file: key: found ...; allowed: ...*
    """
    document = _parse(path)
    overrides = document.pop("environments", {})
    base = read(document, Settings)
    values, seen = dict(base.values), set(base.seen)
    lines = [_line(path, problem) for problem in base.problems]

    source = "ENVIRONMENT_SUFFIX" if environment is None else "--environment"
    chosen = environ.get(source) if environment is None else environment
    if chosen is not None:
        reading = read({"environment": chosen}, Settings)
        wrong = reading.problems or _unknown(chosen, values.get("environment"), overrides)
        lines += [_line(source, problem) for problem in wrong]
        _lay_over(values, seen, reading)

    where: dict[str, str] = {}
    for name, reading in _overrides(overrides):
        at = "environments" if name is None else f"environments.{name}"
        lines += [_line(path, problem._replace(key=at + problem.key)) for problem in reading.problems]
        if name is not None and name == values.get("environment"):
            _lay_over(values, seen, reading)
            where.update((key, f"{at}.{key}") for key in reading.seen)

    for key, field in leaves(Settings):
        if key in seen:
            continue
        if optional(field):
            values[key] = field.default
        else:
            lines.append(_line(path, Problem(key, "nothing", allowed(field.type))))
    for keys, rule in _RULES:
        if all(key in values for key in keys):
            problems = rule(*(values[key] for key in keys))
            lines += [
                _line(path, problem._replace(key=where.get(problem.key, problem.key))) for problem in problems
            ]
    if lines:
        raise ConfigurationError(tuple(lines))
    settings: Settings = build(_of_this_host(values), Settings)
    return settings


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        found, wanted = error.strerror or str(error), "a file to read; --config names another"
    except UnicodeDecodeError as error:
        found, wanted = f"a byte at offset {error.start} that is not UTF-8", "TOML in UTF-8"
    except tomllib.TOMLDecodeError as error:
        found, wanted = f"no TOML: {error}", "TOML 1.0, https://toml.io"
    raise ConfigurationError((_line(path, Problem("the file", found, wanted)),))


def _line(file: Path | str, problem: Problem) -> str:
    return f"{file}: {problem.key}: found {problem.found}; allowed: {problem.allowed}"


def _lay_over(values: dict[str, Any], seen: set[str], reading: Reading) -> None:
    """What the reading says goes first, even where it is wrong: then nothing is known."""
    for key in reading.seen:
        values.pop(key, None)
    values.update(reading.values)
    seen.update(reading.seen)


def _unknown(chosen: str, delivered: Any, tables: object) -> list[Problem]:
    """Misspelt, an environment would be built with the settings of the file's own under another name."""
    known = [name for name in (delivered, *(tables if isinstance(tables, dict) else ())) if name]
    if chosen in known:
        return []
    wanted = f"{', '.join(known)}, or another with a table under [environments]"
    return [Problem("environment", shown(chosen), wanted)]


def _overrides(tables: object) -> Iterator[tuple[str | None, Reading]]:
    """What each table under ``environments`` says, not only the chosen one; problems' keys are relative."""
    if not isinstance(tables, dict):
        yield None, Reading({}, set(), [Problem("", shown(tables), "a table for each environment")])
        return
    for name, table in tables.items():
        if read({"environment": name}, Settings).problems:
            yield None, Reading({}, set(), [Problem(f".{name}", shown(name), allowed(Label))])
        if not isinstance(table, dict):
            yield name, Reading({}, set(), [Problem("", shown(table), "a table of what differs")])
            continue
        reading = read(table, Settings, without={"environment"})
        yield name, reading._replace(problems=[p._replace(key=f".{p.key}") for p in reading.problems])


def _of_this_host(values: dict[str, Any]) -> dict[str, Any]:
    machine = os.uname().machine
    host = {
        "functions.runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "functions.architecture": "arm64" if machine in ("arm64", "aarch64") else "x86_64",
    }
    return {key: host[key] if key in host and value == "host" else value for key, value in values.items()}


def _differ(first: str, second: str, one: str, other: str) -> Iterator[Problem]:
    if one == other:
        yield Problem(f"regions.{second}", f"{shown(other)}, which regions.{first} is", "another region")


def _consistent(*regions: str) -> Iterator[Problem]:
    if len(set(regions)) == 3 and not any(group.issuperset(regions) for group in STRONG_CONSISTENCY_SETS):
        groups = " or ".join(", ".join(sorted(group)) for group in STRONG_CONSISTENCY_SETS)
        yield Problem(
            "regions", ", ".join(regions), f"three strongly consistent with each other: of {groups}"
        )


def _block(key: str, block: IPv4Network) -> Iterator[Problem]:
    if not 16 <= block.prefixlen <= 22:
        yield Problem(
            key, shown(str(block)), "/16 (the most a VPC takes) to /22 (its subnets have 59 addresses each)"
        )
    if not any(block.subnet_of(private) for private in _PRIVATE):
        yield Problem(key, shown(str(block)), f"private addresses, of {', '.join(map(str, _PRIVATE))}")


def _apart(primary: IPv4Network, secondary: IPv4Network) -> Iterator[Problem]:
    if primary.overlaps(secondary):
        yield Problem(
            "network.secondary_cidr",
            f"{shown(str(secondary))}, which overlaps network.primary_cidr {shown(str(primary))}",
            "a block that does not",
        )


def _capacity(smallest: float, largest: float) -> Iterator[Problem]:
    if largest < max(smallest, 1):
        yield Problem(
            "database.max_capacity",
            shown(largest),
            f"at least 1 and at least min_capacity, {shown(smallest)}",
        )


def _host(key: str, value: str, test_environment: bool) -> Iterator[Problem]:
    if value == "host" and not test_environment:
        yield Problem(key, shown(value), "host only where test_environment = true")


def _lengths(service: str, environment: str, domain: str) -> Iterator[Problem]:
    for kind, name, limit in Names(service, environment, domain).bounded():
        if len(name) > limit:
            key = "dns.domain" if kind == "certificate" else "service"
            yield Problem(
                key,
                f"{len(name)} characters in {shown(name)}, the name of the {kind}",
                f"at most {limit} characters",
            )


_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))

# Each with the settings it needs: it is left out when one of them is missing or wrong in itself.
_RULES: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Problem]]], ...] = (
    *(
        ((f"regions.{first}", f"regions.{second}"), partial(_differ, first, second))
        for first, second in combinations(("primary", "secondary", "witness"), 2)
    ),
    (("regions.primary", "regions.secondary", "regions.witness"), _consistent),
    (("network.primary_cidr",), partial(_block, "network.primary_cidr")),
    (("network.secondary_cidr",), partial(_block, "network.secondary_cidr")),
    (("network.primary_cidr", "network.secondary_cidr"), _apart),
    (("database.min_capacity", "database.max_capacity"), _capacity),
    *(
        ((key, "test_environment"), partial(_host, key))
        for key in ("functions.runtime", "functions.architecture")
    ),
    (("service", "environment", "dns.domain"), _lengths),
)
