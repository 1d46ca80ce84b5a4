"""What EC2 and RDS of the embedded AWS describe, as `lab.network` wants it."""

import threading
import time
from typing import TYPE_CHECKING

import boto3.session
from botocore.config import Config

from lab import environment
from lab.network import Network, Placement
from lab.plan import LabPlan

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_rds import RDSClient

_REMEMBER = 1.0  # seconds; a deleted route is noticed by the next connection after that


class Described:
    """Asks the gateway itself: looking is not a region's traffic. Blocking; safe to use from any thread."""

    def __init__(self, plan: LabPlan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._ec2: dict[str, EC2Client] = {}
        self._rds: dict[str, RDSClient] = {}
        self._networks: dict[str, tuple[float, Network]] = {}

    def network(self, region: str) -> Network:
        with self._lock:
            asked_at, known = self._networks.get(region, (0.0, None))
            if known is None or time.monotonic() - asked_at > _REMEMBER:
                known = _network(self._ec2_client(region))
                self._networks[region] = (time.monotonic(), known)
            return known

    def database(self, region: str) -> Placement:
        """Where the region's cluster is. Raises LookupError when there is none."""
        with self._lock:
            client = self._rds_client(region)
            port = self._plan.regions[region].postgres_port  # another one is a cluster restored beside it
            clusters = [one for one in client.describe_db_clusters()["DBClusters"] if one["Port"] == port]
            if not clusters:
                raise LookupError(f"RDS describes no cluster in {region}")
            cluster = clusters[0]
            groups = client.describe_db_subnet_groups(DBSubnetGroupName=cluster["DBSubnetGroup"])
            return Placement(
                subnets=tuple(s["SubnetIdentifier"] for s in groups["DBSubnetGroups"][0]["Subnets"]),
                security_groups=tuple(g["VpcSecurityGroupId"] for g in cluster["VpcSecurityGroups"]),
            )

    def _ec2_client(self, region: str) -> "EC2Client":
        if region not in self._ec2:
            self._ec2[region] = self._session().client(
                "ec2", region_name=region, endpoint_url=self._plan.gateway_url, config=_CONFIG
            )
        return self._ec2[region]

    def _rds_client(self, region: str) -> "RDSClient":
        if region not in self._rds:
            self._rds[region] = self._session().client(
                "rds", region_name=region, endpoint_url=self._plan.gateway_url, config=_CONFIG
            )
        return self._rds[region]

    def _session(self) -> boto3.session.Session:
        return boto3.session.Session(**environment.credentials(self._plan))


_CONFIG = Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5)


def _network(client: "EC2Client") -> Network:
    return Network(
        subnets=tuple(client.describe_subnets()["Subnets"]),
        route_tables=tuple(client.describe_route_tables()["RouteTables"]),
        nat_gateways=tuple(client.describe_nat_gateways()["NatGateways"]),
        internet_gateways=tuple(client.describe_internet_gateways()["InternetGateways"]),
        endpoints=tuple(client.describe_vpc_endpoints()["VpcEndpoints"]),
        peerings=tuple(client.describe_vpc_peering_connections()["VpcPeeringConnections"]),
        security_groups=tuple(client.describe_security_groups()["SecurityGroups"]),
    )
