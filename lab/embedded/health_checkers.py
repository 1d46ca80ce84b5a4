"""Route 53's health checkers: they ask what a check names, at its interval, and say so in us-east-1 only.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html.
One checker asks here; on AWS more than 18 % of many have to agree.
"""

import http.client
import os
import socket
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import route53

from lab.embedded import deliveries, metrics
from lab.embedded.handlers import Handlers
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

_METRICS_REGION = "us-east-1"
_CONNECT, _ANSWER = 4.0, 2.0  # seconds to connect, and then to answer
_HEALTHY = range(200, 400)


def register(_: Handlers) -> None:
    deliveries.add(Checkers(read_plan(Path(os.environ[PLAN_VARIABLE]))))


@dataclass
class Observed:
    """`healthy` changes after as many results in a row as the check's threshold says."""

    healthy: bool = True
    against: int = 0
    asked_at: float = -1e9
    running: Future[bool] | None = None

    def take(self, success: bool, threshold: int) -> None:
        self.against = 0 if success == self.healthy else self.against + 1
        if self.against >= threshold:
            self.healthy, self.against = success, 0


@dataclass
class Checkers:
    plan: LabPlan
    observed: dict[str, Observed] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "health-checkers"))

    def __call__(self) -> None:
        checks = {(account, key): one for (account, key), one in route53._health_checks._data.items()}
        for (account, identifier), check in checks.items():
            config = check["config"]
            where = self._endpoint(str(config.get("FullyQualifiedDomainName", "")))
            if config.get("Type") != "HTTPS" or where is None:
                continue
            self._look(account, identifier, config, where)
        for gone in self.observed.keys() - {identifier for _, identifier in checks}:
            del self.observed[gone]

    def _look(self, account: str, identifier: str, config: dict[str, Any], where: tuple[str, int]) -> None:
        seen = self.observed.setdefault(identifier, Observed())
        if seen.running is not None and seen.running.done():
            success, seen.running = seen.running.result(), None
            seen.take(success, int(config["FailureThreshold"]))
            inverted = str(config.get("Inverted")).lower() == "true"
            with request_scope(account, _METRICS_REGION):
                dimensions = {"HealthCheckId": identifier}
                metrics.record(
                    "AWS/Route53", "HealthCheckStatus", seen.healthy != inverted, "None", dimensions
                )
                metrics.record(
                    "AWS/Route53", "HealthCheckPercentageHealthy", 100 * success, "Percent", dimensions
                )
        if seen.running is None and time.monotonic() - seen.asked_at >= float(config["RequestInterval"]):
            seen.asked_at = time.monotonic()
            seen.running = self._threads.submit(ask, where, config, self.plan.ca_file)

    def _endpoint(self, name: str) -> tuple[str, int] | None:
        """The front door of the region a name belongs to; checkers know no other host of the lab."""
        for region in self.plan.data_regions:
            if name == f"{region.place}.{self.plan.domain}":
                return region.address, region.front_door_port
        return None


def ask(where: tuple[str, int], config: dict[str, Any], ca_file: Path) -> bool:
    """Whether the endpoint answers with 2xx or 3xx in time. Certificates are not validated, as on AWS."""
    name = str(config["FullyQualifiedDomainName"])
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file.exists() else None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection(name)
    try:
        plain = socket.create_connection(where, timeout=_CONNECT)
        connection.sock = context.wrap_socket(plain, server_hostname=name)
        connection.sock.settimeout(_ANSWER)
        agent = "Amazon-Route53-Health-Check-Service (lab)"
        connection.request("GET", str(config.get("ResourcePath", "/")), headers={"User-Agent": agent})
        return connection.getresponse().status in _HEALTHY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
