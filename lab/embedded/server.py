"""How MiniStack is started: its settings (read when it is imported) and the server around it.

`AUTH=true` means that IAM is enforced, for every request:

* The deployer uses root credentials: an access key that is the account's 12-digit id (any secret) is root in
  MiniStack.
* A function gets a session of its execution role; a missing grant is `AccessDeniedException`, as on AWS.
* `CAPABILITY_NAMED_IAM` is demanded for templates with named roles, and a new bucket blocks public access.
* CloudFormation itself is not restricted: MiniStack creates resources as the account, whatever role a stack
  or a StackSet names. The roles of a StackSet must exist and trust each other
  (`lab.embedded.stackset_roles`).
* Signatures of root keys are not checked, so nothing here protects the port: it is bound to loopback.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.plan import PLAN_VARIABLE, LabPlan

_NO_CONTAINERS = "unix:///nonexistent/docker.sock"
"""MiniStack removes leftover containers of its own when it starts; a laptop's container engine is none of our
business.
"""


def settings(plan: LabPlan, host: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the embedded AWS: nothing of the host's but what a process needs to run."""
    scratch = plan.directory / "aws" / "tmp"
    return {
        **{name: host[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH") if name in host},
        "AUTH": "true",
        "BIND_HOST": plan.gateway_address,
        "MINISTACK_HOST": plan.gateway_address,
        "GATEWAY_PORT": str(plan.gateway_port),
        "MINISTACK_ACCOUNT_ID": plan.account_id,
        "MINISTACK_REGION": plan.region_at("primary").name,
        "AWS_ACCESS_KEY_ID": plan.account_id,
        "AWS_SECRET_ACCESS_KEY": "lab",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": _NO_CONTAINERS,
        "TMPDIR": str(scratch),
        "STATE_DIR": str(scratch / "state"),
        "S3_DATA_DIR": str(scratch / "s3"),
        "MINISTACK_WORKER_THREADS": "256",  # what waits for functions that are frozen takes one each
        "LOG_LEVEL": host.get("LOG_LEVEL", "WARNING"),
        PLAN_VARIABLE: str(plan.file),
    }


def enter(environment: Mapping[str, str]) -> None:
    """Make `environment` this process's own: MiniStack reads it while it is imported."""
    os.environ.clear()
    os.environ.update(environment)
    Path(environment["TMPDIR"]).mkdir(parents=True, exist_ok=True)


def serve(address: str, port: int) -> None:
    """Until SIGTERM or SIGINT. MiniStack's own `main` would leave a pid file."""
    from hypercorn.asyncio import serve as serve_with_hypercorn
    from hypercorn.config import Config
    from ministack import app

    from lab.embedded import deliveries
    from lab.embedded.extension import install

    install()
    config = Config()
    config.bind = [f"{address}:{port}"]
    config.keep_alive_timeout = 75
    config.loglevel = os.environ["LOG_LEVEL"]
    config.graceful_timeout = 1.0

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

        async def stopped() -> None:
            await stop.wait()

        delivering = asyncio.create_task(deliveries.run())
        await serve_with_hypercorn(_over_tls(app.app), config, shutdown_trigger=stopped)
        delivering.cancel()

    asyncio.run(run())


def _over_tls(application: Any) -> Any:
    """Every request counts as sent over TLS (`aws:SecureTransport`), as AWS's endpoints are by default.

    The proxies in front are plain HTTP on loopback; without this, policies that refuse plain HTTP refuse all.
    """

    async def with_https(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await application({**scope, "scheme": "https"} if scope["type"] == "http" else scope, receive, send)

    return with_https
