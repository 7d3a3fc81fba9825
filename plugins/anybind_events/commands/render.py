"""`anybind render`: see `anybind_events.render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, parse_options, print_json
from anybind_events.rendering import render as render_recording


def render(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png, or a .gif or .mp4 over time.")],
    representation: Annotated[str, typer.Option(help="Representation of events, by name.")] = "polarity-histogram",
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for it; repeatable.")] = None,
    start: Annotated[int | None, typer.Option(help="First time, in microseconds after the first event.")] = None,
    end: Annotated[int | None, typer.Option(help="Time to stop before, likewise.")] = None,
    window: Annotated[int | None, typer.Option(help="Microseconds of a frame. [default: real time]")] = None,
    count: Annotated[int | None, typer.Option(help="Or events of a frame.")] = None,
    fps: Annotated[float, typer.Option(help="Frames per second of an animation.")] = 25.0,
    as_json: AsJson = False,
) -> None:
    """Draw a recording as a picture (.png), or as an animation over time (.gif, .mp4)."""
    made = render_recording(
        file, output, representation=representation, start=start, end=end, window=window, count=count, fps=fps,
        **parse_options(option),
    )  # fmt: skip
    if as_json:
        print_json({name: value for name, value in vars(made).items() if value is not None})
    else:
        number = "" if made.frames is None else f", {made.frames} frames"
        typer.echo(f"{output}: {made.size[0]}x{made.size[1]}{number}, {made.events} events as {representation}")
