"""Windows of live sources: a thread receives the chunks, the caller gets the windows."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator, Iterator

from anybind import AnybindError
from anybind.plugin import BadOption, loops, windows
from anybind_events.activity import measure_activity
from anybind_events.filter import Filters, create_filters
from anybind_events.live import warm_up
from anybind_events.live.chunk_queue import ChunkQueue
from anybind_events.live.window_cutter import CutWindow, WindowCutter, filter_live
from anybind_events.live_source import BLOCK, LiveSource, LiveWindow, SourceCounts
from anybind_events.stream import EventStream

CLOSING_S = 1.0
"""Seconds that a source has to end after it was closed."""


def iterate_windows(
    source: LiveSource,
    length: windows.Duration,
    stride: windows.Duration,
    queue: windows.Duration,
    drop: str,
    timeout: float,
    filters: Filters,
    use_made_up: Callable[[LiveWindow], object] | None,
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
    wait_s = windows.parse_duration(queue, windows.MICROSECONDS, "queue") / 1e6
    waiting = ChunkQueue(wait_s, drop)

    def receive() -> Iterator[LiveWindow]:
        # Windows of a fast camera are large: without this, some wait while the system tidies its memory.
        with loops.keep_freed_memory(), loops.compile_early():
            try:
                _warm_up(source, size, step, filters, use_made_up)
            except BaseException:
                source.close()
                raise
            yield from _receive_windows(source, WindowCutter(size, step), waiting, timeout, filters)

    return receive()


def _warm_up(
    source: LiveSource,
    length: windows.WindowLength,
    stride: windows.WindowLength,
    filters: Filters,
    use: Callable[[LiveWindow], object] | None,
) -> None:
    """Do once what is done while a source sends: imports, compilation, first use of memory."""
    known_size = source.prepare()
    width, height = size = known_size or warm_up.UNKNOWN_SIZE
    loops.touch_memory(min(warm_up.PIXEL_BYTES * width * height, warm_up.MAX_TOUCHED_BYTES))

    def run(filters: Filters) -> None:
        made_up = warm_up.MadeUpSource(size, length, stride)
        received = _receive_windows(made_up, WindowCutter(length, stride), ChunkQueue(0.0, BLOCK), 0.0, filters)
        with contextlib.closing(received):
            for window in itertools.islice(received, warm_up.N_WINDOWS):
                if use is not None:
                    use(window)

    try:
        run(filters)
    except AnybindError:
        if known_size is not None or not filters:
            raise
        run(())  # the filters may suit the sensor of the source


def _receive_windows(
    source: LiveSource, cutter: WindowCutter, queue: ChunkQueue, timeout_s: float, filters: Filters
) -> Generator[LiveWindow]:
    chunks, ended = source.chunks(), threading.Event()
    arguments = (queue, chunks, filters, ended)
    threading.Thread(target=_receive, args=arguments, name="anybind-source", daemon=True).start()
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
        ended.wait(CLOSING_S)  # joining the thread could wait for ever in a finalizer: see `anybind.prefetch`


def _receive(queue: ChunkQueue, chunks: Iterator[EventStream], filters: Filters, ended: threading.Event) -> None:
    try:
        with contextlib.closing(chunks):  # pyright: ignore[reportArgumentType]
            queue.fill(filter_live(chunks, filters) if filters else chunks)
    finally:
        ended.set()


def _describe(window: CutWindow, arrival_s: float, counts: SourceCounts) -> LiveWindow:
    start_us, end_us, events, unfiltered = window
    inactivity = "no events"
    if len(events):  # noise that a filter thins out looks like motion: something must have moved before it, too
        moved = measure_activity(events).moved and (events is unfiltered or measure_activity(unfiltered).moved)
        inactivity = "" if moved else "nothing moved"
    rate = len(events) / max(1, end_us - start_us) * 1e6
    return LiveWindow(events, start_us, end_us, inactivity, rate, arrival_s, counts)
