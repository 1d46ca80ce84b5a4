"""The report of a drill: one page that needs nothing else, and the same as JSON beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ops.drill import plot
from ops.traffic import Sent

_PAGE: Final = Path(__file__).with_name("report.html")
_MARKED: Final = {
    "fault": "fault",
    "dns": "DNS answers with the other region",
    "recovering": "payments are accepted",
    "writer": "the ledger is promoted",
    "steady": "steady",
    "recovered": "every client succeeds",
}
_MEASURES: Final = (
    ("rto_seconds", "time to recover", "to the first minute in which every client succeeded", "s"),
    ("rpo_seconds", "data lost", "between the oldest lost payment and the fault", "s"),
    ("acknowledged", "payments acknowledged", "201 or 202, after a client's own retries", ""),
    ("lost", "acknowledged and lost", "not in the surviving ledger exactly once, and right", ""),
    ("duplicated", "posted twice", "rows of the ledger that are too many", ""),
    ("failed_requests", "failed for good", "payments without an acknowledgement after all retries", ""),
    ("slowest_request_seconds", "slowest payment", "from when it was due to its last answer", "s"),
    ("detection_seconds", "detection", "from the fault to the begin of the takeover", "s"),
    ("dns_seconds", "DNS", "from the fault to the first answer with the other region", "s"),
    ("promotion_seconds", "promotion", "from accepting payments to the ledger's new writer", "s"),
    (
        "posted_within_60_s_of_steady",
        "202s posted in a minute",
        "of those accepted while the ledger was away",
        "%",
    ),
    ("two_active_seconds", "two regions active", "overlap of acknowledgements under different epochs", "s"),
)


def page(document: Mapping[str, Any], build: Mapping[str, Any], sent: Sequence[Sent], zero: float) -> str:
    """`zero` is when the fault was, in seconds since the traffic began."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_PAGE.read_text(encoding="utf-8"))
    return template.render(
        drill=document,
        build=build,
        versions=versions(build["versions"]),
        plot=Markup(plot.drawn(sent, zero, marks(document, zero))),  # noqa: S704 - pygal escapes
        measures=[(title, shown(document[name], unit), meaning) for name, title, meaning, unit in _MEASURES],
        executed=[event for event in document["timeline"] if event["kind"] in ("execution", "step")],
    )


def versions(of: Mapping[str, Any]) -> list[str]:
    """Each with its name; `of` may hold more of them under a common one."""
    found: list[str] = []
    for name, version in of.items():
        found += versions(version) if isinstance(version, Mapping) else [f"{name} {version}"]
    return found


def marks(document: Mapping[str, Any], zero: float) -> list[tuple[str, float]]:
    """The first event of each kind that the plot shows, from the fault on."""
    found: dict[str, float] = {}
    for event in document["timeline"]:
        if event["kind"] in _MARKED and event["seconds"] >= 0:
            found.setdefault(event["kind"], event["seconds"] + zero)
    return [(_MARKED[kind], at) for kind, at in found.items()]


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "%":
        return f"{value:.1%}"
    return f"{value:g} {unit}".rstrip()


def write(path: Path, html: str, document: Mapping[str, Any]) -> Path:
    """Where the JSON is."""
    beside = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return beside
