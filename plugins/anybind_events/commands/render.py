"""`anybind render`: see `anybind_events.render` and `render_folder`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    End,
    Filters,
    ReaderOptions,
    Region,
    SkipInvalid,
    SkippedFiles,
    Start,
    Stride,
    parse_options,
    parse_reader_options,
    parse_windows,
    print_json,
    print_text,
)
from anybind.plugin import windows
from anybind_events.commands.convert import Absolute, Overwrite, ReaderName, is_single_file, print_batch
from anybind_events.rendering import Rendering, render_folder
from anybind_events.rendering import render as render_recording


def render(
    paths: Annotated[list[Path], typer.Argument(help="Recording; or folders and files, for a folder of outputs.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Output file: .png, or .gif or .mp4 (animation); or folder of outputs."),
    ],
    format: Annotated[str, typer.Option(help="Format in a folder of outputs: png, gif, mp4.")] = "png",
    representation: Annotated[str, typer.Option(help="Event representation by name.")] = "polarity-histogram",
    representation_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the representation; repeatable.")
    ] = None,
    start: Start = "",
    end: End = "",
    absolute: Absolute = False,
    window: Annotated[
        str,
        typer.Option(
            help="Length per frame of an animation: 40ms, 5000ev (events), auto (by content). [default: 1 / fps]"
        ),
    ] = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
    count: Annotated[int | None, typer.Option(help="Events per frame, instead of --window.")] = None,
    fps: Annotated[float, typer.Option(help="Frames per second of an animation, up to 1000.")] = 25.0,
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    overwrite: Overwrite = False,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Render recordings as images (.png) or animations over time (.gif, .mp4).

    Folders keep their structure, and an interrupted rendering continues where it stopped.
    """
    parsed = parse_windows(start, end, window, stride, roi, filters)
    first, last = parsed.resolve_range(windows.MICROSECONDS)
    options = {
        "representation": representation, "start": first, "end": last, "absolute": absolute,
        "window": parsed.window or None, "stride": parsed.stride or None, "roi": parsed.roi, "count": count,
        "fps": fps, "reader": reader, "reader_options": parse_reader_options(reader_option), "filters": parsed.filters,
        **parse_options(representation_option, render_recording, render_folder),
    }  # fmt: skip
    if is_single_file(paths, output):
        rendering = render_recording(paths[0], output, **options)
        if as_json:
            print_json(_to_record(rendering))
        else:
            frames = "" if rendering.frames is None else f", {rendering.frames} frames"
            size = f"{rendering.size[0]}x{rendering.size[1]}"
            print_text(f"{output}: {size}{frames}, {rendering.events} events as {representation}")
        return
    skipped = SkippedFiles()
    on_bad = skipped.record if skip_invalid else None
    batch = render_folder(paths, output, format=format, overwrite=overwrite, on_bad=on_bad, **options)
    print_batch(batch, output, "rendered", [_to_record(each) for each in batch.results], skipped, as_json)


def _to_record(rendering: Rendering) -> Mapping[str, object]:
    return {name: value for name, value in vars(rendering).items() if value is not None}
