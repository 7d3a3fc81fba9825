"""Recordings as pictures, or as animations over time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image

from anybind import read
from anybind.plugin import (
    BadInput,
    BadOption,
    Representation,
    RepresentationSpec,
    create_part,
    files,
    find_part,
    modalities,
    progress_bar,
)
from anybind_events.representations.pictures import Tone, picture_of
from anybind_events.stream import EventStream

STILLS = (".png",)
ANIMATIONS = (".gif", ".mp4")
FRAMES_FOR_TONE = 16
"""How many frames of an animation, spread evenly over it, say what has full colour in all."""


@dataclass(frozen=True)
class Rendering:
    """A picture or an animation of a recording.

    Attributes:
        file, output: the recording (`event` for one in memory) and the file written.
        representation: its name and options, JSON-like.
        sensor: sensor size, width and height in pixels.
        events: number of events shown.
        duration_us: microseconds from the first to the last of them.
        size: width and height in pixels.
        frames: number of frames of an animation; None for a picture.
        fps: frames per second of an animation.
        window_us, count: microseconds, or events, of a frame.
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
    window: int | None = None,
    count: int | None = None,
    fps: float = 25.0,
    **options: object,
) -> Rendering:
    """Draw a recording as a picture (`.png`), or as an animation over time (`.gif`, `.mp4`).

    Args:
        recording: a file, or an event stream.
        output: the file to write, whole or not at all.
        representation: name of a registered representation of events.
        start: only events from this time on, in microseconds after the first event.
        end: only events before this time, in microseconds after the first event.
        window: microseconds of a frame of an animation. [default: real time, 1 / `fps`]
        count: number of events of a frame of an animation, in place of `window`.
        fps: frames per second of an animation, above 0 and at most 1000.
        options: of the representation.

    Raises:
        BadInput: the recording cannot be read or has no events in that time, or the output cannot be written.
        BadOption: an output of another ending, or options that do not go together.
        UnknownName: no such representation.
    """
    output = Path(output)
    kind = output.suffix.lower()
    if kind not in (*STILLS, *ANIMATIONS):
        raise BadOption(f"cannot render to {output}: the name must end in {', '.join((*STILLS, *ANIMATIONS))}")
    if kind in STILLS and (window is not None or count is not None):
        raise BadOption(f"--window and --count are for {' and '.join(ANIMATIONS)}; give --start and --end for a .png")
    files.check_output(output)
    made = _representation(representation, options)
    name = "event" if isinstance(recording, EventStream) else os.fspath(recording)
    stream = _part(_recording(recording), name, start, end)
    frames = rate = None
    if kind in STILLS:
        size = _write_still(output, stream, made)
    else:
        size, frames, window, count = _write_animation(output, stream, made, window, count, fps)
        rate = fps
    settings, sensor = dict(made.settings), (stream.width, stream.height)
    numbers = len(stream), stream.duration_us
    return Rendering(name, str(output), settings, sensor, *numbers, size, frames, rate, window, count)


def _representation(name: str, options: Mapping[str, object]) -> Representation:
    if find_part(RepresentationSpec, name).spec.modality != "event":
        raise BadOption(f"the representation {name!r} is not one of events")
    return create_part("representation", name, **options)


def _recording(file: str | os.PathLike[str] | EventStream) -> EventStream:
    if isinstance(file, EventStream):
        return file
    sample = read(file)
    if not isinstance(sample, EventStream):
        raise BadInput(
            f"{file} holds {modalities.infer_modality(sample)}, not event; give a recording of an event camera"
        )
    try:
        modalities.find_modality("event").check(sample)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from error
    return sample


def _part(stream: EventStream, name: str, start: int | None, end: int | None) -> EventStream:
    """The part between two times after the first event."""
    first, after, until = int(stream.t[0]), start or 0, stream.duration_us + 1 if end is None else end
    chosen = stream.between(first + after, first + until)
    if not len(chosen):
        raise BadInput(f"{name} has no events from {after} to {until} us; it takes {stream.duration_us} us")
    return chosen


def _write_still(output: Path, stream: EventStream, frames: Representation) -> tuple[int, int]:
    frame = frames(stream)
    picture = picture_of(frame, Tone.of([frame]), frames.views)
    with files.atomic_path(output) as temporary:
        PIL.Image.fromarray(picture).save(temporary)
    return picture.shape[1], picture.shape[0]


def _write_animation(
    output: Path, stream: EventStream, frames: Representation, window: int | None, count: int | None, fps: float
) -> tuple[tuple[int, int], int, int | None, int | None]:
    """Write one picture for each part of the stream, all in one tone: size, frames, window and count."""
    if not 0 < fps <= 1000:
        raise BadOption(f"--fps must be above 0 and at most 1000, got {fps}")
    if window is not None and count is not None:
        raise BadOption("give --window (microseconds) or --count (events), not both")
    if window is None and count is None:
        window = max(1, round(1e6 / fps))
    step = window or count or 0
    if step < 1:
        raise BadOption(f"a frame must be of at least 1 microsecond or event, got {step}")
    number = -(-(len(stream) if window is None else stream.duration_us + 1) // step)

    def frame(place: int) -> np.ndarray:
        first = place * step if window is None else int(stream.t[0]) + place * step
        return frames((stream.part if window is None else stream.between)(first, first + step))

    tone = Tone.of([frame(place) for place in sorted({k * number // FRAMES_FOR_TONE for k in range(FRAMES_FOR_TONE)})])
    write = _write_gif if output.suffix.lower() == ".gif" else _write_mp4
    with progress_bar(number, "rendering") as advance, files.atomic_path(output) as temporary:
        pictures = (picture_of(frame(place), tone, frames.views) for place in range(number))
        size = write(temporary, _noted(pictures, advance), fps)
    return size, number, window, count


def _noted(pictures: Iterator[np.ndarray], advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    for picture in pictures:
        yield picture
        advance(1)


def _write_gif(path: Path, pictures: Iterator[np.ndarray], fps: float) -> tuple[int, int]:
    """Write an animated GIF that repeats for ever; its times are whole hundredths of a second."""
    # Without dithering, whose noise would move from frame to frame.
    stills = (PIL.Image.fromarray(picture).quantize(dither=PIL.Image.Dither.NONE) for picture in pictures)
    first = next(stills)
    duration = max(10, 10 * round(100 / fps))
    first.save(path, save_all=True, append_images=stills, duration=duration, loop=0, disposal=1)
    return first.size


def _write_mp4(path: Path, pictures: Iterator[np.ndarray], fps: float) -> tuple[int, int]:
    """Write H.264, or MPEG-4 where the installed PyAV has no x264; sizes are rounded up to even numbers."""
    import av
    from av.codec import codecs_available

    codec = "libx264" if "libx264" in codecs_available else "mpeg4"
    first = next(pictures)
    height, width = (size + size % 2 for size in first.shape[:2])
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "18"}
        else:
            stream.bit_rate = 8_000_000
        for picture in itertools.chain([first], pictures):
            even = np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return width, height
