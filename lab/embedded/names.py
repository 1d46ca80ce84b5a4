"""What DNS says in the lab: the deployed zones, asked at the plan's address; and a log of who asked what.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/query-logs.html
"""

import os
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ministack.services import apigateway_v1, route53

from lab import name_server
from lab.embedded import deliveries, zones
from lab.embedded.handlers import Handlers, ResourceError
from lab.embedded.health import healthy
from lab.name_server import Question
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan
from lab.zone import Told, World, Zone, answer, scaled_ttl

_EDGE = "LAB1-C1"  # where on AWS the edge location is named that answered
_MOST_REMEMBERED = 10_000  # questions that are not in a log yet
_asked: deque[tuple[str, str]] = deque(maxlen=_MOST_REMEMBERED)


def register(_: Handlers) -> None:
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))

    def answered(question: Question) -> Told:
        told = answer(world(plan), question.name, question.type)
        _note(question, told)
        return told

    name_server.start(plan.dns, answered)
    deliveries.add(deliver)


def world(plan: LabPlan) -> World:
    """As it is deployed now. Everything asks this way, the health checkers too."""
    with route53._lock:
        deployed = {zone: dict(one) for (_, zone), one in route53._zones._data.items()}
        records = {zone: list(several) for (_, zone), several in route53._records._data.items()}
    return World(
        zones=tuple(
            Zone(
                id=identifier,
                name=zone["name"].lower(),
                records=tuple({**one, "Name": one["Name"].lower()} for one in records.get(identifier, ())),
            )
            for identifier, zone in deployed.items()
        ),
        targets=_custom_domains(plan),
        healthy=healthy,
        alias_ttl=scaled_ttl(plan.time_scale),
    )


def address_of(plan: LabPlan, name: str) -> str | None:
    """The first one, of a name without its last dot."""
    told = answer(world(plan), f"{name}.", "A")
    return told.values.texts[0] if told.values else None


def _custom_domains(plan: LabPlan) -> Mapping[str, str]:
    """What API Gateway calls the regional ends of custom domains, and the address of their region."""
    return {
        f"{domain['regionalDomainName']}.".lower(): plan.regions[region].public_address
        for (_, region, _), domain in apigateway_v1._domain_names.all_items()
        if region in plan.regions and domain.get("regionalDomainName")
    }


def _note(question: Question, told: Told) -> None:
    if not told.zone:
        return
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = question.name.rstrip(".")
    fields = (at, told.zone, name, question.type, told.code, question.protocol, _EDGE, question.client, "-")
    _asked.append((told.zone, " ".join(("1.0", *fields))))


def deliver() -> None:
    """To the zones' log groups, which are in one region; what cannot be delivered there is lost."""
    lines: dict[str, list[str]] = {}
    while _asked:
        zone, line = _asked.popleft()
        lines.setdefault(zone, []).append(line)
    for zone, messages in lines.items():
        group = zones.query_log(zone)
        if group is None:
            continue
        try:
            deliveries.put_log_events(zones.LOGS_REGION, group, f"{zone}/{_EDGE}", messages)
        except ResourceError:
            continue
