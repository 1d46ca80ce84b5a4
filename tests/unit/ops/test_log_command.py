"""`python -m ops log verify`: what it shows, and how it ends."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import boto3
import pytest

from adapters.log_segments import S3Segments, key
from adapters.progress import DynamoProgress
from ops.cli import main
from ops.directory import Rejected
from ops.log import result
from payments.ship import BOOKMARK, Head, bookmark
from payments.transaction_log import FIRST, compressed
from payments.verify_log import BrokenLink, Verification
from templates.names import Names
from tests.unit.adapters.conftest import EmbeddedAws
from tests.unit.payments.test_transaction_log import chain, forged

CHAIN = chain(5, 4, 3)
REGION: Final = "us-east-2"
DEPLOYMENT = Path(__file__).parents[3] / "deployment.toml"


@dataclass(frozen=True, slots=True)
class Region:
    """An environment's log in the embedded AWS, one of its own for each test."""

    config: Path
    environment: str
    s3: Any
    progress: DynamoProgress
    own: str
    received: str

    def verify(self, *options: str, environment: str | None = None) -> None:
        where = ["--config", str(self.config), "--environment", environment or self.environment]
        main([*where, "--region", REGION, "log", "verify", *options])

    def head(self, number: int, *, shipped: bool = True) -> None:
        segment = CHAIN[number - 1]
        head = Head(segment.after, segment.end, segment.rows, shipped)
        self.progress.write(BOOKMARK, bookmark(head), self.progress.read(BOOKMARK))


@pytest.fixture
def region(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Region:
    for name, value in (
        ("AWS_ENDPOINT_URL", embedded_aws.url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ):
        monkeypatch.setenv(name, value)
    environment = f"t{uuid4().hex[:6]}"
    config = tmp_path / "deployment.toml"
    config.write_text(f"{DEPLOYMENT.read_text()}\n[environments.{environment}]\n[environments.other]\n")
    names = Names("payments", environment, "payments.example.com")
    s3 = boto3.client("s3", region_name=REGION)
    own, received = (names.bucket(component, "secondary") for component in ("transactions", "received"))
    for bucket in (own, received):
        s3.create_bucket(
            Bucket=bucket,
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
    tables = boto3.client("dynamodb", region_name=REGION)
    tables.create_table(
        TableName=names.shared("progress"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return Region(config, environment, s3, DynamoProgress(tables, names.shared("progress")), own, received)


def test_a_whole_chain_of_both_buckets_ends_well(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    S3Segments(region.s3, region.received).put(CHAIN[0])
    for segment in CHAIN[1:]:
        S3Segments(region.s3, region.own).put(segment)
    region.head(3)
    region.verify()
    shown = capsys.readouterr()
    assert shown.out == (
        "transaction log in us-east-2: segments 1 to 3 are whole, 12 payments\n"
        f"last hash {CHAIN[2].end.hash}\n"
    )
    region.verify("--json", "--from", "2")
    assert json.loads(capsys.readouterr().out) == {
        "region": "us-east-2",
        "first": 2,
        "last": 3,
        "segments": 2,
        "payments": 7,
        "hash": CHAIN[2].end.hash,
        "head": {"segment": 3, "hash": CHAIN[2].end.hash},
        "broken": None,
        "notes": [],
    }


def test_a_broken_link_is_named_and_ends_with_1(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    own = S3Segments(region.s3, region.own)
    own.put(CHAIN[0])
    region.s3.put_object(Bucket=region.own, Key=key(2), Body=compressed(forged((3, {"amount": 1}))))
    own.put(CHAIN[2])
    region.head(3)
    with pytest.raises(SystemExit) as ended:
        region.verify("--json")
    assert ended.value.code == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["segments"], document["payments"]) == (2, 9)
    assert (document["broken"]["segment"], document["broken"]["line"]) == (3, 1)
    assert shown.err.startswith("transaction log in us-east-2: segment 3, line 1 in s3://")
    assert "its previous hash is not that of the line before; compare it with" in shown.err


def test_what_was_put_over_a_segment_is_named(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    for segment in CHAIN:
        S3Segments(region.s3, region.own).put(segment)
    region.s3.put_object(Bucket=region.own, Key=key(2), Body=b"nothing")
    with pytest.raises(SystemExit) as ended:
        region.verify()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("transaction log in us-east-2: segment 1 is whole, 5 payments\n")
    assert f"segment 2 in s3://{region.own}/{key(2)} (version " in shown.err
    assert "it is not gzip" in shown.err


def test_what_is_missing_at_the_end_is_told_and_no_fault(
    region: Region, capsys: pytest.CaptureFixture[str]
) -> None:
    S3Segments(region.s3, region.received).put(CHAIN[0])
    region.head(3, shipped=False)
    region.verify()
    assert "segment 2 of 2 not here (yet)" in capsys.readouterr().out


def test_segments_that_the_head_does_not_know_are_broken(
    region: Region, capsys: pytest.CaptureFixture[str]
) -> None:
    S3Segments(region.s3, region.own).put(CHAIN[0])
    with pytest.raises(SystemExit):
        region.verify()
    assert "the head of the chain knows none after 0" in capsys.readouterr().err


def test_an_empty_log_ends_well(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    region.verify("--region", "us-east-2")
    assert capsys.readouterr().out == (
        "transaction log in us-east-2: nothing was verified\nthere is no segment here\n"
    )


@pytest.mark.parametrize("options", [["--region", "us-west-2"], ["--region", "mars"], ["--from", "0"], ["x"]])
def test_bad_usage_ends_with_2(
    region: Region, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        region.verify(*options)
    assert ended.value.code == 2
    assert capsys.readouterr().err


def test_a_region_without_buckets_says_what_to_do(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        region.verify(environment="other")
    assert ended.value.code == 1
    assert "is not there; deploy first" in capsys.readouterr().err


def test_a_head_that_cannot_be_read_is_told(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    S3Segments(region.s3, region.own).put(CHAIN[0])
    region.progress.write(BOOKMARK, {"segment": "?"}, None)
    region.verify()
    assert "the head of the chain could not be read (" in capsys.readouterr().out


def test_a_single_payment_is_one() -> None:
    (segment,) = chain(1)
    found = Verification(1, segment.end, 1, 1, BrokenLink(2, None, "it is missing"))
    shown = result("us-east-1", found, Head(FIRST, FIRST, 0, shipped=True), "")
    assert shown.text.startswith("transaction log in us-east-1: segment 1 is whole, 1 payment\n")
    assert str(shown.broken).startswith("transaction log in us-east-1: segment 2: it is missing; ")
    assert isinstance(shown.broken, Rejected)
