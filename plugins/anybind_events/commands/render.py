"""`anybind render`: see `anybind_events.render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, parse_options, print_json, print_text
from anybind_events.commands.convert import Absolute, End, ReaderName, ReaderOptions, Start
from anybind_events.rendering import render as render_recording


def render(
    file: Annotated[Path, typer.Argument(help="Recording.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file: .png, or .gif or .mp4 (animation).")],
    representation: Annotated[str, typer.Option(help="Event representation by name.")] = "polarity-histogram",
    representation_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the representation; repeatable.")
    ] = None,
    start: Start = None,
    end: End = None,
    absolute: Absolute = False,
    window: Annotated[int | None, typer.Option(help="Microseconds per frame. [default: 1 / fps]")] = None,
    count: Annotated[int | None, typer.Option(help="Events per frame, instead of --window.")] = None,
    fps: Annotated[float, typer.Option(help="Frames per second of an animation, up to 1000.")] = 25.0,
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    as_json: AsJson = False,
) -> None:
    """Render a recording as an image (.png) or an animation over time (.gif, .mp4)."""
    rendering = render_recording(
        file, output, representation=representation, start=start, end=end, absolute=absolute, window=window,
        count=count, fps=fps, reader=reader, reader_options=parse_options(reader_option),
        **parse_options(representation_option),
    )  # fmt: skip
    if as_json:
        print_json({name: value for name, value in vars(rendering).items() if value is not None})
    else:
        frames = "" if rendering.frames is None else f", {rendering.frames} frames"
        size = f"{rendering.size[0]}x{rendering.size[1]}"
        print_text(f"{output}: {size}{frames}, {rendering.events} events as {representation}")
