"""`ChunkQueue`: the chunks of a source between the thread that receives them and the one that uses them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from anybind import AnybindError
from anybind.plugin import BadOption, errors
from anybind_events.live_source import BLOCK, DROPS, NEWEST, SourceCounts, SourceStalled
from anybind_events.stream import EventStream

MAX_EVENTS = 1 << 22
"""Events that wait at most, about 54 MB."""


class _Arrival(NamedTuple):
    chunk: EventStream
    time_s: float


class ChunkQueue:
    """A bounded queue of chunks with an explicit policy for what exceeds it, and counts."""

    def __init__(self, wait_s: float, drop: str) -> None:
        """Create an empty queue; see `LiveSource.windows` for `drop`.

        Args:
            wait_s: seconds that a chunk may wait, unless the policy is `block`.
            drop: the policy.

        Raises:
            BadOption: an unknown policy.
        """
        if drop not in DROPS:
            raise BadOption(f"drop: expected {', '.join(DROPS)}, got {drop!r}")
        self._wait_s, self._drop = wait_s, drop
        self._changed = threading.Condition()
        self._waiting: deque[_Arrival] = deque()
        self._events = self._dropped = self._queued = 0
        self._notes: Counter[str] = Counter()
        self._alive_s: float | None = None  # the wait begins with the first call of `get`
        self._done = self._stopped = False
        self._error: Exception | None = None

    def fill(self, chunks: Iterable[EventStream]) -> None:
        """Put the chunks of a source into the queue until they end, fail, or the queue is stopped."""
        error: Exception | None = None
        try:
            for chunk in chunks:
                if not self._put(chunk):
                    break
        except Exception as caught:  # raised again where the chunks are used
            error = caught
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def _put(self, chunk: EventStream) -> bool:
        """Add a chunk; return False once the queue is stopped."""
        with self._changed:
            now = self._alive_s = time.monotonic()
            self._events += len(chunk)
            self._notes.update(chunk.notes)
            if not len(chunk):
                return not self._stopped
            while self._drop == BLOCK and self._waiting and self._exceeds(chunk) and not self._stopped:
                self._changed.wait()
                now = self._alive_s = time.monotonic()
            if self._drop == NEWEST and self._waiting and (self._exceeds(chunk) or self._is_late(now)):
                self._dropped += len(chunk)
                return not self._stopped
            while self._waiting and (self._exceeds(chunk) or self._is_late(now)):
                oldest = self._waiting.popleft().chunk
                self._queued -= len(oldest)
                self._dropped += len(oldest)
            self._waiting.append(_Arrival(chunk, now))
            self._queued += len(chunk)
            self._changed.notify_all()
            return not self._stopped

    def _exceeds(self, chunk: EventStream) -> bool:
        return self._queued + len(chunk) > MAX_EVENTS

    def _is_late(self, now: float) -> bool:
        return self._drop != BLOCK and now - self._waiting[0].time_s > self._wait_s

    def get(self, timeout_s: float) -> tuple[EventStream, float] | None:
        """Return the next chunk and the time of its arrival, seconds of `time.monotonic`; None after the last one.

        Raises:
            SourceStalled: nothing has arrived for `timeout_s` seconds, unless that is 0.
            AnybindError: the source failed, after all chunks before.
        """
        with self._changed:
            while not self._waiting:
                if self._error is not None:
                    raise _as_anybind_error(self._error)
                if self._done:
                    return None
                now = time.monotonic()
                self._alive_s = self._alive_s or now
                idle_s = now - self._alive_s
                if timeout_s and idle_s >= timeout_s:
                    raise SourceStalled(
                        f"the source has sent nothing for {timeout_s:g} s ({self._events} events before);"
                        " check the device, or wait longer with --timeout"
                    )
                # Waits end now and then, since Ctrl-C does not interrupt one without an end on every platform.
                self._changed.wait(min(1.0, timeout_s - idle_s) if timeout_s else 1.0)
            chunk, arrival_s = self._waiting.popleft()
            self._queued -= len(chunk)
            self._changed.notify_all()
            return chunk, arrival_s

    def stop(self) -> None:
        """Let the receiving thread end at its next chunk."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def count(self, backwards: int, jumps: int) -> SourceCounts:
        """Return the counts so far, with those of the windows."""
        with self._changed:
            return SourceCounts(self._events, self._dropped, self._queued, backwards, jumps, dict(self._notes))


def _as_anybind_error(error: Exception) -> Exception:
    """Return the error of a source; one that it did not expect becomes a `PluginError` of one line."""
    if isinstance(error, AnybindError | ImportError):
        return error
    failure = errors.PluginError(f"the source failed: {' '.join(f'{type(error).__name__}: {error}'.split())}")
    failure.__cause__ = error
    return failure
