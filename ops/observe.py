"""Asking both regions everything at once, each question for itself: what one does not answer, another may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.control import DynamoControl
from adapters.global_cluster import global_database
from adapters.journal import DynamoJournal
from adapters.progress import DynamoProgress
from failover.errors import Unavailable
from failover.planner import Unknown
from ops.observation import QUESTIONS, DnsAnswer, Observation, OpenEntries, Region
from ops.resolver import Answer
from ops.surroundings import Surroundings
from payments import audit, ship
from payments.journal import shards
from payments.ports import WorkList
from templates.config import Settings
from templates.names import Place

_HASTY: Final = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=8,
)
_HEALTH_SECONDS: Final = 5.0  # a request that meets `fencing` is held for a while
_DNS_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 8.0  # for all questions together: what takes longer, such as a name server, is cut
_MOST_COUNTED: Final = 1000  # of a shard; there are 16
_MOST_ALARMS: Final = 100
_LAG_IS_FRESH: Final = timedelta(minutes=5)

_DNS: Final = ("", "dns")  # no region's question

Questions = Mapping[tuple[str, str], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One region, and how each of QUESTIONS is put to it."""

    region: str
    place: Place
    questions: Mapping[str, Callable[[], Any]]


def observed(settings: Settings, around: Surroundings) -> Observation:
    """Takes no longer than the patience, however much does not answer."""
    regions = settings.regions
    now = datetime.now(UTC)
    primary = _asked(settings, around, regions.primary, "primary", now)
    secondary = _asked(settings, around, regions.secondary, "secondary", now)
    return observe((primary, secondary), partial(led, settings, around), now, _PATIENCE_SECONDS)


def observe(
    asked: tuple[Asked, Asked], led: Callable[[], DnsAnswer], at: datetime, seconds: float
) -> Observation:
    answers = answered(
        {(one.region, name): ask for one in asked for name, ask in one.questions.items()} | {_DNS: led},
        seconds,
    )

    def seen(one: Asked) -> Region:
        return Region(one.region, one.place, **{name: answers[one.region, name] for name in QUESTIONS})

    return Observation(at, (seen(asked[0]), seen(asked[1])), answers[_DNS])


def answered(questions: Questions, seconds: float) -> dict[tuple[str, str], Any]:
    """All of them at the same time; Unknown where there is no answer, for whatever reason, or not in time.

    The threads are nobody's to wait for: one that hangs ends with the program.
    """
    late = Unknown(f"no answer within {seconds:g} s")
    answers: dict[tuple[str, str], Any] = dict.fromkeys(questions, late)
    lock = threading.Lock()

    def put(question: tuple[str, str], ask: Callable[[], Any]) -> None:
        answer = _answer(ask)
        with lock:
            answers[question] = answer

    threads = [threading.Thread(target=put, args=item, daemon=True) for item in questions.items()]
    give_up = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    with lock:
        return dict(answers)


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Unavailable as unknown:
        return Unknown(str(unknown))
    except ClientError as error:
        return Unknown(f"{error.operation_name}: {code(error)}")
    except Exception as error:  # noqa: BLE001 - no credentials, or a mistake of ours: no answer either
        return Unknown(f"{type(error).__name__}: {error}")


def _asked(settings: Settings, around: Surroundings, region: str, place: Place, now: datetime) -> Asked:
    names = settings.names
    dynamodb, rds, cloudwatch = (
        around.client(service, region, _HASTY) for service in ("dynamodb", "rds", "cloudwatch")
    )
    peer = settings.regions.secondary if place == "primary" else settings.regions.primary
    progress = DynamoProgress(dynamodb, names.shared("progress"))
    journal = DynamoJournal(dynamodb, names.shared("journal"))
    alarms = partial(ringing, cloudwatch, f"{names.service}-", f"-{place}-{names.environment}")
    return Asked(
        region,
        place,
        {
            "control": DynamoControl(dynamodb, names.shared("control")).read,
            "health": partial(around.status, names.host(place), "/health", _HEALTH_SECONDS),
            "ledger": partial(global_database, rds, names.shared("ledger")),
            "lag": partial(lag, cloudwatch, names.regional("ledger", place), peer, now),
            "open": partial(open_entries, journal),
            "alarms": alarms,
            "audit": lambda: _last_audit(progress.read(audit.BOOKMARK)),
            "log": lambda: _log_position(progress.read(ship.BOOKMARK)),
        },
    )


def led(settings: Settings, around: Surroundings) -> DnsAnswer:
    names, regions = settings.names, settings.regions
    ends: list[tuple[str, Callable[[], str]]] = [
        (regions.primary, lambda: names.host("primary")),
        (regions.secondary, lambda: names.host("secondary")),
        # Addresses may differ between two custom domains of API Gateway in one region.
        (regions.primary, partial(_end_of_domain, around, regions.primary, names.domain)),
        (regions.secondary, partial(_end_of_domain, around, regions.secondary, names.domain)),
    ]
    return led_to(partial(around.answer, seconds=_DNS_SECONDS), names.domain, ends)


def _end_of_domain(around: Surroundings, region: str, domain: str) -> str:
    with unknown_is_unavailable("custom domain"):
        found = around.client("apigateway", region, _HASTY).get_domain_name(domainName=domain)
    return str(found["regionalDomainName"])


def led_to(
    look_up: Callable[[str], Answer], domain: str, ends: Iterable[tuple[str, Callable[[], str]]]
) -> DnsAnswer:
    """Whose addresses the domain's are: the region's one of whose own names has them too.

    `ends` are regions and how to find a name that only that region has, in the order in which to ask.
    """
    told = look_up(domain)
    for region, end in ends:
        with suppress(Unavailable, ClientError):
            if set(look_up(end()).addresses) & set(told.addresses):
                return DnsAnswer(told.addresses, region, told.ttl_seconds)
    return DnsAnswer(told.addresses, None, told.ttl_seconds)


def open_entries(work: WorkList, most: int = _MOST_COUNTED) -> OpenEntries:
    backlogs = [work.backlog(shard, most) for shard in shards()]
    oldest = [backlog.oldest for backlog in backlogs if backlog.oldest is not None]
    return OpenEntries(
        count=sum(backlog.count for backlog in backlogs),
        at_least=any(backlog.count >= most for backlog in backlogs),
        oldest=min(oldest, default=None),
    )


def ringing(client: Any, prefix: str, suffix: str) -> tuple[str, ...]:
    """The names of the alarms in state ALARM, of those that begin and end so."""
    with unknown_is_unavailable("alarms"):
        pages = client.get_paginator("describe_alarms").paginate(
            StateValue="ALARM",
            AlarmNamePrefix=prefix,
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            PaginationConfig={"MaxItems": _MOST_ALARMS},
        )
        found = [
            alarm["AlarmName"]
            for page in pages
            for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
        ]
    return tuple(sorted(name for name in found if name.endswith(suffix)))


def lag(client: Any, cluster: str, writer_region: str, now: datetime) -> float | None:
    """The latest that RDS measured, with the writer's region as a dimension or without."""
    named = {"DBClusterIdentifier": cluster}
    queries = [
        _lag_query(number, dimensions)
        for number, dimensions in enumerate((named, {**named, "SourceRegion": writer_region}))
    ]
    with unknown_is_unavailable("lag"):
        answer = client.get_metric_data(
            MetricDataQueries=queries,
            StartTime=now - _LAG_IS_FRESH,
            EndTime=now,
            ScanBy="TimestampDescending",
        )
    latest = [
        (result["Timestamps"][0], result["Values"][0])
        for result in answer["MetricDataResults"]
        if result.get("Values")
    ]
    return float(max(latest)[1]) if latest else None


def _lag_query(number: int, dimensions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Id": f"lag{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/RDS",
                "MetricName": "AuroraGlobalDBReplicationLag",
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": 60,
            "Stat": "Maximum",
        },
    }


def _last_audit(stored: Mapping[str, Any] | None) -> audit.Bookmark | None:
    last = audit.bookmark(stored)
    if stored is not None and last is None:
        raise Unavailable("the bookmark of the audit makes no sense")
    return last


def _log_position(stored: Mapping[str, Any] | None) -> ship.Head | None:
    return ship.head(stored) if stored is not None else None
