"""Two healthy regions, as a test changes them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from failover.control import ControlRecord, Phase
from failover.planner import Unknown
from failover.writer import GlobalDatabase, Member
from ops.observation import QUESTIONS, DnsAnswer, Observation, OpenEntries, Region
from payments.audit import Bookmark, Stage
from payments.ship import Head
from payments.transaction_log import Link, Position

AT: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
HERE, THERE = "us-east-1", "us-east-2"
SILENT: Final = Unknown("ConnectTimeoutError")
RECORD: Final = ControlRecord(3, HERE, Phase.STEADY, AT - timedelta(hours=2), "drill")
LEDGER: Final = GlobalDatabase(
    "available",
    (
        Member(HERE, "payments-ledger-primary-prod", writer=True, connected=True),
        Member(THERE, "payments-ledger-secondary-prod", writer=False, connected=True),
    ),
    None,
)
AUDIT: Final = Bookmark(
    day=date(2026, 11, 22),
    epoch=3,
    stage=Stage.DONE,
    places={},
    compared=120_000,
    differences=0,
    since=AT - timedelta(days=30),
    completed=AT - timedelta(hours=11),
)
_HASH: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_END: Final = Link(412, _HASH, Position(90_731, "pay_w7kk3bnauggmev4vh2jtrp4qns3kyvyt"))
LOG: Final = Head(Link(411, _HASH, Position(90_712, "pay_a")), _END, 12, shipped=True)

PRIMARY: Final = Region(
    region=HERE,
    place="primary",
    control=RECORD,
    health=200,
    ledger=LEDGER,
    lag=None,
    open=OpenEntries(3, at_least=False, oldest=AT - timedelta(seconds=4)),
    alarms=(),
    audit=AUDIT,
    log=LOG,
)
SECONDARY: Final = replace(PRIMARY, region=THERE, place="secondary", health=503, lag=12.0)
DNS: Final = DnsAnswer(("203.0.113.7",), HERE, 42.0)
HEALTHY: Final = Observation(AT, (PRIMARY, SECONDARY), DNS)


def primary(**answers: Any) -> Observation:
    return replace(HEALTHY, regions=(replace(PRIMARY, **answers), SECONDARY))


def secondary(**answers: Any) -> Observation:
    return replace(HEALTHY, regions=(PRIMARY, replace(SECONDARY, **answers)))


def both(**answers: Any) -> Observation:
    return replace(HEALTHY, regions=(replace(PRIMARY, **answers), replace(SECONDARY, **answers)))


def dead(region: Region) -> Region:
    silence: dict[str, Any] = dict.fromkeys(QUESTIONS, SILENT)
    return replace(region, **silence)
