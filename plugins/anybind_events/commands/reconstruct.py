"""`anybind reconstruct`: see `anybind_events.reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    End,
    Filters,
    ReaderOptions,
    Start,
    parse_reader_options,
    parse_windows,
    print_json,
    print_text,
)
from anybind.plugin import windows
from anybind_events.commands.convert import ReaderName
from anybind_events.reconstruction.reconstruction import reconstruct as reconstruct_video

Cutoff = Annotated[
    float | None, typer.Option(min=0, help="Cut-off frequency of the filter, Hz; lower ones fill areas. [default: 2]")
]
Sigma = Annotated[
    float | None, typer.Option(min=0, help="Gaussian after the filter: standard deviation in pixels. [default: 1]")
]


def reconstruct(
    recording: Annotated[Path, typer.Argument(help="Event recording.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Video to write (.mp4, .gif), or a folder of PNG images.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="ONNX network like E2VID. [default: a high-pass filter at each pixel]")
    ] = None,
    fps: Annotated[float, typer.Option(help="Images per second of the video, up to 1000.")] = 25.0,
    window: Annotated[
        str, typer.Option(help="Events between two images: 40ms, 20000ev (events). [default: 1 / fps]")
    ] = "",
    start: Start = "",
    end: End = "",
    filters: Filters = "",
    cutoff: Cutoff = None,
    sigma: Sigma = None,
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    as_json: AsJson = False,
) -> None:
    """Reconstruct images from events, as a video.

    Without --model, the images show edges, and areas that they crossed, before gray: no absolute brightness.
    """
    parsed = parse_windows(start, end, window, "", "", filters)
    first, last = parsed.resolve_range(windows.MICROSECONDS)
    options = {name: value for name, value in (("cutoff_hz", cutoff), ("sigma", sigma)) if value is not None}
    result = reconstruct_video(
        recording, output, model=model, fps=fps, window=parsed.window, start=first, end=last, reader=reader,
        reader_options=parse_reader_options(reader_option), filters=parsed.filters, **options,
    )  # fmt: skip
    if as_json:
        print_json(vars(result))
    else:
        method = ", ".join(f"{name} {value}" for name, value in result.method.items())
        size = f"{result.sensor[0]}x{result.sensor[1]}"
        print_text(f"{output}: {result.frames} images, {size}, of {result.events} events ({method})")
