"""Simulation of the recording that an event camera would have made of an image or a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import read
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, modalities, progress_bar, readers, samples
from anybind_events.readers.columns import naming
from anybind_events.simulation.models import find_model
from anybind_events.stream import EventStream, concatenate_streams
from anybind_events.writing import Totals, find_writer, write_streams

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
    target = find_writer(output)  # an ending that cannot be written is reported before anything is simulated
    of, sample = _open(source, fps)
    chosen, totals = find_model(of, model), Totals()
    settings = chosen.settings(seed, options)
    frames = 1 if isinstance(sample, np.ndarray) else round(sample.duration * sample.fps)
    with progress_bar(frames, "simulating") as advance:
        streams = _noted(totals.count(_some(source, chosen.simulate(sample, seed, options))), advance)
        write_streams(_gathered(streams), source, output, target)
    numbers = totals.events, totals.size, totals.duration_us, totals.parts
    return Simulation(str(source), str(output), chosen.name, settings, *numbers)


def _open(source: Path, fps: float | None) -> tuple[str, np.ndarray | samples.VideoSample]:
    """The modality of what is to be simulated, and the sample."""
    if source.is_dir():
        part = find_part(ReaderSpec, "video")
        with part.explain_missing_extra():
            return "video", part.load()().read(source, **({} if fps is None else {"fps": fps}))
    if fps is not None:
        raise BadOption(f"--fps is for a folder of frames, and {source} is none")
    part = readers.find_reader(source)
    of = part.spec.modality
    if of not in (sources := modalities.list_sources("event")[1:]):
        raise BadInput(f"{source} holds {of}; events are simulated from {', '.join(sources)}")
    sample = read(source, reader=part.name)
    with naming(source):
        modalities.find_modality(of).check(sample)
    return of, sample


def _some(source: Path, streams: Iterator[EventStream]) -> Iterator[EventStream]:
    """The same streams, of which one at least has an event."""
    events = 0
    with naming(source):
        for stream in streams:
            events += len(stream)
            yield stream
        if not events:
            raise BadInput("nothing in it changes enough for an event; lower --threshold")


def _noted(streams: Iterator[EventStream], advance: Callable[[int], None]) -> Iterator[EventStream]:
    for stream in streams:
        advance(1)
        yield stream


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
