"""A drill while it runs: both regions side by side at a terminal, plain lines elsewhere."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from failover.control import Phase
from ops.drill.drilling import Live
from ops.drill.measures import PAYMENTS, Event
from ops.drill.steps import Who
from ops.drill.story import FAULT

_EVENTS: Final = 12  # the latest
_RATE_SECONDS: Final = 5.0
_REFRESH_SECONDS: Final = 0.5
_STYLES: Final = {"posted": "green", "accepted": "yellow", "failed": "red", "no answer": "red"}
_PHASES: Final = {Phase.STEADY: "green", Phase.RECOVERING: "yellow", Phase.FENCING: "red"}


@contextmanager
def shown(live: Live, console: Console) -> Iterator[None]:
    """`live.told` is this view's while it is open."""
    if not console.is_terminal:
        live.told = lambda event: console.print(line(live, event), markup=False, soft_wrap=True)
        yield
        return
    stop = threading.Event()
    with Screen(drawn(live), console=console, auto_refresh=False, transient=True) as screen:

        def refresh() -> None:
            while not stop.wait(_REFRESH_SECONDS):
                screen.update(drawn(live), refresh=True)

        drawing = threading.Thread(target=refresh, daemon=True)
        drawing.start()
        try:
            yield
        finally:
            stop.set()
            drawing.join()
            screen.update(drawn(live), refresh=True)


def line(live: Live, event: Event) -> str:
    return f"{_when(live, event.at)}  {event.region or '':<10}  {event.event}"


def drawn(live: Live) -> RenderableType:
    """From what is known now; asks nobody."""
    return Group(_headline(live), _regions(live), _requests(live), _events(live))


def _headline(live: Live) -> RenderableType:
    plan, now = live.plan, live.clock()
    since = (
        "before the fault" if live.fault is None else f"{max(0.0, now - live.fault):.0f} s after the fault"
    )
    scale = "" if plan.time_scale == 1 else f", timers at {plan.time_scale:g} of AWS's"
    return Text(f"{plan.scenario.name}: {plan.scenario.about} - {since}{scale}", style="bold")


def _regions(live: Live) -> RenderableType:
    story, record = live.story, live.story.record
    names = [live.plan.regions[who] for who in (Who.TARGET, Who.PEER)]
    table = Table("", *names, expand=True)
    active = record.active if record else None

    def row(title: str, *cells: str | Text) -> None:
        table.add_row(title, *cells)

    row("role", *(_role(name, active) for name in names))
    phase = record.phase if record else None
    row("epoch", *(str(record.epoch) if record and name == active else "" for name in names))
    row("phase", *(Text(phase, _PHASES[phase]) if phase and name == active else "" for name in names))
    row("ledger", *("writer" if story.writes.get(name) else "copy" for name in names))
    row("DNS", *("answers with it" if story.dns == name else "" for name in names))
    return table


def _role(name: str, active: str | None) -> Text:
    if active is None:
        return Text("unknown", "yellow")
    return Text("active", "bold green") if name == active else Text("standby", "dim")


def _requests(live: Live) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    for outcome, count in rates(live).items():
        table.add_row(outcome, Text(f"{count / _RATE_SECONDS:.1f}/s", _STYLES[outcome]))
    asked = live.story.open
    open_entries = "unknown" if asked is None else f"{'at least ' if asked.at_least else ''}{asked.count}"
    table.add_row("waiting for an outcome", str(_waiting(live)))
    table.add_row("open journal entries", open_entries)
    return Panel(table, title=f"attempts of the last {_RATE_SECONDS:g} s", title_align="left")


def _waiting(live: Live) -> int:
    now = live.clock()
    return sum(order.due <= now for order in tuple(live.waiting.values()))


def rates(live: Live) -> Counter[str]:
    """Attempts to pay that ended lately, by what came of them; every kind, also where there is none."""
    since = live.clock() - _RATE_SECONDS
    found = Counter(dict.fromkeys(_STYLES, 0))
    for _, attempt in reversed(live.attempts):
        if attempt.at < since - 60:
            break
        if attempt.path == PAYMENTS and attempt.at + attempt.seconds >= since:
            found[_outcome(attempt.status)] += 1
    return found


def _outcome(status: int | None) -> str:
    match status:
        case 201:
            return "posted"
        case 202:
            return "accepted"
        case None:
            return "no answer"
        case _:
            return "failed"


def _events(live: Live) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for event in live.story.events[-_EVENTS:]:
        style = "bold red" if event.kind == FAULT else ""
        table.add_row(_when(live, event.at), event.region or "", Text(event.event, style))
    return Panel(table, title="events", title_align="left")


def _when(live: Live, at: float) -> str:
    return f"{at - (live.fault or 0.0):+7.1f} s"
