"""The transaction log as an operator asks for it: whether it is whole, and how far one region can tell."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import code
from adapters.log_archive import S3Archive
from adapters.progress import DynamoProgress
from failover.errors import Unavailable
from ops.directory import Rejected
from payments.ship import BOOKMARK, Head, head
from payments.transaction_log import FIRST
from payments.verify_log import BrokenLink, Verification, verify
from templates.config import Settings
from templates.names import Place

_PATIENT: Final = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard"})


@dataclass(frozen=True, slots=True)
class Result:
    """`document` is what is shown; `broken` is None when nothing is."""

    document: dict[str, Any]
    text: str
    broken: Rejected | None


def verified(settings: Settings, region: str, start: int) -> Result:
    """Raises Rejected when the region has no log, and what the SDK raises when it cannot be read."""
    buckets = _buckets(settings, region)
    client = boto3.client("s3", region_name=region, config=_PATIENT)
    known = _Known(settings.names.shared("progress"), region)
    try:
        found = verify(
            [S3Archive(client, bucket) for bucket in buckets], known.head, datetime.now(UTC), start
        )
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise
        todo = "deploy first, or check --environment and --region"
        raise Rejected(
            f"transaction log in {region}: {' or '.join(buckets)} is not there; {todo}", 1
        ) from error
    return result(region, found, known.found, known.unreadable)


def _buckets(settings: Settings, region: str) -> list[str]:
    """What the region shipped itself, and what arrived from the other one."""
    places: dict[str, Place] = {
        settings.regions.primary: "primary",
        settings.regions.secondary: "secondary",
    }
    if region not in places:
        raise Rejected(f"--region: {region} holds no transaction log; use {' or '.join(places)}", 2)
    return [settings.names.bucket(component, places[region]) for component in ("transactions", "received")]


class _Known:
    """The head of the chain, if it can be read; without it the log is compared with itself only."""

    def __init__(self, table: str, region: str) -> None:
        client = boto3.client("dynamodb", region_name=region, config=_PATIENT)
        self._progress = DynamoProgress(client, table)
        self.found: Head | None = None
        self.unreadable = ""

    def head(self) -> Head | None:
        try:
            held = self._progress.read(BOOKMARK)
            self.found = head(held) if held is not None else Head(FIRST, FIRST, 0, shipped=True)
        except ClientError as error:
            self.unreadable = code(error)
        except (BotoCoreError, Unavailable, ValueError) as error:
            self.unreadable = str(error)
        return self.found


def result(region: str, found: Verification, known: Head | None, unreadable: str) -> Result:
    notes = list(found.notes)
    if known is None:
        notes.append(f"the head of the chain could not be read ({unreadable}): compared with itself only")
    document = {
        "region": region,
        "first": found.first,
        "last": found.last.segment if found.segments else 0,
        "segments": found.segments,
        "payments": found.rows,
        "hash": found.last.hash if found.segments else None,
        "head": {"segment": known.chain.segment, "hash": known.chain.hash} if known is not None else None,
        "broken": asdict(found.broken) if found.broken is not None else None,
        "notes": notes,
    }
    summary = f"transaction log in {region}: {_whole(found)}"
    if found.segments:
        summary += f"\nlast hash {found.last.hash}"
    return Result(document, "\n".join((summary, *notes)), _rejected(region, found.broken))


def _whole(found: Verification) -> str:
    if not found.segments:
        return "nothing was verified"
    payments = f"{found.rows} payment{'' if found.rows == 1 else 's'}"
    if found.segments == 1:
        return f"segment {found.first} is whole, {payments}"
    return f"segments {found.first} to {found.first + found.segments - 1} are whole, {payments}"


def _rejected(region: str, broken: BrokenLink | None) -> Rejected | None:
    if broken is None:
        return None
    line = f", line {broken.line}" if broken.line is not None else ""
    where = f" in {broken.where}" if broken.where else ""
    todo = "compare it with the copies in the other region, and find out who wrote or removed it"
    return Rejected(
        f"transaction log in {region}: segment {broken.segment}{line}{where}: {broken.why}; {todo}", 1
    )
