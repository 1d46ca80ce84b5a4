"""What the tests of the embedded AWS share: clients that reach nothing else, and waiting for a condition."""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab import outages
from lab.outages import Outages
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


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@contextmanager
def during(aws: EmbeddedAws, now: Outages) -> Iterator[None]:
    directory = aws.plan.outages_file.parent
    directory.mkdir(exist_ok=True)
    outages.write(aws.plan.outages_file, now)
    try:
        yield
    finally:
        shutil.rmtree(directory)


def deploy(aws: EmbeddedAws, stack: str, template: dict[str, Any], region: str = HOME, **request: Any) -> str:
    """Create the stack, or update it when there is one; the status it comes to rest in."""
    client = aws.client("cloudformation", region)
    try:
        existing = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] != "DELETE_COMPLETE"
    except ClientError:
        existing = False
    act = client.update_stack if existing else client.create_stack
    act(StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"], **request)
    return outcome(aws, stack, region)


def outcome(aws: EmbeddedAws, stack: str, region: str = HOME) -> str:
    client = aws.client("cloudformation", region)

    def status() -> str | None:
        try:
            found = str(client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        except ClientError:
            return "DELETE_COMPLETE"
        return None if found.endswith("_IN_PROGRESS") else found

    return str(eventually(status, f"{stack} comes to rest"))


def reasons(aws: EmbeddedAws, stack: str, region: str = HOME) -> str:
    """Why resources of the stack failed, one line each."""
    events = aws.client("cloudformation", region).describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "\n".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}" for e in failed)


def delete(aws: EmbeddedAws, stack: str, region: str = HOME) -> str:
    aws.client("cloudformation", region).delete_stack(StackName=stack)
    return outcome(aws, stack, region)


def outputs(aws: EmbeddedAws, stack: str, region: str = HOME) -> dict[str, str]:
    described = aws.client("cloudformation", region).describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
