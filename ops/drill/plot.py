"""Attempts over time as one inline SVG: what came of them, and when what happened."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree

from ops.drill.measures import PAYMENTS
from ops.traffic import Sent

OUTCOMES: Final = ("posted", "accepted", "failed")
_COLOURS: Final = {"posted": "#2f9e62", "accepted": "#e3a008", "failed": "#d64545"}
_MARKS: Final = ("#3b82c4", "#a06bd6", "#1c9aa8", "#c07a2c", "#7d8590", "#d6568f")
_MOST_BARS: Final = 300
_SVG: Final = "http://www.w3.org/2000/svg"


def counted(sent: Iterable[Sent], zero: float, width: float) -> Mapping[int, Counter[str]]:
    """Attempts to pay by when they ended, in steps of `width` seconds from `zero`, and by outcome."""
    found: dict[int, Counter[str]] = {}
    for one in sent:
        for attempt in one.attempts:
            if attempt.path == PAYMENTS:
                step = int((attempt.at + attempt.seconds - zero) // width)
                found.setdefault(step, Counter())[_outcome(attempt.status)] += 1
    return found


def width(seconds: float) -> float:
    """Of a step: a second, or as many as leave the steps to be told apart."""
    return max(1.0, float(-(-int(seconds) // _MOST_BARS)))


def drawn(sent: Sequence[Sent], zero: float, marks: Iterable[tuple[str, float]]) -> str:
    """`marks` are names and times; all times are shown from `zero` on."""
    seconds = max((one.finished for one in sent), default=0.0)
    step = width(seconds)
    steps = counted(sent, zero, step)
    marks = tuple(marks)
    colours = (
        *(_COLOURS[outcome] for outcome in reversed(OUTCOMES)),
        *(_MARKS * (1 + len(marks)))[: len(marks)],
    )
    pygal, style_of = _pygal()
    style = style_of(
        background="transparent",
        plot_background="transparent",
        colors=colours,
        font_family="inherit",
        opacity="0.9",
        opacity_hover="1",
        label_font_size=12,
        major_label_font_size=12,
        legend_font_size=13,
        title_font_size=13,
    )
    chart = pygal.XY(
        style=style,
        fill=True,
        stroke=True,
        show_dots=False,
        include_x_axis=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=5,
        truncate_legend=-1,
        width=1100,
        height=380,
        x_title="seconds after the fault",
        y_title="attempts per second",
        margin_bottom=40,
        js=[],
    )
    tops = dict(_stacked(steps, step))
    for outcome in reversed(OUTCOMES):  # the highest first: each covers what lies below it
        chart.add(outcome, tops[outcome])
    highest = max((y for _, y in tops[OUTCOMES[-1]]), default=1.0)
    for name, at in marks:
        line = [(at - zero, 0), (at - zero, highest)]
        chart.add(name, line, fill=False, stroke_style={"width": 3, "dasharray": "6,3"})
    return _without_scripts(chart.render(is_unicode=True, disable_xml_declaration=True))


def _pygal() -> tuple[Any, Any]:
    """The library, and its styles. Slow to import, so only for a report.

    The hook by which it finds maps is of a kind that Python no longer knows: it goes, or every import that
    finds nothing warns of it.
    """
    import pygal
    from pygal.style import Style

    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, pygal.PluginImportFixer)]
    return pygal, Style


def _stacked(
    steps: Mapping[int, Counter[str]], width: float
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """For each outcome the outline of it and all below it, as stairs."""
    places = range(min(steps, default=0), max(steps, default=0) + 1)
    below: Counter[int] = Counter()
    for outcome in OUTCOMES:
        outline = []
        for place in places:
            below[place] += steps.get(place, Counter())[outcome]
            outline += [(place * width, below[place] / width), ((place + 1) * width, below[place] / width)]
        yield outcome, outline


def _outcome(status: int | None) -> str:
    match status:
        case 201:
            return "posted"
        case 202:
            return "accepted"
        case _:
            return "failed"


def _without_scripts(svg: str) -> str:
    """pygal puts its configuration into a script; the page has none."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own, a moment ago
    for parent in root.iter():
        for child in [one for one in parent if one.tag == f"{{{_SVG}}}script"]:
            parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")
