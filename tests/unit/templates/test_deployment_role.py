"""The policy for the role that CloudFormation deploys `root` and `zone` with (docs/deployment-role.json)."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from lab.embedded.schema import resource_schema
from tests.rules.reading import listed
from tests.rules.variants import SETTINGS, variant

_POLICY = json.loads((Path(__file__).parents[3] / "docs" / "deployment-role.json").read_text())

NOT_GRANTED = {
    "application-autoscaling:*": "tables are paid for by request",
    "elasticfilesystem:*": "functions have no file systems",
    "firehose:*": "logs go to CloudWatch Logs",
    "kinesis:*": "tables have no streams of Kinesis",
    "organizations:*": "the trail is the account's",
    "s3files:*": "functions have no file systems",
    "s3tables:*": "buckets have no metadata tables",
    "sts:AssumeRole": "both networks are this account's",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_cloudformation_calls_for_root_and_zone_is_granted(name: str) -> None:
    granted = [
        action.lower()
        for statement in _POLICY["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    ]
    missing = {
        (resource["Type"], action)
        for template in ("root", "zone")
        for resource in variant(name).templates[template]["Resources"].values()
        if (schema := resource_schema(resource["Type"], "us-east-1"))
        for handler in (schema.document.get("handlers") or {}).values()
        for action in handler["permissions"]
        if not any(
            fnmatchcase(action.lower(), pattern) for pattern in [*granted, *map(str.lower, NOT_GRANTED)]
        )
    }
    assert not missing


def test_it_fits_into_a_role() -> None:
    assert len(json.dumps(_POLICY, separators=(",", ":"))) <= 10_240
