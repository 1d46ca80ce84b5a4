"""What a drill came to: every measure, every objective, and whether it was met. The shape others rely on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from failover.control import ControlRecord, Phase
from ops.drill import measures
from ops.drill.books import Books
from ops.drill.measures import Acknowledgement, Asked, Event
from ops.drill.scenarios import Goals, Scenario
from ops.drill.story import DNS, EXECUTION, RECOVERED, WRITER, Story
from ops.traffic import Run

_BEGINS: Final = (EXECUTION, Phase.FENCING)
_POSTED_SHARE: Final = 0.95
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All that is judged. `settled`: in the end one region was active, steady and the writer."""

    scenario: Scenario
    target: str
    run: Run
    fault: float | None
    story: Story
    asked: tuple[Asked, ...]
    books: Books
    acknowledgements: tuple[Acknowledgement, ...]
    clients: int
    time_scale: float
    settled: bool
    first_epoch: int
    schedule: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One objective; `measured` is None where there was nothing to measure."""

    what: str
    wanted: str
    measured: str
    met: bool


def judged(recording: Recording, build: Mapping[str, Any], primary: str) -> dict[str, Any]:
    """`build` is dist/build.json, which says what the templates promise."""
    measured = _measured(recording)
    goals = _objectives(recording, build, primary)
    checks = _checks(recording.scenario.goals, goals, measured)
    return {
        "scenario": recording.scenario.name,
        "target": recording.target,
        "started_at": _text(recording.run.began),
        "objectives": goals,
        "met": all(check.met for check in checks),
        **measured,
        "time_scale": recording.time_scale,
        "seed": recording.scenario.seed,
        "schedule": list(recording.schedule),
        "checks": [
            {"what": each.what, "wanted": each.wanted, "measured": each.measured, "met": each.met}
            for each in checks
        ],
        "timeline": timeline(recording),
    }


def _measured(recording: Recording) -> dict[str, Any]:
    events, fault = recording.story.events, recording.fault
    sent = recording.run.sent
    missing = measures.lost(recording.asked, recording.books)
    record = recording.story.record
    active = record.active if record else None
    found: dict[str, float | None] = dict.fromkeys(("rto", "detection", "dns", "promotion"))
    steady = None
    if fault is not None:
        begins = _recovered(recording, fault)
        found["rto"] = begins - fault if begins is not None else None
        found["detection"] = _after(fault, _first(events, _BEGINS, fault))
        found["dns"] = _after(fault, measures.first(events, DNS, since=fault, region=active))
        admitted = measures.first(events, Phase.RECOVERING, since=fault, region=active)
        writer = measures.first(events, WRITER, since=fault, region=active)
        if admitted is not None and writer is not None:
            found["promotion"] = max(0.0, writer - admitted)
        steady = measures.first(events, Phase.STEADY, since=fault, region=active)
    share = measures.posted_in_time(
        recording.asked, recording.books, recording.run.began, _at(recording, steady)
    )
    return {
        **{f"{name}_seconds": _rounded(value) for name, value in found.items()},
        "rpo_seconds": _rounded(measures.rpo(missing, fault or 0.0)),
        "requests": len(sent),
        "attempts": sum(len(one.attempts) for one in sent),
        "acknowledged": sum(one.acknowledged for one in sent),
        "lost": len(missing),
        "duplicated": measures.duplicated(recording.asked, recording.books),
        "failed_requests": sum(not one.acknowledged for one in sent),
        "slowest_request_seconds": _rounded(measures.slowest(sent)),
        "posted_within_60_s_of_steady": _rounded(share),
        "two_active_seconds": _rounded(measures.two_active(recording.acknowledgements)),
        "acknowledgements_of_known_epoch": len(recording.acknowledgements),
        "epochs_of_acknowledgements": len({one.epoch for one in recording.acknowledgements}),
        "takeovers": _takeovers(record, recording.first_epoch),
        "settled": recording.settled,
        "active": active,
    }


def _recovered(recording: Recording, fault: float) -> float | None:
    window = measures.SUCCESS_SECONDS * recording.time_scale
    return measures.recovered(measures.tries(recording.run.sent), fault, window, recording.clients)


def _takeovers(record: ControlRecord | None, first_epoch: int) -> int | None:
    return record.epoch - first_epoch if record else None


def _first(events: list[Event], kinds: tuple[str, ...], since: float) -> float | None:
    found = [at for kind in kinds if (at := measures.first(events, kind, since=since)) is not None]
    return min(found, default=None)


def _after(fault: float, at: float | None) -> float | None:
    return at - fault if at is not None else None


def _at(recording: Recording, seconds: float | None) -> datetime | None:
    return recording.run.began + timedelta(seconds=seconds) if seconds is not None else None


def _objectives(recording: Recording, build: Mapping[str, Any], primary: str) -> dict[str, Any]:
    """In real time, whatever the time scale: to meet them proves nothing about time unless that is 1."""
    record = recording.story.record
    towards = "to_primary" if record and record.active == primary else "to_secondary"
    promised = build.get("objectives", {})
    limit = build.get("worst_case_rto_seconds", {}).get(towards)
    if limit is None or not recording.scenario.goals.within_worst_case:
        limit = promised["rto_minutes"] * 60 if "rto_minutes" in promised else None
    return {"rto_seconds": limit, "rpo_minutes": promised.get("rpo_minutes"), "towards": towards}


def _checks(goals: Goals, objectives: Mapping[str, Any], measured: Mapping[str, Any]) -> list[Check]:
    """What every drill has to keep, then what this scenario is about."""

    def at_most(what: str, name: str, limit: float | None, unit: str = "") -> Check:
        value = measured[name]
        shown = "not measured" if value is None else f"{value:g}{unit}"
        wanted = f"at most {limit:g}{unit}" if limit else "0"
        return Check(what, wanted, shown, value is not None and value <= (limit or 0))

    least = 2 if measured["takeovers"] else 1
    checks = [
        at_most("acknowledged payments lost", "lost", 0),
        at_most("payments posted twice", "duplicated", 0),
        at_most("two regions active", "two_active_seconds", 0, " s"),
        # Of one epoch alone nothing overlaps, whoever was active.
        Check(
            "epochs of acknowledgements known",
            f"at least {least}",
            str(measured["epochs_of_acknowledgements"]),
            measured["epochs_of_acknowledgements"] >= least,
        ),
        Check(
            "one region active, steady and the writer",
            "yes",
            _yes(measured["settled"]),
            bool(measured["settled"]),
        ),
    ]
    if objectives["rto_seconds"] is not None:
        checks.append(at_most("time to recover", "rto_seconds", objectives["rto_seconds"], " s"))
    else:
        recovered = measured["rto_seconds"] is not None
        checks.append(Check("every client succeeds again", "yes", _yes(recovered), recovered))
    if goals.no_failed_request:
        checks.append(at_most("requests that failed for good", "failed_requests", 0))
    if goals.slowest_seconds is not None:
        checks.append(at_most("slowest request", "slowest_request_seconds", goals.slowest_seconds, " s"))
    if goals.takeovers is not None:
        takeovers = measured["takeovers"]
        checks.append(Check("takeovers", str(goals.takeovers), str(takeovers), takeovers == goals.takeovers))
    if (share := measured["posted_within_60_s_of_steady"]) is not None:
        checks.append(
            Check(
                "202s posted within 60 s of steady",
                f"at least {_POSTED_SHARE:.0%}",
                f"{share:.1%}",
                share >= _POSTED_SHARE,
            )
        )
    return checks


def put_back(document: Mapping[str, Any], left: Sequence[str]) -> dict[str, Any]:
    """The same, missed where something of what was broken could not be undone."""
    if not left:
        return dict(document)
    check = {"what": "the world put back", "wanted": "yes", "measured": "; ".join(left), "met": False}
    return {**document, "met": False, "checks": [*document["checks"], check]}


def timeline(recording: Recording) -> list[dict[str, Any]]:
    """`seconds` count from the fault."""
    fault = recording.fault or 0.0
    events = list(recording.story.events)
    if recording.fault is not None and (begins := _recovered(recording, fault)) is not None:
        events.append(Event(begins, RECOVERED, "every client succeeds from here on"))
    failures = [one.at for one in measures.tries(recording.run.sent) if one.failed and one.at >= fault]
    if failures:
        events.append(Event(min(failures), "failure", "the first attempt of a client fails"))
        events.append(Event(max(failures), "failure", "the last attempt of a client fails"))
    return [
        {
            "at": _text(recording.run.began + timedelta(seconds=event.at)),
            "seconds": round(event.at - fault, 2),
            "kind": str(event.kind),
            "event": event.event,
            "region": event.region,
        }
        for event in sorted(events, key=lambda event: (round(event.at, 2), event.kind == RECOVERED))
    ]


def summary(document: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = [
        f"{verdict(each)}  {each['what']}: {each['measured']} (wanted: {each['wanted']})"
        for each in document["checks"]
    ]
    scale = (
        ""
        if document["time_scale"] == 1
        else f", timers at {document['time_scale']:g} of AWS's: no measure of time"
    )
    return "\n".join((f"{document['scenario']} of {document['target']}{scale}", *lines))


def verdict(check: Mapping[str, Any]) -> str:
    return "met   " if check["met"] else "MISSED"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _rounded(value: float | None) -> float | None:
    return round(value, _DIGITS) if value is not None else None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
