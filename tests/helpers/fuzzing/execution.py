"""Reading of one input by the rules: data or one clear error, within the limits of memory, without foreign warnings."""

from __future__ import annotations

import contextlib
import gc
import io
import resource
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anybind
from anybind.errors import PluginError
from anybind.reader import find_reader
from helpers.fuzzing.declared import count_declared_bytes

SPARE_BYTES = 64 << 20
TIMES = 4
"""Allowed memory as a multiple of the file size, in addition to the spare bytes."""
MAX_MESSAGE = 2000
MAX_WARNINGS = 8
OUT_OF_MEMORY = ("not enough memory", "Unable to allocate")
"""Parts of messages of allocations that failed in Python; FFmpeg and HDF5 check sizes by trying to allocate them."""
MAX_FRAMES = 64
MAX_PIXELS = 1 << 26
"""Frames of a video that are decoded, and their pixels: a small file may honestly declare hours of large frames."""
CHUNK_EVENTS = 25


class Outcome(NamedTuple):
    """What happened to an input.

    Attributes:
        fault: the broken rule; None if none is.
        past_header: whether a reader claims the content.
        accepted: whether the file was read to its end.
        grown_bytes: growth of the resident memory at its peak.
        seconds: duration.
    """

    fault: str | None
    past_header: bool
    accepted: bool
    grown_bytes: int
    seconds: float


def execute(path: Path, chunks: bool, options: Mapping[str, Any]) -> Outcome:
    """Read a file, and find the rule that this breaks.

    Args:
        path: the file.
        chunks: whether to read it in chunks.
        options: arguments of `anybind.read`, such as `reader`.
    """
    outcome = _measure(path, chunks, options)
    limit = TIMES * path.stat().st_size + SPARE_BYTES
    if outcome.fault is None and outcome.grown_bytes > limit:
        gc.collect()
        declared = count_declared_bytes(path, options)
        # Again: the first call of a module or a kernel takes memory too.
        again = _measure(path, chunks, options)
        if again.grown_bytes > limit + declared:
            fault = f"took {again.grown_bytes >> 20} MiB for {path.stat().st_size} bytes, {declared} declared"
            return again._replace(fault=fault)
    return outcome


def _measure(path: Path, chunks: bool, options: Mapping[str, Any]) -> Outcome:
    before, start = _reset_peak(), time.perf_counter()
    past_header, accepted, fault = False, False, None
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            part = find_reader(path, options=options) if "reader" not in options else None
            past_header = part is not None or _claims(path, options["reader"])
            fault = _consume(path, chunks, options if part is None else {**options, "reader": part})
            accepted = True
        except PluginError as error:
            fault = f"internal: {error}"
        except anybind.AnybindError as error:
            fault = _check_message(str(error))
        except BaseException as error:
            fault = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    fault = fault or _check_warnings(caught) or (f"prints {printed.getvalue()[:80]!r}" if printed.getvalue() else None)
    return Outcome(fault, past_header, accepted, _get_peak() - before, seconds)


def _claims(path: Path, reader: str) -> bool:
    """Return whether a reader claims the beginning of a file, by its `sniff`."""
    from anybind.registry import find_part
    from anybind.spec import ReaderSpec

    with path.open("rb") as file:
        return find_part(ReaderSpec, reader).instance.sniff(file.read(4096)) is not False


def _consume(path: Path, chunks: bool, options: Mapping[str, Any]) -> str | None:
    """Read a file to its end; return what is wrong with the data."""
    samples = anybind.read_chunks(path, count=CHUNK_EVENTS, **options) if chunks else [anybind.read(path, **options)]
    for sample in samples:
        if hasattr(sample, "frames"):
            for number, frame in enumerate(sample.frames()):
                if number == 1 and frame.rgb().shape[:2] != (sample.height, sample.width):
                    return "a frame has another size than the video"
                if number == MAX_FRAMES or (number + 1) * frame.gray.size > MAX_PIXELS:
                    break
        elif hasattr(sample, "p") and len(sample):
            if not (sample.x.max() < sample.width and sample.y.max() < sample.height):
                return "an event lies outside the sensor"
            if (sample.t[1:] < sample.t[:-1]).any():
                return "times decrease"
            repr(sample)
    return None


def _check_message(message: str) -> str | None:
    if "\n" in message or "\r" in message:
        return f"an error of several lines: {message!r}"
    if len(message) > MAX_MESSAGE:
        return f"an error of {len(message)} characters: {message[:200]}"
    return f"out of memory: {message}" if any(each in message for each in OUT_OF_MEMORY) else None


def _check_warnings(caught: list[warnings.WarningMessage]) -> str | None:
    for each in caught:
        if not issubclass(each.category, anybind.AnybindWarning | ResourceWarning):
            return f"a foreign warning: {each.category.__name__}: {each.message}"
        if "\n" in str(each.message):
            return f"a warning of several lines: {each.message}"
    return f"{len(caught)} warnings" if len(caught) > MAX_WARNINGS else None


def _reset_peak() -> int:
    """Reset the peak of the resident memory where the system can; return the present one in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 (many times a second)
            file.write("5")
    except OSError:
        pass
    return _get_peak()


def _get_peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024
