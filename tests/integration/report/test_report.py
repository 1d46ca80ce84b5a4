"""The report as people see it: in a real browser, light and dark, wide and narrow, without JavaScript."""

import asyncio
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from ops.drill import report
from ops.drill.result import judged
from tests.integration.report.browser import browser
from tests.unit.ops.drill.test_result import BUILD, FAULT, recording
from tests.unit.ops.drill.test_story import EAST

HOSTILE = "<script>document.title='taken'</script>\"'>&"
DETAILS = {
    "service": "payments",
    "environment": HOSTILE,
    "templates": {"root": {"bytes": 1, "resources": 42, "sha256": "ab" * 32}},
    "versions": {"troposphere": "4.11.1"},
}
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    recorded = recording()
    recorded.story.tell(20.0, "note", f"operator: {HOSTILE}", EAST)
    document = judged(recorded, BUILD, EAST)
    page = report.page(document, BUILD | DETAILS, recorded.run.sent, FAULT)
    path = tmp_path / "report.html"
    beside = report.write(path, page, document)
    assert json.loads(beside.read_text()) == document
    return path


def look(path: Path, profile: Path, *, width: int = 1200, dark: bool = False) -> tuple[bytes, dict[str, Any]]:
    async def looked() -> tuple[bytes, dict[str, Any]]:
        async with browser(profile) as page:
            await page.open(path.as_uri(), width=width, dark=dark)
            found = {
                "title": await page.value("document.title"),
                "text": await page.value("document.body.innerText"),
                "scripts": await page.value("document.scripts.length"),
                "overflow": await page.value(_OVERFLOW),
                "paper": await page.value("getComputedStyle(document.body).backgroundColor"),
                "plot": await page.value(
                    "document.querySelector('figure svg').getBoundingClientRect().width"
                ),
                "legend": await page.value(
                    "[...document.querySelectorAll('.legend text')].map(e => e.textContent)"
                ),
            }
            return await page.screenshot(), found | {"called": page.called, "said": page.said}

    return asyncio.run(looked())


def rows(png: bytes) -> set[bytes]:
    """Of a PNG with or without an alpha channel: each as it is stored, so equal ones count once."""
    width, _, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in {(8, 2), (8, 6)}
    data, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    row = 1 + width * (3 if kind == 2 else 4)
    pixels = zlib.decompress(data)
    return {pixels[start : start + row] for start in range(0, len(pixels), row)}


def test_it_needs_nothing_else_and_runs_nothing(written: Path, tmp_path: Path) -> None:
    shot, seen = look(written, tmp_path / "profile")
    assert seen["called"] == [written.as_uri()]
    assert seen["said"] == []
    assert seen["scripts"] == 0
    assert seen["title"] == "Drill: region-loss of us-east-1"
    assert HOSTILE in seen["text"]
    assert len(rows(shot)) > 100, "something is drawn"


@pytest.mark.parametrize("width", [1200, 420])
def test_it_fits_the_screen(written: Path, tmp_path: Path, width: int) -> None:
    shot, seen = look(written, tmp_path / "profile", width=width)
    assert seen["overflow"] <= 0
    assert 0.5 * width < seen["plot"] <= width
    assert struct.unpack(">I", shot[16:20]) == (width,)


def test_it_is_dark_where_that_is_wanted(written: Path, tmp_path: Path) -> None:
    _, light = look(written, tmp_path / "light")
    _, dark = look(written, tmp_path / "dark", dark=True)
    assert light["paper"] == "rgb(255, 255, 255)"
    assert dark["paper"] == "rgb(18, 22, 28)"


def test_it_says_what_happened(written: Path, tmp_path: Path) -> None:
    _, seen = look(written, tmp_path / "profile")
    for said in ("Every objective was met", "time to recover", "at most 96 s", "kill us-east-1", "+30.0"):
        assert said in seen["text"], said
    assert {"posted", "accepted", "failed", "fault", "steady"} <= set(seen["legend"])
