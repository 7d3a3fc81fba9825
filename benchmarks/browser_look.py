"""Opens pages in a real browser and looks: errors on the console, anything asked of a network, anything cut off.

    python benchmarks/browser_look.py demo/index.html page.html --output looks

Every page is opened by headless Chromium as wide as a phone (390 px) and as a desktop (1280 px), in the dark scheme as
well, and as on a sheet of A4. It is wrong when a script fails or the console tells of an error, when the page asks for
anything but itself, when it is wider than the window, and, on paper, when a part that would scroll cannot. Screenshots
go into the folder that --output names. The exit code is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
A4_PIXELS = 703
"""Width of A4 between margins of 12 mm, at 96 pixels an inch."""
MEASURE = """(() => {
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  const over = [...document.querySelectorAll("body *")].filter((each) => {
    const style = getComputedStyle(each);
    return each.clientWidth && each.scrollWidth > each.clientWidth + 1
      && style.display !== "inline" && !(each instanceof SVGElement)
      && (style.overflowX === "hidden" && style.textOverflow !== "ellipsis" || PAPER && style.overflowX !== "visible");
  }).map((each) => `${each.tagName.toLowerCase()}.${each.className} "${each.textContent.trim().slice(0, 40)}"`);
  const broken = [...document.images].filter((each) => each.complete && !each.naturalWidth).map((each) => each.alt);
  return JSON.stringify({wide, over, broken, height: document.documentElement.scrollHeight});
})()"""


@dataclass(frozen=True)
class View:
    """How a page is looked at."""

    name: str
    width: int
    scheme: str = "light"
    paper: bool = False


VIEWS = (
    View("390", 390),
    View("1280", 1280),
    View("390-dark", 390, "dark"),
    View("paper", A4_PIXELS, "dark", paper=True),
)


class Browser:
    """Headless Chromium, spoken to in the DevTools protocol over pipes: JSON messages that end with a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        there, here = os.pipe(), os.pipe()
        # The browser reads from descriptor 3 and writes to 4: the pipes must not be there already.
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (there[0], here[1])]

        def give() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        self.process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=give,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for each in (there[0], here[1], *ends):
            os.close(each)
        self.to, self.back = os.fdopen(there[1], "wb", 0), os.fdopen(here[0], "rb", 0)
        self.number, self.rest = 0, b""
        self.told: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what the browser tells meanwhile is kept in `told`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.to.write(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.told.append(answer)

    def wait_for(self, method: str) -> None:
        """Wait until the browser tells of something."""
        while not any(message.get("method") == method for message in self.told):
            self.told.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            part = self.back.read(1 << 20)
            if not part:
                raise RuntimeError("the browser ended")
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        """End the browser."""
        self.to.close()
        self.process.terminate()
        self.process.wait(30)
        self.back.close()


def look(browser: Browser, page: Path, view: View, picture: Path) -> list[str]:
    """Open a page, write its screenshot, and say what is wrong with it."""
    target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.told.clear()
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.ask(f"{domain}.enable", session)
    size = {"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.ask("Emulation.setDeviceMetricsOverride", session, **size)
    scheme = [{"name": "prefers-color-scheme", "value": view.scheme}]
    browser.ask("Emulation.setEmulatedMedia", session, media="print" if view.paper else "screen", features=scheme)
    browser.ask("Page.navigate", session, url=page.resolve().as_uri())
    browser.wait_for("Page.loadEventFired")
    # Folded parts are opened, so that they are looked at too; pictures further down are loaded.
    unfold = "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
    loaded = "Promise.all([...document.images].map((each) => { each.loading = 'eager'; return each.decode(); }))"
    browser.ask("Runtime.evaluate", session, expression=unfold + loaded + ".catch(() => 0)", awaitPromise=True)
    measure = MEASURE.replace("PAPER", str(view.paper).lower())
    found = json.loads(browser.ask("Runtime.evaluate", session, expression=measure)["result"]["value"])
    whole = {"x": 0, "y": 0, "width": view.width, "height": min(found["height"], 12_000), "scale": 1}
    taken = browser.ask("Page.captureScreenshot", session, captureBeyondViewport=True, clip=whole)
    picture.write_bytes(base64.b64decode(taken["data"]))
    wrong = list(filter(None, (_complaint(message, page) for message in browser.told)))
    browser.ask("Target.closeTarget", targetId=target)
    if found["wide"] > 0:
        wrong.append(f"{found['wide']} px wider than the window")
    return wrong + [f"cut off: {each}" for each in found["over"]] + [f"no picture: {each}" for each in found["broken"]]


def _complaint(message: dict[str, Any], page: Path) -> str | None:
    """What a message of the browser says is wrong, if anything."""
    told = message.get("params", {})
    match message.get("method"):
        case "Runtime.exceptionThrown":
            return f"exception: {told['exceptionDetails'].get('text')}"
        case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert"):
            return f"console: {[each.get('value') for each in told['args']]}"
        case "Log.entryAdded" if told["entry"]["level"] == "error":
            return f"console: {told['entry']['text']}"
        case "Network.requestWillBeSent":
            url = told["request"]["url"]
            return None if url.startswith(("data:", "blob:", page.resolve().as_uri())) else f"asks for {url[:100]}"
    return None


def main() -> int:
    """Look at each page in each way, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, help="HTML files")
    parser.add_argument("--output", type=Path, default=Path("looks"), help="folder for the screenshots")
    parser.add_argument("--browser", default=next(filter(None, map(shutil.which, BROWSERS)), None))
    given = parser.parse_args()
    if given.browser is None:
        parser.error(f"no browser found (one of {', '.join(BROWSERS)}); on Debian: apt-get install chromium")
    for page in given.pages:
        if not page.is_file():
            parser.error(f"there is no {page}")
    given.output.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(given.browser, Path(profile))
        try:
            for page in given.pages:
                name = page.parent.name if page.stem == "index" else page.stem
                for view in VIEWS:
                    found = look(browser, page, view, given.output / f"{name}-{view.name}.png")
                    wrong += len(found)
                    print(f"{name} {view.name}: {'; '.join(found) or 'good'}", flush=True)
        finally:
            browser.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
