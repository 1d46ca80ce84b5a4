"""What a failover depends on besides what `status` asks: as each region answers it, unjudged."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from failover.planner import Unknown
from ops.observation import Observation, Region
from templates.config import Settings
from templates.names import Place

_ABOUT_IT: Final = {"region", "place"}


@dataclass(frozen=True, slots=True)
class Instance:
    name: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """`capacity` in Aurora's units, least and most; None where it is not serverless."""

    state: str
    version: str
    capacity: tuple[float, float] | None
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """`variables` is None where these credentials may not decrypt them; `reserved`: of the concurrency."""

    code: str
    configuration: Mapping[str, str]
    variables: Mapping[str, str] | None
    state: str
    reserved: int | None


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of the account in this region: functions at a time, and requests to API Gateway in a second."""

    concurrency: int
    unreserved: int
    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Secret:
    """`version` is the one in use; `behind` are the regions of its replicas that are not in sync."""

    version: str
    behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    state: str
    expires: datetime | None
    hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class HostName:
    """A custom domain of API Gateway. `target` is what its record has to lead to."""

    state: str
    target: str
    mapped: bool
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Peering:
    """`routes` lead to the other region's network, `holes` would if what they lead through were there."""

    state: str
    routes: int
    holes: int


@dataclass(frozen=True, slots=True)
class Table:
    """The other replicas and the witnesses by region, with what is said of each."""

    state: str
    strong: bool
    replicas: Mapping[str, str]
    witnesses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LogCopies:
    """The rule by which S3 sends the transaction log away."""

    enabled: bool
    destination: str


@dataclass(frozen=True, slots=True)
class Books:
    """What one cluster has of the compared payments; `applied` is None where it may not be read."""

    copy: bool
    epoch: int
    payments: int
    digest: str
    applied: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both ledgers as one region's function `compare` sees them; `expected` are its release's migrations."""

    ledgers: Mapping[str, Books | Unknown]
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What Region switch found when it last looked at the plan in this region."""

    state: str
    warnings: tuple[str, ...]
    execution: str | None


@dataclass(frozen=True, slots=True)
class Record:
    target: str
    health_check: str | None


@dataclass(frozen=True, slots=True)
class Records:
    """`failover` by PRIMARY and SECONDARY; `regional` by host name; `check`: the host and path it asks."""

    failover: Mapping[str, Record]
    regional: Mapping[str, Record]
    check: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Facts:
    """One region's answers."""

    region: str
    place: Place
    cluster: Cluster | Unknown
    functions: Mapping[str, Function] | Unknown
    quotas: Quotas | Unknown
    secrets: Mapping[str, Secret] | Unknown
    key: str | Unknown
    hosts: Mapping[str, HostName] | Unknown
    peering: Peering | Unknown
    tables: Mapping[str, Table] | Unknown
    copies: LogCopies | Unknown
    comparison: Comparison | Unknown
    plan: Evaluation | Unknown


QUESTIONS: Final = tuple(field.name for field in fields(Facts) if field.name not in _ABOUT_IT)


@dataclass(frozen=True, slots=True)
class Seen:
    """`here` is the region that is to take over, `there` the other one. The same order in all of it."""

    settings: Settings
    status: Observation
    here: Facts
    there: Facts
    records: Records | Unknown

    @property
    def facts(self) -> tuple[Facts, Facts]:
        """The primary first."""
        return (self.here, self.there) if self.here.place == "primary" else (self.there, self.here)

    def status_of(self, facts: Facts) -> Region:
        return next(one for one in self.status.regions if one.region == facts.region)
