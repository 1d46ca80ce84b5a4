"""Secrets Manager's labels and versions, and RDS in two regions, in memory."""

import json
from dataclasses import dataclass, field
from typing import Any

from failover.rotation import CURRENT, PENDING, Credentials
from tests.unit.adapters.fakes import refused

GLOBAL_CLUSTER = "ledger"
PLACES = {"us-east-1": "primary", "us-east-2": "secondary"}
SECRET = "application"


@dataclass
class FakeVersions:
    """One secret that can be rotated, and others that are only read, by name."""

    texts: dict[str, str]
    labels: dict[str, list[str]]
    others: dict[str, Credentials] = field(default_factory=dict)
    status: str = "InSync"

    def describe_secret(self, **request: Any) -> dict[str, Any]:
        replica = {"Region": "us-east-2", "Status": self.status}
        return {
            "Name": request["SecretId"],
            "VersionIdsToStages": self.labels,
            "ReplicationStatus": [replica],
        }

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        other = self.others.get(request["SecretId"])
        if other is not None:
            return {"SecretString": as_text(other)}
        by_label = next((name for name, held in self.labels.items() if CURRENT in held), "")
        version = request.get("VersionId", by_label)
        if version not in self.texts:
            raise refused("ResourceNotFoundException")
        return {"SecretString": self.texts[version]}

    def put_secret_value(self, **request: Any) -> dict[str, Any]:
        version = request["ClientRequestToken"]
        if self.texts.setdefault(version, request["SecretString"]) != request["SecretString"]:
            raise refused("ResourceExistsException")
        self.labels[version] = request["VersionStages"]
        return {}

    def update_secret_version_stage(self, **request: Any) -> dict[str, Any]:
        self.labels[request["RemoveFromVersionId"]] = ["AWSPREVIOUS"]
        self.labels[request["MoveToVersionId"]] = [CURRENT, PENDING]
        return {}

    def current(self) -> Credentials:
        value = json.loads(self.get_secret_value(SecretId=SECRET)["SecretString"])
        return Credentials(value["username"], value["password"])


def as_text(credentials: Credentials) -> str:
    return json.dumps({"username": credentials.username, "password": credentials.password})


@dataclass
class FakeClusters:
    """By region: where its cluster listens; `writer` is a region, or nobody knows."""

    listening: dict[str, tuple[str, int]]
    writer: str | None
    asked: list[tuple[str, str]] = field(default_factory=list)
    instances: int = 1
    synchronization: str = "connected"

    def __call__(self, region: str) -> Any:
        return FakeRegion(self, region)


@dataclass
class FakeRegion:
    clusters: FakeClusters
    region: str

    def describe_global_clusters(self, **request: Any) -> dict[str, Any]:
        assert request == {"GlobalClusterIdentifier": GLOBAL_CLUSTER}
        described = [
            {
                "DBClusterArn": f"arn:aws:rds:{region}:123456789012:cluster:ledger-{PLACES[region]}",
                "IsWriter": region == self.clusters.writer,
                "SynchronizationStatus": self.clusters.synchronization,
            }
            for region in self.clusters.listening
        ]
        return {"GlobalClusters": [{"GlobalClusterMembers": described}]}

    def describe_db_clusters(self, **request: Any) -> dict[str, Any]:
        if request["DBClusterIdentifier"] != f"ledger-{PLACES[self.region]}":
            raise refused("DBClusterNotFoundFault", 404)
        host, port = self.clusters.listening[self.region]
        writes = self.region == self.clusters.writer
        cluster = {
            "Endpoint": host if writes else "inactive.invalid",
            "ReaderEndpoint": "readers.invalid" if writes else host,
            "Port": port,
            "DBClusterMembers": [{}] * (1 if writes else self.clusters.instances),
        }
        return {"DBClusters": [cluster]}
