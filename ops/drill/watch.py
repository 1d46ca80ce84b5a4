"""Looking at both regions all the time: each question on its own thread, so that one holds up no other."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from botocore.config import Config

from adapters.control import DynamoControl
from adapters.global_cluster import global_database
from adapters.journal import DynamoJournal
from ops.drill.story import ALARM, CONTROL, DNS, EXECUTION, OPEN, WRITER, Execution
from ops.observe import open_entries, ringing
from ops.region_switch import RegionSwitch
from ops.surroundings import Surroundings
from templates.config import Settings
from templates.names import Place

_EVERY_SECONDS: Final = 0.5
_SELDOM_SECONDS: Final = 2.0  # what is many questions in one
_HASTY: Final = Config(
    connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}, max_pool_connections=8
)


@dataclass(frozen=True, slots=True)
class Sighting:
    question: str
    region: str
    answer: Any


@dataclass(slots=True)
class Watch:
    """`seen` is called on the question's thread; what gets no answer is asked again."""

    questions: Iterable[tuple[str, str, Callable[[], Any]]]
    seen: Callable[[Sighting], None]
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for question, region, ask in self.questions:
            threading.Thread(target=self._look, args=(question, region, ask), daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _look(self, question: str, region: str, ask: Callable[[], Any]) -> None:
        while not self._stop.is_set():
            try:
                answer = ask()
            except Exception:  # noqa: BLE001 - that a region does not answer is what drills are about
                answer = None
            if answer is not None and not self._stop.is_set():
                self.seen(Sighting(question, region, answer))
            self._stop.wait(_SELDOM_SECONDS if question == OPEN else _EVERY_SECONDS)


def questions(
    settings: Settings, around: Surroundings, dns: Callable[[], str | None], since: datetime
) -> list[tuple[str, str, Callable[[], Any]]]:
    """`dns` says with which region the name server answers."""
    names, regions = settings.names, settings.regions
    asked: list[tuple[str, str, Callable[[], Any]]] = [(DNS, "", dns)]
    places: tuple[tuple[Place, str], ...] = (("primary", regions.primary), ("secondary", regions.secondary))
    for place, region in places:
        dynamodb, rds, switch, cloudwatch = (
            around.client(service, region, _HASTY)
            for service in ("dynamodb", "rds", "arc-region-switch", "cloudwatch")
        )
        prefix, suffix = f"{names.service}-", f"-{place}-{names.environment}"
        asked += [
            (CONTROL, region, DynamoControl(dynamodb, names.shared("control")).read),
            (WRITER, region, partial(global_database, rds, names.shared("ledger"))),
            (EXECUTION, region, partial(executing, RegionSwitch(switch, names.plan), since)),
            (ALARM, region, partial(ringing, cloudwatch, prefix, suffix)),
            (OPEN, region, partial(open_entries, DynamoJournal(dynamodb, names.shared("journal")))),
        ]
    return asked


def executing(switch: RegionSwitch, since: datetime) -> tuple[Execution, ...]:
    """The executions that were begun in that region since, the first of them first."""
    arn, _ = switch.find()
    listed = switch.client.list_plan_executions(planArn=arn).get("items", ())
    found = []
    for one in sorted(listed, key=lambda each: each["startTime"]):
        if one["startTime"] >= since:
            told = switch.execution(arn, one["executionId"])
            found.append(Execution(one["executionId"], one["startTime"], told.mode, told.state, told.steps))
    return tuple(found)
