"""`anybind simulate`: what an event camera would have recorded of a picture or a film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import read, write
from anybind.commandline import AsJson, Seed, print_json
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


def simulate(
    source: Annotated[Path, typer.Argument(help="A picture, a film, or a folder of frames.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The recording; a long film as .h5.")],
    model: Annotated[
        str | None, typer.Option(help="Of a picture: saccades. Of a film: frame-difference (default) or contrast.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="In log units (0.25); of frame-difference in gray levels of 255 (25).")
    ] = None,
    mismatch: Annotated[float | None, typer.Option(help="How far thresholds of pixels differ, in log units.")] = None,
    pixels_per_degree: Annotated[float | None, typer.Option(help="Size of saccades.")] = None,
    turn_degrees: Annotated[float | None, typer.Option(help="Direction of saccades.")] = None,
    refractory_us: Annotated[float | None, typer.Option(help="Blind time after an event (contrast).")] = None,
    leak_hz: Annotated[float | None, typer.Option(help="Rises of a pixel a second at rest (contrast).")] = None,
    shot_hz: Annotated[float | None, typer.Option(help="Chance events of a pixel a second (contrast).")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of frames; 25 by default.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate what an event camera would have recorded of a picture, a film or a folder of frames."""
    files.check_output(output)
    _writer(output)  # an ending that cannot be written is told before anything is simulated
    of, sample = _open(source, fps)
    chosen = find_model(of, model)
    options = {
        "threshold": threshold,
        "mismatch": mismatch,
        "pixels_per_degree": pixels_per_degree,
        "turn_degrees": turn_degrees,
        "refractory_us": refractory_us,
        "leak_hz": leak_hz,
        "shot_hz": shot_hz,
    }
    told: dict[str, Any] = {
        "file": str(source),
        "output": str(output),
        "model": chosen.name,
        "settings": chosen.settings(seed, options),
    }
    frames = round(sample.duration * sample.fps) if of == "video" else 1
    with progress_bar(frames, "simulating") as advance:
        told |= _write(_some(source, chosen.simulate(sample, seed, options)), output, advance)
    if as_json:
        print_json(told)
    else:
        width, height = told["sensor"]
        typer.echo(f"{output}: {told['events']} events, {width}x{height}, {told['duration_us']} us, by {chosen.name}")


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
    told: dict[str, Any] = {"events": 0, "sensor": [0, 0], "duration_us": 0, "frames": 0}
    first = 0

    def noted() -> Iterator[EventStream]:
        nonlocal first
        for stream in streams:
            told["frames"] += 1
            told["sensor"] = [stream.width, stream.height]
            if len(stream):
                first = first if told["events"] else int(stream.t[0])
                told["events"] += len(stream)
                told["duration_us"] = int(stream.t[-1]) - first
            advance(1)
            yield stream

    write_chunks = getattr(_writer(output), "write_chunks", None)
    if write_chunks is None:
        write(concatenate_streams(list(noted())), output)
    else:
        with files.atomic_path(output) as temporary:
            write_chunks(_gathered(noted()), temporary)
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
