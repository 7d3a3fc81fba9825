"""Renderings of recordings: images, and animations over time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from anybind import read
from anybind.plugin import (
    BadInput,
    BadOption,
    Representation,
    RepresentationSpec,
    create_part,
    errors,
    files,
    find_part,
    loops,
    modalities,
    windows,
)
from anybind_events.animation import ANIMATION_SUFFIXES, write_animation
from anybind_events.batch import Batch, Sources, plan_outputs, process_files, require_single_file
from anybind_events.filter import Filter, Filters, create_filters, filter_events
from anybind_events.representations.images import ColorScale, colorize_frame
from anybind_events.stream import EventStream
from anybind_events.time_range import TimeRange, select_times
from anybind_events.windows import crop_region
from anybind_events.writing import track_progress

IMAGE_SUFFIXES = (".png",)
N_SCALE_FRAMES = 16
"""Frames of an animation, spread evenly over it, that determine the colour scale of all frames."""


@dataclass(frozen=True)
class Rendering:
    """An image or an animation of a recording.

    Attributes:
        file, output: the recording (`event` for one in memory) and the written file.
        representation: its name and options, JSON-like.
        sensor: sensor size, width and height in pixels.
        events: number of events shown.
        duration_us: microseconds from the first to the last of them.
        size: width and height in pixels.
        frames: number of frames of an animation; None for an image.
        fps: frames per second of an animation.
        window_us, count: microseconds, or number of events, per frame.
    """

    file: str
    output: str
    representation: Mapping[str, object]
    sensor: tuple[int, int]
    events: int
    duration_us: int
    size: tuple[int, int]
    frames: int | None = None
    fps: float | None = None
    window_us: int | None = None
    count: int | None = None


def render(
    recording: str | os.PathLike[str] | EventStream,
    output: str | os.PathLike[str],
    *,
    representation: str = "polarity-histogram",
    start: int | None = None,
    end: int | None = None,
    absolute: bool = False,
    window: windows.Duration | None = None,
    stride: windows.Duration | None = None,
    roi: windows.Roi | None = None,
    count: int | None = None,
    fps: float = 25.0,
    reader: str = "",
    reader_options: Mapping[str, object] | None = None,
    filters: Filters = (),
    **options: object,
) -> Rendering:
    """Render a recording as an image (`.png`) or an animation over time (`.gif`, `.mp4`).

    Args:
        recording: a file, or an event stream.
        output: the file to write; an interrupted rendering leaves no partial file.
        representation: name of a registered representation of events.
        start, end: only events with start <= t < end, in microseconds after the first event.
        absolute: `start` and `end` are times on the recording's own clock.
        window: length per frame of an animation: microseconds, a duration such as `40ms`, a number of events such as
            `5000ev`, or `auto`: by content; default: real time, 1 / `fps`.
        stride: from the start of a frame to that of the next, in the same unit. [default: the length]
        roi: only events of this region: column and row of its upper left corner, width, height, in pixels.
        count: number of events per frame of an animation, instead of `window`.
        fps: frames per second of an animation, above 0 and at most 1000.
        reader: name of the reader of a file; default: by content, then by file name.
        reader_options: options of the reader, such as `source` or `time_unit`.
        filters: filters of the events, from the first one of the recording on; see `filter_events`.
        options: options of the representation.

    Raises:
        BadInput: the recording cannot be read or has no events left, or the output cannot be written.
        BadOption: an output of another suffix, or options that exclude each other.
        UnknownName: no such representation or filter.
    """
    if not isinstance(recording, EventStream):
        require_single_file(recording, "render_folder")
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix not in (*IMAGE_SUFFIXES, *ANIMATION_SUFFIXES):
        raise BadOption(
            f"{output}: not a supported format; supported: {', '.join((*IMAGE_SUFFIXES, *ANIMATION_SUFFIXES))}"
        )
    if suffix in IMAGE_SUFFIXES and not (window is None and stride is None and count is None):
        raise BadOption(
            f"--window and --count apply to {' and '.join(ANIMATION_SUFFIXES)}; use --start and --end for a .png"
        )
    files.check_output(output)
    transform = _create_representation(representation, options)
    name = "event" if isinstance(recording, EventStream) else os.fspath(recording)
    stream = load_recording(recording, reader, reader_options or {})
    stream = select_part(stream, name, TimeRange.parse(start, end, absolute), roi, create_filters(filters))
    frames = rate = window_us = None
    if suffix in IMAGE_SUFFIXES:
        size = _write_image(output, stream, transform)
    else:
        length, step = _resolve_lengths(stream, window, stride, count, fps)
        size, frames = _write_animation(output, stream, transform, length, step, fps)
        window_us, count = (None, length.size) if length.in_events else (length.size, None)
        rate = fps
    settings, sensor = dict(transform.settings), (stream.width, stream.height)
    numbers = len(stream), stream.duration_us
    return Rendering(name, str(output), settings, sensor, *numbers, size, frames, rate, window_us, count)


def render_folder(
    sources: Sources,
    output: str | os.PathLike[str],
    *,
    format: str = "png",
    overwrite: bool = False,
    on_bad: errors.OnBad | None = None,
    **options: Any,
) -> Batch[Rendering]:
    """Render the recordings in folders, or several files, each to a file in an output folder.

    The structure of the folders is kept. A later call continues an interrupted one: outputs that are newer than their
    files are kept, whatever options they were rendered with.

    Args:
        sources: a folder or file, or several.
        output: the output folder, made if it is missing.
        format: suffix of the outputs: png, gif or mp4.
        overwrite: render again what is already there.
        on_bad: called with the path and the error of a file that cannot be rendered; without it, the error is raised.
        options: further arguments of `render`.

    Raises:
        BadInput: a file cannot be rendered, two files have the same output, or an output is a source.
        BadOption: another format, or an invalid option.
    """
    suffix = "." + format.lower().removeprefix(".")
    if suffix not in (*IMAGE_SUFFIXES, *ANIMATION_SUFFIXES):
        supported = ", ".join(each.removeprefix(".") for each in (*IMAGE_SUFFIXES, *ANIMATION_SUFFIXES))
        raise BadOption(f"expected a format of {supported}, got {format!r}")
    plan = plan_outputs(sources, Path(output), suffix)

    def render_file(file: Path, target: Path) -> Rendering:
        return render(file, target, **options)

    return process_files(plan, render_file, "rendering", is_complete=Path.is_file, overwrite=overwrite, on_bad=on_bad)


def _create_representation(name: str, options: Mapping[str, object]) -> Representation:
    if find_part(RepresentationSpec, name).spec.modality != "event":
        raise BadOption(f"expected a representation of events, got {name!r}")
    return create_part("representation", name, **options)


def load_recording(
    file: str | os.PathLike[str] | EventStream, reader: str, options: Mapping[str, object]
) -> EventStream:
    """Read a recording with at least one event; raise `BadInput` for other files."""
    if isinstance(file, EventStream):
        return file
    sample = read(file, reader=reader or None, **options)
    if not isinstance(sample, EventStream):
        raise BadInput(f"{file}: expected an event recording, got {modalities.infer_modality(sample)}")
    try:
        modalities.find_modality("event").check(sample)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from error
    return sample


def select_part(
    stream: EventStream, name: str, time_range: TimeRange, roi: windows.Roi | None, filters: Sequence[Filter]
) -> EventStream:
    """Return the filtered events in a time range and a region of interest; raise `BadInput` if there are none."""
    selection = select_times(filter_events(stream, filters), *time_range.resolve(int(stream.t[0])))
    if filters and not len(selection):
        raise BadInput(f"{name}: no events {time_range.describe()} are left by the filters")
    if not len(selection):
        raise BadInput(f"{name}: no events {time_range.describe()}; {time_range.describe_recording(stream)}")
    if not len(part := crop_region(selection, roi)):
        raise BadInput(f"{name}: no events in the region {','.join(map(str, roi or ()))}")
    return part


def _write_image(output: Path, stream: EventStream, representation: Representation) -> tuple[int, int]:
    frame = representation(stream)
    image = colorize_frame(frame, ColorScale.from_frames([frame]), representation.views)
    with files.atomic_path(output) as temporary:
        PIL.Image.fromarray(image).save(temporary)
    return image.shape[1], image.shape[0]


def _resolve_lengths(
    stream: EventStream,
    window: windows.Duration | None,
    stride: windows.Duration | None,
    count: int | None,
    fps: float,
) -> tuple[windows.WindowLength, windows.WindowLength]:
    """Return the length of a frame of an animation, and the stride."""
    if not 0 < fps <= 1000:
        raise BadOption(f"--fps must be above 0 and at most 1000, got {fps}")
    if window is not None and count is not None:
        raise BadOption("give --window or --count, not both")
    if count is not None:
        window = f"{count}ev"
    if window is None:
        window = max(1, round(1e6 / fps))
    if window == windows.WHOLE:
        raise BadOption("--window: expected a length or auto for an animation, got whole; use .png for an image")
    options = windows.WindowOptions(window=window, stride="" if stride is None else stride)
    length, step = options.resolve_lengths(windows.MICROSECONDS)
    if length is None:
        from anybind_events.window_choice import choose_window

        length = windows.WindowLength(choose_window(stream))
    return length, step or length


def _write_animation(
    output: Path,
    stream: EventStream,
    representation: Representation,
    length: windows.WindowLength,
    stride: windows.WindowLength,
    fps: float,
) -> tuple[tuple[int, int], int]:
    """Write one frame per window, all with one colour scale; return the size and the number of frames."""
    total = len(stream) if length.in_events else stream.duration_us + 1
    spans = list(windows.iterate_ranges(total, length.size, stride.size))
    n_frames, origin = len(spans), int(stream.t[0])

    def make_frame(number: int) -> np.ndarray:
        first, last = spans[number]
        return representation(
            stream.slice_events(first, last)
            if length.in_events
            else select_times(stream, origin + first, origin + last)
        )

    scale = ColorScale.from_frames(
        [make_frame(number) for number in sorted({k * n_frames // N_SCALE_FRAMES for k in range(N_SCALE_FRAMES)})]
    )
    with loops.progress_bar(n_frames, "rendering") as advance, files.atomic_path(output) as temporary:
        images = (colorize_frame(make_frame(number), scale, representation.views) for number in range(n_frames))
        size = write_animation(temporary, output.suffix.lower(), track_progress(images, advance), fps)
    return size, n_frames
