"""Windows of live sources: a thread receives the chunks, the caller gets the windows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from anybind import AnybindError
from anybind.plugin import BadOption, errors, windows
from anybind_events import kernels
from anybind_events.activity import measure_activity
from anybind_events.filter import Filters, create_filters
from anybind_events.live.chunk_queue import ChunkQueue
from anybind_events.live.window_cutter import CutWindow, WindowCutter, filter_live
from anybind_events.live_source import LiveSource, LiveWindow, SourceCounts
from anybind_events.representations import kernels as representation_kernels
from anybind_events.stream import EventStream

JOIN_S = 1.0
"""Seconds that a source has to end after it was closed."""


def iterate_windows(
    source: LiveSource,
    length: windows.Duration,
    stride: windows.Duration,
    queue: windows.Duration,
    drop: str,
    timeout: float,
    filters: Filters,
) -> Iterator[LiveWindow]:
    """Check the options and return the windows of a source; see `LiveSource.windows`."""
    size = windows.parse_length(length, windows.MICROSECONDS, "window")
    step = size if stride == "" else windows.parse_length(stride, windows.MICROSECONDS, "stride")
    if size.in_events != step.in_events:
        raise BadOption(f"expected --window and --stride of one unit, got {length!r} and {stride!r}")
    if not timeout >= 0:
        raise BadOption(f"timeout: expected 0 or more seconds, got {timeout!r}")
    if filters and size.in_events:
        raise BadOption(f"filters need windows of a duration, such as 100ms, got {length!r}")
    create_filters(filters)  # checks them before the source starts
    compile_kernels()
    wait_s = windows.parse_duration(queue, windows.MICROSECONDS, "queue") / 1e6
    return _receive_windows(source, WindowCutter(size, step), ChunkQueue(wait_s, drop), timeout, filters)


def _receive_windows(
    source: LiveSource, cutter: WindowCutter, queue: ChunkQueue, timeout_s: float, filters: Filters
) -> Iterator[LiveWindow]:
    chunks = source.chunks()
    thread = threading.Thread(target=_receive, args=(queue, chunks, filters), name="anybind-source", daemon=True)
    thread.start()
    arrival_s = 0.0
    error: AnybindError | None = None
    try:
        while True:
            try:
                arrived = queue.get(timeout_s)
            except AnybindError as caught:
                arrived, error = None, caught
            if arrived is None:
                break
            chunk, arrival_s = arrived
            for window in cutter.add(chunk):
                yield _describe(window, arrival_s, queue.count(cutter.backwards, cutter.jumps))
        for window in cutter.finish():  # also before an error: what was sent has an answer
            yield _describe(window, arrival_s, queue.count(cutter.backwards, cutter.jumps))
        if error is not None:
            raise error
    finally:
        queue.stop()
        source.close()
        thread.join(JOIN_S)


def _receive(queue: ChunkQueue, chunks: Iterator[EventStream], filters: Filters) -> None:
    with contextlib.closing(chunks):  # pyright: ignore[reportArgumentType]
        queue.fill(filter_live(chunks, filters) if filters else chunks)


def _describe(window: CutWindow, arrival_s: float, counts: SourceCounts) -> LiveWindow:
    start_us, end_us, events, unfiltered = window
    inactivity = "no events"
    if len(events):  # noise that a filter thins out looks like motion: something must have moved before it, too
        moved = measure_activity(events).moved and (events is unfiltered or measure_activity(unfiltered).moved)
        inactivity = "" if moved else "nothing moved"
    rate = len(events) / max(1, end_us - start_us) * 1e6
    return LiveWindow(events, start_us, end_us, inactivity, rate, arrival_s, counts)


def compile_kernels() -> None:
    """Compile the loops over events now, or load them from the cache; not while events arrive.

    By default they run in NumPy until a process has given them millions of events. What is compiled is decided by the
    first call of each loop: an encoder's, when it embeds its first window.
    """
    with contextlib.suppress(errors.MissingExtra):  # NumPy's versions are used
        for each in {**vars(kernels), **vars(representation_kernels)}.values():
            if getattr(each, "vectorised", None) is not None:
                each.compile()
    x = np.arange(16, dtype=np.uint16)
    measure_activity(EventStream(x, x, x.astype(np.int64), x > 7, 16, 16))
