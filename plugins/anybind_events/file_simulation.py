"""Simulation of an event recording from an image, a video or a folder of frames, written to a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind import read
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, loops, modalities, readers, samples
from anybind_events.readers.columns import name_file_in_errors
from anybind_events.simulation.models import MODELS, find_model
from anybind_events.stream import EventStream, concatenate_streams
from anybind_events.writing import RecordingTotals, find_writer, track_progress, write_streams

WRITE_BATCH_EVENTS = 1 << 18
"""Minimum number of events per write, since each write has a fixed cost."""


@dataclass(frozen=True)
class Simulation:
    """A simulated recording.

    Attributes:
        file, output: the image or video, and the written recording.
        model: name of the simulation model.
        settings: all its options, JSON-like, with the seed if the model has one.
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
    """Simulate the recording of an event camera that views an image, a video or a folder of frames, and write it.

    Videos of any length take bounded memory if the output format is written in chunks (`.h5`, text).

    Args:
        source: an image, a video, an animated GIF, WebP or PNG (a video, unless the model takes images), or a folder
            of frames.
        output: the recording to write; an interrupted simulation leaves no partial file.
        model: `saccades` (default) or `motion` for an image; `frame-difference` (default) or `contrast` for a video.
        fps: frames per second of a folder of frames; default: 25.
        seed: seed of pixel thresholds and noise.
        options: options of the model, such as `threshold`; None means the model's default.

    Raises:
        BadInput: the source cannot be read, is neither image nor video, or gives no event, or no format writes the
            output's suffix.
        BadOption: unknown model or option for this source, or an invalid value.
    """
    source, output = Path(source), Path(output)
    files.check_output(output)
    output_format = find_writer(output)  # reports an unsupported suffix before the simulation
    modality, sample = _read_source(source, fps, model)
    simulation, totals = find_model(modality, model), RecordingTotals()
    settings = simulation.settings(seed, options)
    frames = 1 if isinstance(sample, np.ndarray) else round(sample.duration * sample.fps)
    with loops.progress_bar(frames, "simulating") as advance:
        streams = track_progress(
            totals.count_chunks(_require_events(source, simulation.simulate(sample, seed, options))), advance
        )
        write_streams(_merge_streams(streams), source, output, output_format)
    numbers = totals.events, totals.size, totals.duration_us, totals.n_chunks
    return Simulation(str(source), str(output), simulation.name, settings, *numbers)


def _read_source(source: Path, fps: float | None, model: str | None) -> tuple[str, np.ndarray | samples.VideoSample]:
    """Return the modality of the source and its sample; an animated image is a video, unless the model takes images."""
    if source.is_dir():
        input_format = find_part(ReaderSpec, "video")
        with input_format.explain_missing_extra():
            return "video", input_format.load()().read(source, **({} if fps is None else {"fps": fps}))
    if fps is not None:
        raise BadOption(f"--fps applies to a folder of frames; {source} is a file")
    input_format = _find_reader(source, model)
    modality = input_format.spec.modality
    if modality not in (sources := modalities.list_sources("event")[1:]):
        raise BadInput(f"{source}: expected {' or '.join(sources)} to simulate events from, got {modality}")
    sample = read(source, reader=input_format.name)
    with name_file_in_errors(source):
        modalities.find_modality(modality).check(sample)
    return modality, sample


def _find_reader(source: Path, model: str | None) -> readers.Part[ReaderSpec]:
    """Find the reader of an image or video; an animated image with one frame is an image."""
    by_default = readers.find_reader(source)
    if by_default.spec.modality != "image" or any(each.name == model and each.source == "image" for each in MODELS):
        return by_default
    as_video = readers.find_reader(source, "video")
    if as_video.spec.modality != "video":
        return by_default
    video = read(source, reader=as_video.name)
    return as_video if round(video.duration * video.fps) > 1 else by_default


def _require_events(source: Path, streams: Iterator[EventStream]) -> Iterator[EventStream]:
    """Yield the streams; raise `BadInput` if none of them has an event."""
    n_events = 0
    with name_file_in_errors(source):
        for stream in streams:
            n_events += len(stream)
            yield stream
        if not n_events:
            raise BadInput("no pixel changes enough for an event; lower --threshold")


def _merge_streams(streams: Iterator[EventStream]) -> Iterator[EventStream]:
    """Yield the same events in fewer streams, since each write has a fixed cost."""
    pending: list[EventStream] = []
    n_events = 0
    for stream in streams:
        if len(stream) or not pending:
            pending.append(stream)
        n_events += len(stream)
        if n_events >= WRITE_BATCH_EVENTS:
            yield concatenate_streams(pending)
            pending, n_events = [], 0
    if pending:
        yield concatenate_streams(pending)
