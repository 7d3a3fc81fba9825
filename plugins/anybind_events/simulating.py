"""Simulation of the recording that an event camera would have made of an image or a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind import read, write
from anybind.plugin import (
    BadInput,
    BadOption,
    Reader,
    ReaderSpec,
    errors,
    files,
    find_part,
    modalities,
    parts,
    progress_bar,
    readers,
)
from anybind_events.simulation.models import find_model
from anybind_events.stream import EventStream, concatenate_streams

GATHERED = 1 << 18
"""Events that are written at a time."""


@dataclass(frozen=True)
class Simulation:
    """A simulated recording.

    Attributes:
        file, output: the image or video, and the recording written.
        model: name of the simulation model.
        settings: all its options, the seed included where it matters, JSON-like.
        events: number of events.
        sensor: sensor size, width and height in pixels.
        duration_us: microseconds from the first event to the last.
        frames: number of frames of the video; 1 for an image.
    """

    file: str
    output: str
    model: str
    settings: Mapping[str, object]
    events: int
    sensor: tuple[int, int]
    duration_us: int
    frames: int


def simulate(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | None = None,
    fps: float | None = None,
    seed: int = 0,
    **options: object,
) -> Simulation:
    """Simulate the recording of an event camera that sees an image, a video or a folder of frames, and write it.

    Videos of any length take bounded memory where the output's format is written in parts (`.h5`, text).

    Args:
        source: an image, a video, or a folder of frames.
        output: the recording, written whole or not at all.
        model: `saccades` of an image; `frame-difference` (default) or `contrast` of a video.
        fps: frames per second of a folder of frames. [default: 25]
        seed: of thresholds and noise.
        options: of the model, such as `threshold`; None stands for the model's default.

    Raises:
        BadInput: the source cannot be read, holds something else, or gives no event, or no format of that ending
            is written.
        BadOption: no such model or option for this source, or an invalid value.
    """
    source, output = Path(source), Path(output)
    files.check_output(output)
    _writer(output)  # an ending that cannot be written is reported before anything is simulated
    of, sample = _open(source, fps)
    chosen = find_model(of, model)
    settings = chosen.settings(seed, options)
    with progress_bar(round(sample.duration * sample.fps) if of == "video" else 1, "simulating") as advance:
        made = _write(_some(source, chosen.simulate(sample, seed, options)), output, advance)
    return Simulation(str(source), str(output), chosen.name, settings, **made)


def _open(source: Path, fps: float | None) -> tuple[str, Any]:
    """The modality of what is to be simulated, and the sample."""
    if source.is_dir():
        part = find_part(ReaderSpec, "video")
        with part.explain_missing_extra():
            return "video", part.load()().read(source, **({} if fps is None else {"fps": fps}))
    if fps is not None:
        raise BadOption(f"--fps is for a folder of frames, and {source} is none")
    part = readers.find_reader(source)
    of = part.spec.modality
    if of not in (sources := modalities.sources_of("event")[1:]):
        raise BadInput(f"{source} holds {of}; events are simulated from {', '.join(sources)}")
    sample = read(source, reader=part.name)
    with _naming(source):
        modalities.find_modality(of).check(sample)
    return of, sample


def _writer(output: Path) -> Reader:
    """The event format of an output's ending, of those that can be written."""
    able: dict[str, Reader] = {}
    for part in parts(ReaderSpec):
        if part.spec.modality == "event":
            reader: Reader = part.load()()
            if type(reader).write is not Reader.write:
                able.update(dict.fromkeys(part.spec.suffixes, reader))
    if output.suffix.lower() not in able:
        raise BadInput(f"cannot write event to {output}: no format of that ending{errors.nearest(output.suffix, able)}")
    return able[output.suffix.lower()]


@contextmanager
def _naming(source: Path) -> Iterator[None]:
    """Errors in what a file holds name the file."""
    try:
        yield
    except BadInput as error:
        if str(source) in str(error):
            raise
        raise BadInput(f"{source}: {error}") from error


def _some(source: Path, streams: Iterator[EventStream]) -> Iterator[EventStream]:
    """The same streams, of which one at least has an event."""
    events = 0
    with _naming(source):
        for stream in streams:
            events += len(stream)
            yield stream
        if not events:
            raise BadInput("nothing in it changes enough for an event; lower --threshold")


def _write(streams: Iterator[EventStream], output: Path, advance: Callable[[int], None]) -> dict[str, Any]:
    """Write the streams of a recording as one file, and tell what they were."""
    told: dict[str, Any] = {"events": 0, "sensor": (0, 0), "duration_us": 0, "frames": 0}
    first = 0

    def noted() -> Iterator[EventStream]:
        nonlocal first
        for stream in streams:
            told["frames"] += 1
            told["sensor"] = (stream.width, stream.height)
            if len(stream):
                first = first if told["events"] else int(stream.t[0])
                told["events"] += len(stream)
                told["duration_us"] = int(stream.t[-1]) - first
            advance(1)
            yield stream

    writer = _writer(output)
    if type(writer).write_chunks is Reader.write_chunks:
        write(concatenate_streams(list(noted())), output)
    else:
        with files.atomic_path(output) as temporary:
            writer.write_chunks(_gathered(noted()), temporary)
    return told


def _gathered(streams: Iterator[EventStream]) -> Iterator[EventStream]:
    """The same events in fewer streams: each costs the writer something."""
    waiting: list[EventStream] = []
    events = 0
    for stream in streams:
        if len(stream) or not waiting:
            waiting.append(stream)
        events += len(stream)
        if events >= GATHERED:
            yield concatenate_streams(waiting)
            waiting, events = [], 0
    if waiting:
        yield concatenate_streams(waiting)
