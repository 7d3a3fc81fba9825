"""`LivePage`: a web page on this machine with the answers of a live source as they come, by server-sent events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from anybind import AnybindError
from anybind.plugin import BadInput, BadOption, modalities, pages, samples
from anybind_classification.live import LiveAnswer, format_state

HOST = "127.0.0.1"
MAX_CLIENTS = 8
"""Pages that are open at once."""
KEEP_ALIVE_S = 5.0
"""Seconds after which a comment is sent to a page that has nothing new: a closed one is noticed."""
TOP_LABELS = 8
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LivePage:
    """A page at `url`, inside a `with` block; `show` sends it an answer.

    It is served on 127.0.0.1 only, and to requests for that host only, so that no web site can read it through the
    browser. A page that is slow skips answers; images are made only while a page is open.

    Attributes:
        url: address of the page.
    """

    def __init__(self, port: int = 0, source: str = "") -> None:
        """Start to serve.

        Args:
            port: the port. [default: a free one]
            source: what is watched, for the page.

        Raises:
            BadOption: not a port.
            BadInput: another program uses the port.
        """
        if not 0 <= port <= 65_535:
            raise BadOption(f"port: expected 0 to 65535, got {port}")
        page = pages.render("anybind_classification", "live_page.html", source=source).encode()
        self._feed = _Feed()

        class Handler(_Handler):
            pass

        Handler.page, Handler.feed = page, self._feed
        try:
            self._server = _Server((HOST, port), Handler)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInput(f"cannot serve a page on port {port} ({reason}); choose another with --port") from error
        Handler.port = self._server.server_port
        self.url = f"http://{HOST}:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="anybind-page", daemon=True)
        self._thread.start()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def warm_up(self, answer: LiveAnswer) -> None:
        """Make the message of an answer that is not shown; see `watch`."""
        make_message(answer)

    def show(self, answer: LiveAnswer) -> None:
        """Send an answer to the open pages; it does not wait for them."""
        self._feed.publish(answer)

    def close(self) -> None:
        """Tell the pages that the source has ended, and stop serving."""
        self._feed.publish(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing of a page that was closed."""


class _Feed:
    """The last answer, for the threads that serve pages."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rendering = threading.Lock()
        self._answer: LiveAnswer | None = None
        self._number = self._rendered_number = self._n_clients = 0
        self._ended = False
        self._rendered = b""

    def publish(self, answer: LiveAnswer | None) -> None:
        """Replace the answer; None ends."""
        with self._changed:
            self._answer, self._ended = answer or self._answer, answer is None
            self._number += 1
            self._changed.notify_all()

    def follow(self) -> Iterator[bytes]:
        """Yield messages of server-sent events: the last answer whenever there is a new one."""
        seen = 0
        while True:
            with self._changed:
                if self._number == seen and not self._ended:
                    self._changed.wait(KEEP_ALIVE_S)
                number, answer, ended = self._number, self._answer, self._ended
            if ended:
                yield b"event: end\ndata: {}\n\n"
                return
            if number == seen or answer is None:
                yield b": waiting\n\n"
                continue
            seen = number
            yield self._render(number, answer)

    def _render(self, number: int, answer: LiveAnswer) -> bytes:
        """Return the message of an answer, made once for all pages."""
        with self._rendering:
            if number != self._rendered_number:
                self._rendered, self._rendered_number = make_message(answer), number
            return self._rendered

    def enter(self) -> bool:
        """Count a page; return False if there are too many. `leave` follows in any case."""
        with self._changed:
            self._n_clients += 1
            return self._n_clients <= MAX_CLIENTS

    def leave(self) -> None:
        """Count a page that was closed."""
        with self._changed:
            self._n_clients -= 1


def make_message(answer: LiveAnswer) -> bytes:
    """Make the message of server-sent events of an answer, with an image of the window."""
    record = answer.to_dict("score")
    record["scores"] = record["scores"][:TOP_LABELS]  # pyright: ignore[reportIndexIssue]
    record["state"] = format_state(answer)
    record["frame"] = _draw(answer.sample)
    return f"event: answer\ndata: {json.dumps(record)}\n\n".encode()  # JSON has no line breaks


def _draw(sample: samples.EventSample) -> str:
    try:
        image = modalities.find_modality("event").show_window(sample) if len(sample) else ""
        return image if isinstance(image, str) else pages.image_uri(image)
    except AnybindError:  # an image is not worth ending the page
        return ""


class _Handler(BaseHTTPRequestHandler):
    page: ClassVar[bytes]
    feed: ClassVar[_Feed]
    port: ClassVar[int]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.headers.get("Host", "") not in (f"{HOST}:{self.port}", f"localhost:{self.port}"):
            self._send(HTTPStatus.FORBIDDEN, b"this page is for the machine that runs it\n", "text/plain")
        elif self.path == "/":
            self._send(HTTPStatus.OK, self.page, "text/html; charset=utf-8")
        elif self.path == "/events":
            self._stream()
        else:
            self._send(HTTPStatus.NOT_FOUND, b"not found\n", "text/plain")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._start(status, kind, [("Content-Length", str(len(content)))])
        self.wfile.write(content)

    def _start(self, status: HTTPStatus, kind: str, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()

    def _stream(self) -> None:
        self.close_connection = True
        is_admitted = self.feed.enter()
        try:
            if not is_admitted:
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"too many pages are open\n", "text/plain")
                return
            self._start(HTTPStatus.OK, "text/event-stream", [("Connection", "close")])
            for message in self.feed.follow():
                self.wfile.write(message)
        except OSError:  # the page was closed
            pass
        finally:
            self.feed.leave()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
