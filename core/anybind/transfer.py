"""HTTP requests with a time limit and a minimum rate.

This is Python's own HTTP client: huggingface_hub changes its client between versions. Each request runs in a thread, so
that a server that sends headers, redirects or a body slowly cannot delay the caller beyond the limits.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import queue
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anybind.errors import BadOption
from anybind.escaping import escape_text

STALL_SECONDS = 30.0
"""A transfer ends if it receives less than `MIN_RATE` over this time."""
MIN_RATE = 10_000
"""Smallest accepted rate in bytes/s, over each `STALL_SECONDS` and, by default, over the file and `START_SECONDS`."""
START_SECONDS = 60.0
TIMEOUT_VARIABLE = "ANYBIND_DOWNLOAD_TIMEOUT"
BLOCK_BYTES = 1 << 20
_QUEUE_BLOCKS = 4


class TransferError(Exception):
    """A failed download; the message is one line without the file's name."""


class Interrupted(TransferError):
    """A transfer that ended early, which a further request can continue."""


class Pace:
    """The time limit and the minimum rate of one file, over all its requests."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _read_timeout() or seconds
        self.deadline = time.monotonic() + self.seconds
        self._start_window()

    def _start_window(self) -> None:
        self._end, self.received = time.monotonic() + STALL_SECONDS, 0

    def check(self) -> float:
        """Return the seconds until the next check; raise `TransferError` if the transfer is too slow."""
        now = time.monotonic()
        if now >= self.deadline:
            raise TransferError(f"not complete after {self.seconds:.0f} s; {TIMEOUT_VARIABLE}=SECONDS sets the limit")
        if now >= self._end:
            if self.received < MIN_RATE * STALL_SECONDS:
                raise TransferError(
                    f"the server sent {self.received} bytes in {STALL_SECONDS:.0f} s, which is too slow"
                )
            self._start_window()
        return min(self.deadline, self._end) - now


def _read_timeout() -> float | None:
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if not text:
        return None
    seconds = float(text) if re.fullmatch(r"\d{1,9}(\.\d*)?", text) else 0.0
    if not seconds:
        raise BadOption(f"{TIMEOUT_VARIABLE}: expected seconds above 0, got {text!r:.80}")
    return seconds


@contextlib.contextmanager
def request_url(
    url: str, token: str | None, pace: Pace, offset: int = 0, other_hosts: bool = True
) -> Iterator[tuple[http.client.HTTPResponse, Iterator[bytes]]]:
    """Send a request in a thread; yield the response, and an iterator over the chunks of its body."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "anybind"})
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    items: queue.Queue[Any] = queue.Queue(maxsize=_QUEUE_BLOCKS)
    stopped = threading.Event()
    threading.Thread(target=_transfer, args=(request, other_hosts, items, stopped), daemon=True).start()

    def receive() -> Any:
        while True:
            seconds = pace.check()
            with contextlib.suppress(queue.Empty):
                item = items.get(timeout=seconds)
                if isinstance(item, Exception):
                    raise item
                return item

    def iterate_chunks() -> Iterator[bytes]:
        while chunk := receive():
            pace.received += len(chunk)
            yield chunk

    try:
        response = receive()
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise TransferError(f"expected the file as it is, the server sends it compressed ({encoding!r:.40})")
        yield response, iterate_chunks()
    finally:
        stopped.set()


def _transfer(
    request: urllib.request.Request, other_hosts: bool, items: queue.Queue[object], stopped: threading.Event
) -> None:
    """Put the response, the chunks of its body and b"" into a queue, or an exception, until stopped."""

    def put(item: object) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                items.put(item, timeout=0.5)
                return True
        return False

    started = False
    try:
        tls = urllib.request.HTTPSHandler(context=_make_tls_context())
        opener = urllib.request.build_opener(_RedirectHandler(other_hosts), tls)
        with opener.open(request, timeout=STALL_SECONDS) as response:
            started = put(response)
            while started and put(chunk := response.read1(BLOCK_BYTES)) and chunk:
                pass
    except TransferError as error:
        put(error)
    except urllib.error.HTTPError as error:
        put(TransferError(_describe_status(error.code)))
    except Exception as error:  # of sockets, TLS, and responses that are not HTTP
        reason = (
            escape_text(" ".join(str(getattr(error, "reason", None) or error).split())[:120]) or type(error).__name__
        )
        put(
            Interrupted(f"the connection broke ({reason})")
            if started
            else TransferError(f"the hub cannot be reached ({reason})")
        )


def _describe_status(code: int) -> str:
    if code in (401, 403):
        return f"access denied (HTTP {code}): accept the licence on its page and set HF_TOKEN, or check the name"
    if code in (404, 410):
        return f"it does not exist there (HTTP {code})"
    if 300 <= code < 400:
        return f"the hub redirects in a loop, or to another protocol (HTTP {code})"
    return f"the hub failed (HTTP {code})"


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTP addresses, but not from HTTPS to HTTP; the token goes to the first host only."""

    max_redirections = 5

    def __init__(self, other_hosts: bool) -> None:
        self._other_hosts = other_hosts

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        same_host = (old.scheme, old.netloc) == (new.scheme, new.netloc)
        if new.scheme != "https" and (new.scheme != "http" or old.scheme == "https"):
            raise TransferError(f"the hub redirects to {newurl!r:.80}, which is not a secure address")
        if not (same_host or self._other_hosts):
            raise TransferError(f"the hub redirects to another host, {new.netloc!r:.80}")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and same_host and (token := req.get_header("Authorization")):
            request.add_unredirected_header("Authorization", token)
        return request


def _make_tls_context() -> ssl.SSLContext:
    """Trust the system's certificate authorities, certifi's if installed, and those of REQUESTS_CA_BUNDLE."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return _load_authorities(bundle, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


@functools.lru_cache(maxsize=1)  # parsing the certificates takes longer than a small request
def _load_authorities(bundle: str | None, *_: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        bundle = bundle or certifi.where()
    if bundle:
        context.load_verify_locations(**{"capath" if Path(bundle).is_dir() else "cafile": bundle})
    return context
