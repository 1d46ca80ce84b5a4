"""Route 53's health checkers: they ask what a check names, at its interval, and say so in us-east-1 only.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html.
One checker asks here; on AWS more than 18 % of many have to agree. They are no region's: they go on
whatever becomes of one.
"""

import http.client
import os
import socket
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import route53

from lab.addresses import Endpoint
from lab.embedded import deliveries, metrics
from lab.embedded.handlers import Handlers
from lab.embedded.health import Observed, is_true, observed, status
from lab.embedded.names import address_of
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

_METRICS_REGION = "us-east-1"
_CONNECT, _ANSWER = 4.0, 2.0  # seconds to connect, and then to answer
_HEALTHY = range(200, 400)


def register(_: Handlers) -> None:
    deliveries.add(Checkers(read_plan(Path(os.environ[PLAN_VARIABLE]))))


@dataclass
class Checkers:
    plan: LabPlan
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "health-checkers"))

    def __call__(self) -> None:
        checks = {(account, key): one for (account, key), one in route53._health_checks._data.items()}
        for (account, identifier), check in checks.items():
            config = check["config"]
            if config.get("Type") == "HTTPS" and not is_true(config, "Disabled"):
                self._look(account, identifier, config)
        for gone in observed.keys() - {identifier for _, identifier in checks}:
            del observed[gone]

    def _look(self, account: str, identifier: str, config: dict[str, Any]) -> None:
        now, interval = time.monotonic(), self.plan.scaled(float(config["RequestInterval"]))
        seen = observed.setdefault(identifier, Observed(due=now))
        if seen.running is None and now >= seen.due:
            seen.due = max(seen.due + interval, now + interval / 2)  # on time on average, never two at once
            seen.running = self._threads.submit(self._ask, config)
            seen.running.add_done_callback(partial(self._found, account, identifier, config, seen))

    def _ask(self, config: dict[str, Any]) -> bool:
        """By the name as DNS has it: a name without an address is unhealthy."""
        address = address_of(self.plan, str(config.get("FullyQualifiedDomainName", "")))
        door = self.plan.doors.get(address or "")
        return door is not None and ask(door, config, self.plan.ca_file)

    def _found(
        self, account: str, identifier: str, config: dict[str, Any], seen: Observed, done: Future[bool]
    ) -> None:
        """On the thread that asked: what DNS answers changes at once."""
        seen.running = None
        success = done.result()
        seen.take(success, int(config["FailureThreshold"]))
        with request_scope(account, _METRICS_REGION):
            dimensions = {"HealthCheckId": identifier}
            healthy = status(config, seen)
            metrics.record("AWS/Route53", "HealthCheckStatus", healthy, "None", dimensions)
            metrics.record(
                "AWS/Route53", "HealthCheckPercentageHealthy", 100 * success, "Percent", dimensions
            )


def ask(where: Endpoint, config: dict[str, Any], ca_file: Path) -> bool:
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
