"""Videos of images that are reconstructed from events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from anybind.plugin import BadOption, files, loops, windows
from anybind_events.animation import ANIMATION_SUFFIXES, write_animation
from anybind_events.batch import require_single_file
from anybind_events.filter import Filters, create_filters
from anybind_events.reconstruction.high_pass import HighPassFilter
from anybind_events.reconstruction.network import ReconstructionNetwork
from anybind_events.reconstruction.reconstructor import Reconstructor
from anybind_events.rendering import load_recording, select_part
from anybind_events.stream import EventStream
from anybind_events.time_range import TimeRange
from anybind_events.windows import divide_stream
from anybind_events.writing import track_progress


@dataclass(frozen=True)
class Reconstruction:
    """A video that was reconstructed.

    Attributes:
        file, output: the recording (`event` for one in memory), and the video or folder that was written.
        method: the settings of the filter or network, JSON-like.
        sensor: sensor size, width and height in pixels.
        events: number of events.
        frames: number of images.
        fps: images per second of the video.
    """

    file: str
    output: str
    method: Mapping[str, object]
    sensor: tuple[int, int]
    events: int
    frames: int
    fps: float


def reconstruct_frames(
    stream: EventStream,
    *,
    model: str | os.PathLike[str] | None = None,
    window: windows.Duration = "40ms",
    **options: object,
) -> Iterator[np.ndarray]:
    """Reconstruct the image at the end of each window of a recording.

    Args:
        stream: the recording, with at least one event.
        model: an ONNX network like E2VID: inputs are voxel grids, (1, bins, height, width), and recurrent states, the
            output is an image in [0, 1]. Without it, a high-pass filter at each pixel integrates the events
            (Scheerlinck et al., 2018), which shows edges and no absolute brightness.
        window: length of the windows: a duration, or a number of events (`20000ev`), as networks prefer it.
        options: `cutoff_hz` (default 2) and `sigma` (default 1 pixel) of the filter.

    Returns:
        images, (height, width) uint8.

    Raises:
        BadInput: the model cannot be read, has other inputs and outputs, or is for smaller sensors.
        BadOption: an invalid window or option.
    """
    reconstructor = _create_reconstructor(stream, model, options)
    return _iterate_images(reconstructor, stream, windows.WindowOptions(window=window))


def reconstruct(
    recording: str | os.PathLike[str] | EventStream,
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    fps: float = 25.0,
    window: windows.Duration = "",
    start: int | None = None,
    end: int | None = None,
    reader: str = "",
    reader_options: Mapping[str, object] | None = None,
    filters: Filters = (),
    **options: object,
) -> Reconstruction:
    """Reconstruct a video from a recording, as `reconstruct_frames`.

    Args:
        recording: a file, or an event stream.
        output: a video (`.mp4`, `.gif`), or a folder of PNG images, which must be new or empty.
        fps: images per second of the video, above 0 and at most 1000.
        window: length of the events between two images. [default: real time, 1 / `fps`]
        start, end: only events with start <= t < end, in microseconds after the first event.
        reader, reader_options: reader of the file and its options. [default: by content]
        filters: filters of the events; see `filter_events`.
        model, options: see `reconstruct_frames`.

    Raises:
        BadInput: as `reconstruct_frames`; the recording cannot be read or has no events left, or the output cannot be
            written.
        BadOption: as `reconstruct_frames`, or an output of another suffix.
    """
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix and suffix not in ANIMATION_SUFFIXES:
        raise BadOption(f"{output}: expected {' or '.join(ANIMATION_SUFFIXES)}, or a folder without a suffix")
    if not suffix and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadOption(f"{output}: expected a new or an empty folder")
    if not 0 < fps <= 1000:
        raise BadOption(f"--fps must be above 0 and at most 1000, got {fps}")
    files.check_output(output)
    if not isinstance(recording, EventStream):
        require_single_file(recording, "reconstruct")
    name = "event" if isinstance(recording, EventStream) else os.fspath(recording)
    stream = load_recording(recording, reader, reader_options or {})
    stream = select_part(stream, name, TimeRange.parse(start, end), None, create_filters(filters))
    reconstructor = _create_reconstructor(stream, model, options)
    length = windows.WindowOptions(window=window or max(1, round(1e6 / fps)))
    n_frames = sum(1 for _ in divide_stream(stream, length))
    with loops.progress_bar(n_frames, "reconstructing") as advance:
        images = track_progress(_iterate_images(reconstructor, stream, length), advance)
        if suffix:
            colored = (np.repeat(image[:, :, None], 3, axis=2) for image in images)
            with files.atomic_path(output) as temporary:
                write_animation(temporary, suffix, colored, fps)
        else:
            _write_images(output, images)
    sensor = stream.width, stream.height
    return Reconstruction(name, str(output), reconstructor.settings, sensor, len(stream), n_frames, float(fps))


def _create_reconstructor(
    stream: EventStream, model: str | os.PathLike[str] | None, options: Mapping[str, Any]
) -> Reconstructor:
    if unknown := options.keys() - {"cutoff_hz", "sigma"}:
        raise BadOption(f"unknown options of reconstruct: {', '.join(sorted(unknown))}; expected cutoff_hz, sigma")
    if model is None:
        return HighPassFilter(stream.width, stream.height, int(stream.t[0]), **options)
    if options:
        raise BadOption(f"{', '.join(options)}: of the filter, not of a model")
    return ReconstructionNetwork(model, stream.width, stream.height)


def _iterate_images(
    reconstructor: Reconstructor, stream: EventStream, options: windows.WindowOptions
) -> Iterator[np.ndarray]:
    origin = int(stream.t[0])
    for _, end_us, events in divide_stream(stream, options):
        yield np.rint(255 * reconstructor.reconstruct(events, origin + end_us)).astype(np.uint8)


def _write_images(folder: Path, images: Iterator[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        with files.atomic_path(folder / f"frame_{number:06d}.png") as temporary:
            PIL.Image.fromarray(image).save(temporary, format="png")
