"""What the tests of the embedded AWS share: clients that reach nothing else, and waiting for a condition."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config

from lab.plan import LabPlan

ROOT = Path(__file__).resolve().parents[3]
REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}
HOME, PEER, WITNESS = REGIONS.values()
DEADLINE = 60.0  # seconds; each wait ends as soon as its condition holds


def eventually(probe: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """The first value of `probe` that is not None or False; fails with `what` when the deadline passes."""
    end = time.monotonic() + deadline
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class EmbeddedAws:
    plan: LabPlan
    log: Path

    def client(self, service: str, region: str = HOME, access_key: str | None = None, **secret: str) -> Any:
        return cast(Any, boto3).client(
            service,
            region_name=region,
            endpoint_url=self.plan.gateway_url,
            aws_access_key_id=access_key or self.plan.account_id,
            aws_secret_access_key=secret.get("secret_key", "test"),
            aws_session_token=secret.get("token"),
            config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
        )
