"""What one lab is made of: directories, addresses, ports, names; written to `lab.json`, read by all parts."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.addresses import (
    LOOPBACK,
    PER_REGION,
    Endpoint,
    can_bind,
    candidate_bases,
    reader_address,
    region_addresses,
)

DEFAULT_DIRECTORY = Path(__file__).resolve().parent.parent / ".lab"
PROFILE = "payments-lab"
PLAN_VARIABLE = "PAYMENTS_LAB_PLAN"  # where the embedded AWS finds the plan it was started with
PLACES = ("primary", "secondary", "witness")
ACCOUNT_ID = "000000000000"
_EVERYBODY_S_SCRATCH = Path("/tmp")  # noqa: S108 - a directory of random name is made in it, for root alone
_PORTS_PER_REGION = 10
_RESTORED = "-restored"


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """Where one region listens. The witness takes no payments: only its proxy is started."""

    name: str
    place: str
    address: str
    reader_address: str  # of the database's reader endpoint only; it has the writer endpoint's port
    proxy_port: int
    front_door_port: int
    postgres_port: int  # what clients use: TLS endpoints
    postgres_server_port: int  # behind them, in the clear, for the endpoints and for replication

    @property
    def proxy_url(self) -> str:
        return f"http://{self.address}:{self.proxy_port}"

    @property
    def public_address(self) -> str:
        """What DNS answers for the region's host names; its own even where the host lends only one."""
        return PER_REGION[PLACES.index(self.place)]

    @property
    def closed_url(self) -> str:
        """A port nobody listens on: where a function without a way to AWS is sent."""
        return f"http://{self.address}:{self.proxy_port + _PORTS_PER_REGION - 2}"

    @property
    def replication_link(self) -> Endpoint:
        """Where the region's database connects to stream from another region's."""
        return self.address, self.postgres_server_port + 1

    @property
    def holds_data(self) -> bool:
        return self.place != "witness"

    @property
    def restored_server_port(self) -> int:
        """Of a cluster that was restored from a snapshot, beside the region's own."""
        return self.postgres_server_port + 4

    @property
    def restored_port(self) -> int:
        """What clients of that cluster use."""
        return self.postgres_server_port + 2

    @property
    def writer_endpoint(self) -> Endpoint:
        return self.address, self.postgres_port

    @property
    def reader_endpoint(self) -> Endpoint:
        return self.reader_address, self.postgres_port

    def endpoints(self) -> tuple[Endpoint, ...]:
        proxy = (self.address, self.proxy_port)
        if not self.holds_data:
            return (proxy,)
        front_door, server = (self.address, self.front_door_port), (self.address, self.postgres_server_port)
        restored = tuple((self.address, port) for port in (self.restored_port, self.restored_server_port))
        served = (self.writer_endpoint, self.reader_endpoint, (self.reader_address, self.restored_port))
        return proxy, front_door, *served, server, self.replication_link, *restored


@dataclass(frozen=True, slots=True)
class LabPlan:
    """`directory` is for people; `runtime_directory` PostgreSQL's user can read, and `down` removes."""

    directory: Path
    runtime_directory: Path
    gateway_port: int
    dns_port: int  # on loopback, by UDP and TCP
    domain: str
    regions: dict[str, RegionPlan]
    profile: str = PROFILE
    account_id: str = ACCOUNT_ID
    database: str = "ledger"
    directory_table: str = "payments-directory-lab"
    time_scale: float = 1.0
    """What AWS's timers are multiplied by; leases and timeouts stay as they are."""
    alarm_seconds: float = 60.0
    """How often an alarm is judged; 60 on AWS, and 10 where it is of high resolution."""
    rejoin_seconds: float = 30.0
    """How long after a failover, at least, the writer it left behind lives on; on AWS it takes minutes."""
    trail_seconds: float = 30.0
    """How often CloudTrail delivers; on AWS within about 5 minutes, and nobody's recovery waits for it."""

    def scaled(self, seconds: float) -> float:
        """As long as something of so many seconds on AWS takes here."""
        return seconds * self.time_scale

    @property
    def gateway_address(self) -> str:
        return LOOPBACK

    @property
    def gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.gateway_port}"

    @property
    def dns(self) -> Endpoint:
        return LOOPBACK, self.dns_port

    @property
    def doors(self) -> dict[str, Endpoint]:
        """By the address that DNS answers, where that region's front door listens."""
        return {
            region.public_address: (region.address, region.front_door_port) for region in self.data_regions
        }

    @property
    def aws_endpoint_url(self) -> str:
        """What an operator's tools use: the primary region's proxy, which serves every region's requests."""
        return self.region_at("primary").proxy_url

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def aws_config_file(self) -> Path:
        return self.directory / "aws" / "config"

    @property
    def aws_credentials_file(self) -> Path:
        return self.directory / "aws" / "credentials"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def mail_file(self) -> Path:
        """What operators' mailboxes would have received, one letter a line."""
        return self.logs / "mail.jsonl"

    @property
    def control_socket(self) -> Path:
        return self.runtime_directory / "control.sock"

    @property
    def outages_file(self) -> Path:
        """Which regions are dead, cut off or standing still; absent while all is well."""
        return self.runtime_directory / "outages.json"

    @property
    def merchants_file(self) -> Path:
        return self.directory / "merchants.json"

    @property
    def processes_file(self) -> Path:
        return self.directory / "processes.json"

    @property
    def functions_directory(self) -> Path:
        """One file per process that runs a function's code, named by its pid."""
        return self.runtime_directory / "functions"

    @property
    def superuser_password_file(self) -> Path:
        return self.runtime_directory / "superuser.password"

    @property
    def file(self) -> Path:
        return plan_file(self.directory)

    @property
    def data_regions(self) -> tuple[RegionPlan, ...]:
        return tuple(region for region in self.regions.values() if region.holds_data)

    def region_at(self, place: str) -> RegionPlan:
        return next(region for region in self.regions.values() if region.place == place)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Everything the lab listens on."""
        of_regions = [endpoint for region in self.regions.values() for endpoint in region.endpoints()]
        return ((LOOPBACK, self.gateway_port), self.dns, *of_regions)

    def write(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        scratch = self.file.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n")
        scratch.replace(self.file)


def plan_file(directory: Path) -> Path:
    return directory / "lab.json"


def plan_lab(
    *,
    directory: Path,
    regions: Mapping[str, str],
    domain: str,
    base_port: int | None = None,
    addresses: tuple[str, ...] | None = None,
    account_id: str = ACCOUNT_ID,
    database: str = "ledger",
    directory_table: str = "payments-directory-lab",
    time_scale: float = 1.0,
) -> LabPlan:
    """Choose addresses and ports for `regions` (place -> region name); creates nothing.

    `addresses`, one per place, are the host's best unless given. With `base_port` the ports follow from
    it, taken or not: who starts the lab checks and names the holder.
    """
    addresses = addresses or region_addresses(len(PLACES))
    distinct = len(set(addresses)) == len(addresses)
    runtime = _scratch() / f"payments-lab-{os.getuid()}-{os.urandom(4).hex()}"
    size = _PORTS_PER_REGION * (1 if distinct else len(PLACES))
    for base in candidate_bases(size) if base_port is None else (base_port,):
        plan = LabPlan(
            directory=directory.resolve(),
            runtime_directory=runtime,
            gateway_port=base,
            dns_port=base + 7,
            domain=domain,
            account_id=account_id,
            database=database,
            directory_table=directory_table,
            time_scale=time_scale,
            regions={
                regions[place]: _region(
                    regions[place], place, address, base + (0 if distinct else _PORTS_PER_REGION * index)
                )
                for index, (place, address) in enumerate(zip(PLACES, addresses, strict=True))
            },
        )
        free = all(can_bind(endpoint) for endpoint in plan.endpoints()) and can_bind(plan.dns, by="udp")
        if base_port is not None or free:
            return plan
    raise RuntimeError("no free block of ports between 20000 and 32000 on the loopback addresses")


def restored(region: str) -> str:
    """What the region's second database is called, which has what a snapshot kept."""
    return f"{region}{_RESTORED}"


def read_plan(file: Path) -> LabPlan:
    """Raises FileNotFoundError when there is no lab, ValueError when the file is not one of ours."""
    return plan_from_json(file.read_text())


def plan_from_json(text: str) -> LabPlan:
    try:
        value: dict[str, Any] = json.loads(text)
        regions = {name: RegionPlan(**region) for name, region in value.pop("regions").items()}
        directory, runtime = Path(value.pop("directory")), Path(value.pop("runtime_directory"))
        return LabPlan(directory=directory, runtime_directory=runtime, regions=regions, **value)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a lab plan: {error!r}") from error


def _scratch() -> Path:
    """Where temporary files go; for root somewhere that PostgreSQL's unprivileged account gets to as well."""
    scratch = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(place.stat().st_mode & stat.S_IXOTH for place in (scratch, *scratch.parents))
    return scratch if os.geteuid() != 0 or open_to_all else _EVERYBODY_S_SCRATCH


def _region(name: str, place: str, address: str, base: int) -> RegionPlan:
    return RegionPlan(
        name=name,
        place=place,
        address=address,
        reader_address=reader_address(address),
        proxy_port=base + 1,
        front_door_port=base + 2,
        postgres_port=base + 3,
        postgres_server_port=base + 4,
    )
