"""A real browser without a window, driven by the protocol of its developer tools."""

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

INSTALLED: Final = Path(__file__).parents[3] / ".build" / "browser" / "chromium"
_THERE: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # nothing is opened but our own page, and containers allow no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_PATIENCE_SECONDS: Final = 60.0


def program() -> tuple[str, Mapping[str, str]]:
    """What to start, and with which additions to the environment."""
    if INSTALLED.is_dir():
        libraries = {"LD_LIBRARY_PATH": str(INSTALLED / "lib"), "FONTCONFIG_PATH": str(INSTALLED)}
        return str(INSTALLED / "chromium"), libraries
    for name in _THERE:
        if found := shutil.which(name):
            return found, {}
    raise LookupError(
        "there is no browser: `make setup` installs one on Linux x86-64; elsewhere install Chrome"
    )


@dataclass(slots=True)
class Page:
    """One page; `called` are the addresses it asked for, `said` what it wrote to the console."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    called: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _number: int = 0
    _seen: set[str] = field(default_factory=set)

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self.socket.send_json(message | ({"sessionId": self.session} if self.session else {}))
        while True:
            heard = await self._hear()
            if heard.get("id") == self._number:
                assert "error" not in heard, f"{method}: {heard['error']}"
                answer: dict[str, Any] = heard["result"]
                return answer

    async def open(self, url: str, *, width: int, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self._seen.discard("Page.loadEventFired")
        await self.ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._seen:
            await self._hear()

    async def value(self, expression: str) -> Any:
        """Of JavaScript that is not the page's."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def screenshot(self) -> bytes:
        """Of the whole page, as PNG."""
        answer = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = await self.socket.receive_json()
        match heard.get("method"):
            case "Network.requestWillBeSent":
                self.called.append(heard["params"]["request"]["url"])
            case "Runtime.consoleAPICalled" | "Log.entryAdded" | "Runtime.exceptionThrown":
                self.said.append(str(heard["params"]))
            case str(method):
                self._seen.add(method)
        return heard


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    """Started for it and ended with it."""
    path, additions = program()
    process = await asyncio.create_subprocess_exec(
        path,
        *_OPTIONS,
        f"--user-data-dir={profile}",
        env={**os.environ, "HOME": str(profile), **additions},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            aiohttp.ClientSession() as http,
            http.ws_connect(await _address(process), max_msg_size=0) as socket,
        ):
            page = Page(socket)
            target = await page.ask("Target.createTarget", url="about:blank")
            attached = await page.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page.session = attached["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                await page.ask(f"{domain}.enable")
            yield page
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    async for line in process.stderr:
        said.append(line.decode(errors="replace"))
        if "DevTools listening on " in said[-1]:
            return said[-1].partition("DevTools listening on ")[2].strip()
    raise OSError(f"the browser ended: {''.join(said)[-2000:]}")
