"""Check HTML pages in a browser: console errors, network requests, clipped content.

    python benchmarks/browser_look.py demo/index.html page.html --output looks

Every page is rendered by headless Chromium at the width of a phone (390 px) and of a desktop (1280 px), in the dark
colour scheme, and as printed on A4. Problems are script and console errors, requests for anything but the page itself,
content wider than the window, and scrollable content that is clipped in print. Screenshots are written to --output. The
exit code is 1 if there is a problem.
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
    """A viewport, colour scheme and medium."""

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
    """Headless Chromium, controlled by the DevTools protocol over pipes: JSON messages ending with a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        requests, responses = os.pipe(), os.pipe()
        # The browser reads from descriptor 3 and writes to 4; the pipes must not occupy these numbers.
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (requests[0], responses[1])]

        def assign_descriptors() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        self.process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=assign_descriptors,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for each in (requests[0], responses[1], *ends):
            os.close(each)
        self.requests, self.responses = os.fdopen(requests[1], "wb", 0), os.fdopen(responses[0], "rb", 0)
        self.number, self.buffer = 0, b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its response; collect other messages in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.requests.write(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            response = self._read_message()
            if response.get("id") == self.number:
                if "error" in response:
                    raise RuntimeError(f"{method}: {response['error']['message']}")
                return response["result"]
            self.events.append(response)

    def wait_for(self, method: str) -> None:
        """Wait for an event of the browser."""
        while not any(message.get("method") == method for message in self.events):
            self.events.append(self._read_message())

    def _read_message(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            chunk = self.responses.read(1 << 20)
            if not chunk:
                raise RuntimeError("the browser ended")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        """End the browser."""
        self.requests.close()
        self.process.terminate()
        self.process.wait(30)
        self.responses.close()


def check_page(browser: Browser, page: Path, view: View, screenshot: Path) -> list[str]:
    """Open a page, write its screenshot and return its problems."""
    target = browser.send("Target.createTarget", url="about:blank")["targetId"]
    session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.events.clear()
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.send(f"{domain}.enable", session)
    size = {"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.send("Emulation.setDeviceMetricsOverride", session, **size)
    scheme = [{"name": "prefers-color-scheme", "value": view.scheme}]
    browser.send("Emulation.setEmulatedMedia", session, media="print" if view.paper else "screen", features=scheme)
    browser.send("Page.navigate", session, url=page.resolve().as_uri())
    browser.wait_for("Page.loadEventFired")
    # Open folded details, and load lazy images further down.
    unfold = "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
    loaded = "Promise.all([...document.images].map((each) => { each.loading = 'eager'; return each.decode(); }))"
    browser.send("Runtime.evaluate", session, expression=unfold + loaded + ".catch(() => 0)", awaitPromise=True)
    measure = MEASURE.replace("PAPER", str(view.paper).lower())
    layout = json.loads(browser.send("Runtime.evaluate", session, expression=measure)["result"]["value"])
    clip = {"x": 0, "y": 0, "width": view.width, "height": min(layout["height"], 12_000), "scale": 1}
    image = browser.send("Page.captureScreenshot", session, captureBeyondViewport=True, clip=clip)
    screenshot.write_bytes(base64.b64decode(image["data"]))
    problems = list(filter(None, (_find_problem(message, page) for message in browser.events)))
    browser.send("Target.closeTarget", targetId=target)
    if layout["wide"] > 0:
        problems.append(f"{layout['wide']} px wider than the window")
    clipped = [f"clipped: {each}" for each in layout["over"]]
    return [*problems, *clipped, *(f"broken image: {each}" for each in layout["broken"])]


def _find_problem(message: dict[str, Any], page: Path) -> str | None:
    """Return the problem in a message of the browser, or None."""
    parameters = message.get("params", {})
    match message.get("method"):
        case "Runtime.exceptionThrown":
            return f"exception: {parameters['exceptionDetails'].get('text')}"
        case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
            return f"console: {[each.get('value') for each in parameters['args']]}"
        case "Log.entryAdded" if parameters["entry"]["level"] == "error":
            return f"console: {parameters['entry']['text']}"
        case "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            return None if url.startswith(("data:", "blob:", page.resolve().as_uri())) else f"request: {url[:100]}"
    return None


def main() -> int:
    """Check each page in each view and print the problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, help="HTML files")
    parser.add_argument("--output", type=Path, default=Path("looks"), help="folder of screenshots [default: looks]")
    parser.add_argument(
        "--browser", default=next(filter(None, map(shutil.which, BROWSERS)), None), help="browser program"
    )
    parser.add_argument("--quick", action="store_true", help="only the light scheme at 390 and 1280 px")
    arguments = parser.parse_args()
    if arguments.browser is None:
        parser.error(f"no browser found (one of {', '.join(BROWSERS)}); on Debian: apt-get install chromium")
    for page in arguments.pages:
        if not page.is_file():
            parser.error(f"missing file {page}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    n_problems = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(arguments.browser, Path(profile))
        try:
            for page in arguments.pages:
                name = page.parent.name if page.stem == "index" else page.stem
                for view in VIEWS[:2] if arguments.quick else VIEWS:
                    problems = check_page(browser, page, view, arguments.output / f"{name}-{view.name}.png")
                    n_problems += len(problems)
                    print(f"{name} {view.name}: {'; '.join(problems) or 'ok'}", flush=True)
        finally:
            browser.close()
    return 1 if n_problems else 0


if __name__ == "__main__":
    sys.exit(main())
